import subprocess
import sys

import pytest

from agentx.errors import UserError
from agentx.tasks.operating_system import availability as module
from agentx.tasks.operating_system.availability import KINDS, sandbox_kind, sandbox_kinds
from agentx.tasks.operating_system.preparation import sandboxes


def test_every_kind_says_whether_it_works_in_one_line():
    found = sandbox_kinds()
    assert [kind.name for kind in found] == list(KINDS)
    for kind in found:
        assert kind.detail and "\n" not in kind.line
        assert kind.works or kind.remedy


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=1000"),
        ("kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "apparmor_restrict_unprivileged_userns=0"),
    ],
)
def test_what_forbids_namespaces_is_named_with_what_mends_it(tmp_path, monkeypatch, name, value, said):
    for folder in ("user", "kernel"):
        (tmp_path / folder).mkdir()
    (tmp_path / "user/max_user_namespaces").write_text("1000")
    (tmp_path / name).write_text(value)
    monkeypatch.setattr(module, "_SYSCTL", tmp_path)
    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    found = sandbox_kind("namespaces")
    assert not found.works and said in found.remedy and "docker or podman" in found.remedy


def test_a_forbidden_call_is_found_by_trying_it(monkeypatch):
    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.setattr(module, "_PROBE", "import sys; sys.exit(1)")
    found = sandbox_kind("namespaces")
    if "forbidden" not in found.detail:
        pytest.skip(f"this machine says no before it is tried: {found.detail}")
    assert not found.works and "seccomp=unconfined" in found.remedy


def test_elsewhere_than_on_linux_the_alternatives_are_named(monkeypatch):
    monkeypatch.setattr(module.sys, "platform", "darwin")
    sandboxes.cache_clear()
    with pytest.raises(UserError, match=r"task\.sandbox=namespaces: .*Linux; use task\.sandbox=docker or podman"):
        sandboxes("namespaces")


def test_it_imports_nothing_heavy():
    program = (
        "import sys, agentx.tasks.operating_system.availability, agentx.tasks.database.availability\n"
        "print([name for name in ('torch', 'transformers', 'pymysql', 'sqlglot') if name in sys.modules])"
    )

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"
