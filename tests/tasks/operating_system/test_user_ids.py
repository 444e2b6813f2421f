from agentx.tasks.operating_system import user_ids as module
from agentx.tasks.operating_system.problems import Problem, Script, needs_user_ids
from agentx.tasks.operating_system.user_ids import user_ids


def as_user(monkeypatch, tmp_path, helpers=True, line="1234:300000:65536\n"):
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text(f"# none\nother:100000:65536\n{line}")
    monkeypatch.setattr(module.os, "geteuid", lambda: 1234)
    monkeypatch.setattr(module.os, "getegid", lambda: 55)
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/bin/{name}" if helpers else None)
    monkeypatch.setattr(module, "Path", lambda path: tmp_path / path.rpartition("/")[2])
    return user_ids()


def test_root_has_a_range_that_is_not_the_hosts(monkeypatch):
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    ids = user_ids()
    assert ids.users == ids.groups == ((0, 200_000, 65_536),) and ids.several and ids.helpers is None


def test_a_user_has_the_range_that_was_delegated(monkeypatch, tmp_path):
    ids = as_user(monkeypatch, tmp_path)
    assert ids.users == ((0, 1234, 1), (1, 300_000, 65_535))
    assert ids.groups == ((0, 55, 1), (1, 300_000, 65_535))
    assert ids.several and ids.helpers == {"uid": "/usr/bin/newuidmap", "gid": "/usr/bin/newgidmap"}


def test_without_range_or_program_a_user_has_one_id(monkeypatch, tmp_path):
    for options in ({"helpers": False}, {"line": ""}, {"line": "1234:broken\n"}):
        ids = as_user(monkeypatch, tmp_path, **options)
        assert ids.users == ((0, 1234, 1),) and not ids.several and ids.helpers is None


def test_problems_that_make_or_use_other_users_are_known():
    for script in (
        "chown jo /x",
        "x; su - jo -c id",
        "if a; then chgrp b c; fi",
        "find / -exec chown a {} +",
        "a && sudo b",
    ):
        assert needs_user_ids(Problem("p", "k", "d", init=(Script(script),), match="x")), script
        assert needs_user_ids(Problem("p", "k", "d", checks=(None,), example=Script(script))), script
    for script in ("touch /x", "useradd -m -G root,sudo jo", "ls /home/su", "chmod 700 /x"):
        assert not needs_user_ids(Problem("p", "k", "d", init=(Script(script),), checks=(None,))), script
