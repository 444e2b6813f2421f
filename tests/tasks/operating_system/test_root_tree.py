import os
from pathlib import Path

import pytest

from agentx.tasks.operating_system.root_tree import root_tree

pytestmark = pytest.mark.sandbox


def test_holds_no_file_that_the_hosts_users_may_not_read_and_is_made_once(tmp_path):
    tree = root_tree(tmp_path)
    own = {"shadow", "gshadow"}
    for folder, _, names in os.walk(tree / "root" / "etc"):
        for name in set(names) - own:
            path = Path(folder, name)
            assert path.is_symlink() or path.stat().st_mode & 0o004, path
    assert all(line.split(":")[1] == "*" for line in (tree / "root/etc/shadow").read_text().splitlines())
    assert root_tree(tmp_path) == tree
    assert [path.name for path in tmp_path.iterdir()] == [tree.name]
