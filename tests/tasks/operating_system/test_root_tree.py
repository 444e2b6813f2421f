import io
import os
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentx.errors import UserError
from agentx.tasks.operating_system import image_tree
from agentx.tasks.operating_system.namespaces import NamespaceSandbox
from agentx.tasks.operating_system.root_tree import made_once, root_tree
from agentx.tasks.operating_system.sandbox import Limits

ROOT = Path(__file__).resolve().parents[3]


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.sandbox
def test_holds_no_file_that_the_hosts_users_may_not_read_and_is_made_once(tmp_path):
    tree = root_tree(cache=tmp_path)
    own = {"shadow", "gshadow"}
    root = dict(tree.overlays)["/"][0]
    for folder, _, names in os.walk(root / "etc"):
        for name in set(names) - own:
            path = Path(folder, name)
            assert path.is_symlink() or path.stat().st_mode & 0o004, path
    assert all(line.split(":")[1] == "*" for line in (root / "etc/shadow").read_text().splitlines())
    before = root.stat().st_ino
    assert root_tree(cache=tmp_path) == tree and root.stat().st_ino == before
    assert visible(tmp_path) == [root.parent.name]
    assert tree.name == "host's /usr" and tree.about["root_tree"] == "host"


def test_is_filled_once_by_one_of_many_and_never_half(tmp_path):
    filled = []

    def fill(folder):
        filled.append(folder)
        assert not (tmp_path / "tree").exists()
        (folder / "file").write_text("whole")

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: made_once(tmp_path / "tree", fill), range(8)))
    assert set(made) == {tmp_path / "tree"} and len(filled) == 1
    assert (tmp_path / "tree" / "file").read_text() == "whole"
    assert visible(tmp_path) == ["tree"]


def test_what_fails_or_is_killed_leaves_no_tree_and_the_next_one_tidies_up(tmp_path):
    def fail(folder):
        (folder / "file").write_text("half")
        raise UserError("no")

    with pytest.raises(UserError):
        made_once(tmp_path / "tree", fail)
    assert visible(tmp_path) == []
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from agentx.tasks.operating_system.root_tree import made_once\n"
        "def fill(folder):\n"
        "    (folder / 'file').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "made_once(Path(sys.argv[1]), fill)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "tree")], env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60
    )
    assert [name.startswith(".unfinished-tree-") for name in visible(tmp_path)] == [True]
    made_once(tmp_path / "tree", lambda folder: None)
    assert visible(tmp_path) == ["tree"]


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="set XDG_CACHE_HOME"):
        made_once(tmp_path / "file" / "tree", lambda folder: None)


@pytest.fixture
def small_tree(tmp_path):
    """A root file system of one program that is linked to nothing: busybox is not everywhere, so it is made here."""
    linked = subprocess.run(["ldd", "/bin/bash"], capture_output=True, text=True)
    if linked.returncode:
        pytest.skip("no ldd here to find what bash needs")
    path = tmp_path / "small.tar"
    libraries = [word for word in linked.stdout.split() if word.startswith("/")]
    with tarfile.open(path, "w") as archive:
        for name in ("usr", "usr/bin", "etc", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(folder)
        link = tarfile.TarInfo("bin")
        link.type, link.linkname = tarfile.SYMTYPE, "usr/bin"
        archive.addfile(link)
        for source in ("/bin/bash", *libraries):
            with open(source, "rb") as program:
                target = "usr/bin/bash" if source == "/bin/bash" else source.lstrip("/")
                entry = tarfile.TarInfo(target)
                entry.size, entry.mode = os.path.getsize(source), 0o4755
                archive.addfile(entry, program)
        device = tarfile.TarInfo("dev/disk")
        device.type, device.devmajor, device.devminor = tarfile.BLKTYPE, 8, 0
        archive.addfile(device)
        if os.geteuid() == 0:  # others cannot unpack it
            device.name = "usr/bin/disk"
            archive.addfile(device)
        again = tarfile.TarInfo("etc/again")
        again.type, again.linkname = tarfile.LNKTYPE, "etc/owned"
        owned = tarfile.TarInfo("etc/owned")
        owned.uid = owned.gid = 7
        archive.addfile(owned)
        archive.addfile(again)
    return path


@pytest.mark.sandbox
def test_a_tar_file_is_all_that_a_sandbox_shows(small_tree, tmp_path, run):
    tree = root_tree(str(small_tree), tmp_path / "cache")
    assert tree.name == "small.tar"

    async def look():
        sandbox = await NamespaceSandbox.start(Limits(), tree)
        try:
            script = (
                "echo /usr/bin/* /etc/*; echo x > /etc/new; [ -u /bin/bash ] && echo set-id; [ -k /tmp ] && echo sticky"
            )
            return await sandbox.run(["bash", "-c", script], 10)
        finally:
            await sandbox.close()

    shown = run(look()).output.decode()
    assert shown == "/usr/bin/bash /etc/again /etc/owned\nset-id\nsticky\n"
    assert not (tree.overlays[0][1][0] / "etc/new").exists()
    if os.geteuid() == 0:
        assert (tree.overlays[0][1][0] / "etc/owned").stat().st_uid == tree.ids.owner + 7


def test_what_is_no_root_file_system_is_refused(tmp_path):
    for name, content in (("text.tar", b"not a tar file" * 100), ("empty.tar", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"task\.root_tree=.*{name}"):
            root_tree(str(tmp_path / name), tmp_path / "cache")
    with tarfile.open(tmp_path / "other.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("readme"), io.BytesIO())
    with pytest.raises(UserError, match="holds no root file system"):
        root_tree(str(tmp_path / "other.tar"), tmp_path / "cache")
    with pytest.raises(UserError, match="is neither host, debian nor a file"):
        root_tree(str(tmp_path / "missing.tar"), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("os-tree-*"))


def test_a_tar_file_writes_nothing_outside(tmp_path):
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../../../escaped"), io.BytesIO())
    with pytest.raises(UserError, match=r"evil\.tar"):
        root_tree(str(tmp_path / "evil.tar"), tmp_path / "cache")
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize("program", ["mmdebstrap", "debootstrap"])
def test_debian_is_made_by_either_program(program, small_tree, tmp_path, monkeypatch):
    """By a stand-in for it, which unpacks or copies the small tree: the real one takes minutes and the network."""
    if program == "debootstrap" and os.geteuid():
        pytest.skip("debootstrap needs root")
    made = f'mkdir "$t" && tar -C "$t" -xf {small_tree}' if program == "debootstrap" else f'cp {small_tree} "$t"'
    stand_in = tmp_path / "bin" / program
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/bash\necho "$@" >> {tmp_path}/asked\nfor t; do :; done\n{made}\n')
    stand_in.chmod(0o755)
    monkeypatch.setattr(image_tree.shutil, "which", lambda name: str(stand_in) if name == program else None)
    for _ in range(2):
        tree = root_tree("debian", tmp_path / "cache")
    (asked,) = (tmp_path / "asked").read_text().splitlines()
    assert asked.startswith("--variant=minbase --include=") and "python3" in asked and " bookworm " in asked
    assert (tree.overlays[0][1][0] / "bin/bash").exists() and tree.name == "Debian bookworm"
    assert not list(tmp_path.rglob("tree.tar"))


def test_without_a_program_that_makes_a_debian_the_alternatives_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(image_tree, "bootstrap_program", lambda: None)
    with pytest.raises(UserError, match=r"apt install mmdebstrap.*task\.root_tree=host"):
        root_tree("debian", tmp_path)
    monkeypatch.setattr(image_tree, "bootstrap_program", lambda: "/bin/false")
    with pytest.raises(UserError, match=r"task\.root_tree=debian: tar failed|/bin/false failed"):
        root_tree("debian", tmp_path)
    assert visible(tmp_path) == []


def test_packages_tell_trees_apart(tmp_path):
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    assert image_tree.packages_digest(tmp_path) == ""
    digests = []
    for version in ("1.0", "1.1"):
        status.write_text(f"Package: bash\nStatus: install ok installed\nPriority: required\nVersion: {version}\n\n")
        digests.append(image_tree.packages_digest(tmp_path))
    assert len(set(digests)) == 2 and all(len(digest) == 12 for digest in digests)
