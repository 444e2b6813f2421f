"""Where limited groups can be made, on pretended hierarchies: a machine has only one."""

import pytest

from agentx.tasks.operating_system.control_groups import ControlGroups, find_parents


@pytest.fixture
def hierarchy(tmp_path):
    """Files as version 2 has them; `passed` is what each group passes on to those below."""

    def make(own, passed):
        root = tmp_path / "cgroup"
        (root / own.lstrip("/")).mkdir(parents=True, exist_ok=True)
        (root / "cgroup.controllers").write_text("cpu memory pids")
        for path, controllers in passed.items():
            folder = root / path.lstrip("/")
            (folder / "cgroup.subtree_control").write_text(controllers)
            (folder / "cgroup.procs").write_text("")
        (tmp_path / "own").write_text(f"0::{own}\n")
        return root, tmp_path / "own"

    return make


def test_version_2_takes_the_nearest_group_that_passes_both_on(hierarchy):
    root, own = hierarchy("/user/app/run.scope", {"/": "cpu memory pids", "/user/app": "memory pids", "/user": "cpu"})
    assert find_parents(root, own) == dict.fromkeys(("memory", "pids"), root / "user/app")


def test_version_2_without_delegation_has_none(hierarchy):
    root, own = hierarchy("/user/session.scope", {"/": "cpu", "/user": "memory"})
    assert find_parents(root, own) == {}


def test_version_2_does_not_look_above_its_root(hierarchy):
    root, own = hierarchy("/", {"/": ""})
    (root.parent / "cgroup.subtree_control").write_text("memory pids")
    (root.parent / "cgroup.procs").write_text("")
    assert find_parents(root, own) == {}


def test_version_1_takes_the_own_group_of_each_controller(tmp_path):
    for name in ("memory/a", "pids"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "own").write_text("4:memory:/a\n3:cpu,pids:/\n1:name=systemd:/\n0::/\n")
    assert find_parents(tmp_path, tmp_path / "own") == {"memory": tmp_path / "memory/a", "pids": tmp_path / "pids"}


def test_where_nothing_can_be_made_nothing_is_promised(tmp_path, monkeypatch):
    monkeypatch.setattr("agentx.tasks.operating_system.control_groups.find_parents", lambda root: {"memory": tmp_path})
    groups = ControlGroups.create(1 << 20, 10, tmp_path)
    # An ordinary directory has no files of the kernel: no limit holds there.
    assert (groups.memory, groups.processes) == (False, False)
    groups.remove()
    assert list(tmp_path.iterdir()) == []
