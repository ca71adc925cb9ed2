"""Changesets become layers: whole, in overlayfs's form, with one DiffID however often they are made."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import socket
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paas.errors import BadInput, HostProblem
from paas.images import Store
from tests.images.conftest import open_descriptors, seen

pytestmark = pytest.mark.kernel
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep
T = 1_700_000_000


def furnish(upper: Path) -> None:
    """One of everything that a build step leaves behind."""
    (upper / "etc/conf.d").mkdir(parents=True)
    (upper / "etc/conf.d/größe.conf").write_text("ü")
    (upper / "etc" / ("n" * 200)).write_text("a long name")
    (upper / "bin").mkdir()
    tool = upper / "bin/tool"
    tool.write_bytes(os.urandom(300_000))
    os.link(tool, upper / "bin/alias")
    os.chown(tool, 1000, 1001)
    tool.chmod(0o4755)
    os.setxattr(tool, "security.capability", CAPABILITY)
    os.setxattr(tool, "user.note", b"not of the image")
    (upper / "bin/sh").symlink_to("../../../../etc/passwd")
    os.mkfifo(upper / "pipe", 0o622)
    os.mknod(upper / "gone", stat.S_IFCHR, os.makedev(0, 0))
    (upper / "fresh").mkdir(mode=0o2770)
    os.setxattr(upper / "fresh", "trusted.overlay.opaque", b"y")
    (upper / "fresh/file").write_text("1")
    os.lchown(upper / "bin/sh", 5, 6)
    for path in upper.rglob("*"):
        os.utime(path, (T, T + 0.5), follow_symlinks=False)


def canonical_tar(store: Store, diff_id: str) -> bytes:
    buffer = io.BytesIO()
    store.export_layer(diff_id, buffer)
    return buffer.getvalue()


def test_a_layer_holds_all_of_the_changeset(store: Store, upper: Path) -> None:
    furnish(upper)
    before = seen(upper)
    info = store.commit_changeset(upper)
    assert seen(store.layer_path(info.diff_id)) == before == seen(upper)
    assert info == store.layer_info(info.diff_id)
    assert info.files == len(before) + 1  # and the mark in fresh/
    assert "user.note" not in os.listxattr(store.layer_path(info.diff_id) / "bin/tool")


def test_the_canonical_tar_gives_the_same_layer_again(store: Store, upper: Path, tmp_path: Path) -> None:
    furnish(upper)
    info = store.commit_changeset(upper)
    tar = canonical_tar(store, info.diff_id)
    assert info.diff_id == f"sha256:{hashlib.sha256(tar).hexdigest()}"
    assert info.tar_bytes == len(tar)
    other = Store(tmp_path / "other")
    imported = other.import_layer(io.BytesIO(tar), expected=info.diff_id)
    assert (imported.diff_id, imported.size, imported.tar_bytes) == (info.diff_id, info.size, info.tar_bytes)
    assert seen(other.layer_path(info.diff_id)) == seen(store.layer_path(info.diff_id))
    assert other.commit_changeset(other.layer_path(info.diff_id)).diff_id == info.diff_id
    assert store.fsck() == ()


def test_the_tar_is_as_the_image_specification_says(store: Store, upper: Path) -> None:
    furnish(upper)
    tar = canonical_tar(store, store.commit_changeset(upper).diff_id)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        members = {member.name: member for member in archive}
        names = list(members)
    assert names == sorted(names, key=lambda name: [p.removeprefix(".wh.").encode() for p in name.split("/")])
    assert names.index("fresh") + 1 == names.index("fresh/.wh..wh..opq")
    assert members[".wh.gone"].isreg() and members[".wh.gone"].size == 0
    assert "gone" not in members
    assert members["bin/tool"].linkname == "bin/alias" and members["bin/tool"].islnk()
    assert members["bin/alias"].mode == 0o4755
    assert "SCHILY.xattr.security.capability" in members["bin/alias"].pax_headers
    assert members["etc/conf.d"].pax_headers == {}  # pax only where needed


def test_gnu_tar_unpacks_it_alike(store: Store, upper: Path, tmp_path: Path) -> None:
    furnish(upper)
    (upper / "gone").unlink()
    os.removexattr(upper / "fresh", "trusted.overlay.opaque")
    tar = canonical_tar(store, store.commit_changeset(upper).diff_id)
    out = tmp_path / "out"
    out.mkdir()
    argv: list[str | Path] = ["tar", "-xp", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", out]
    subprocess.run(argv, input=tar, check=True, timeout=30)
    assert seen(out) == seen(upper)


def test_gnu_tars_archive_of_a_folder_is_a_layer_with_the_same_tree(
    store: Store, upper: Path, tmp_path: Path
) -> None:
    furnish(upper)
    (upper / "gone").unlink()
    os.removexattr(upper / "fresh", "trusted.overlay.opaque")
    argv: list[str | Path] = ["tar", "-c", "--format=gnu", "--numeric-owner", "-C", upper, "."]
    tar = subprocess.run(argv, capture_output=True, check=True, timeout=30).stdout
    os.removexattr(upper / "bin/tool", "security.capability")  # the gnu format cannot hold it
    imported = store.import_layer(io.BytesIO(tar))
    assert not imported.canonical
    assert seen(store.layer_path(imported.diff_id)) == seen(upper)
    named = store.import_layer(io.BytesIO(tar), canonical=True)
    assert named.diff_id == store.commit_changeset(upper).diff_id


def test_equal_content_has_one_diff_id(store: Store, upper: Path, tmp_path: Path) -> None:
    furnish(upper)
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", upper, copy], check=True, timeout=30)
    os.utime(copy / "bin", (T, T + 0.25))  # below a second
    first, second = store.commit_changeset(upper), store.commit_changeset(copy)
    assert first.diff_id == second.diff_id
    assert [p.name for p in (store.root / "layers").iterdir()] == [first.diff_id.removeprefix("sha256:")]


def test_later_times_are_given_as_the_epoch(store: Store, upper: Path) -> None:
    (upper / "old").write_text("")
    (upper / "new").write_text("")
    os.utime(upper / "old", (T - 10, T - 10))
    layer = store.layer_path(store.commit_changeset(upper, epoch=T).diff_id)
    assert [(layer / name).stat().st_mtime for name in ("old", "new")] == [T - 10, T]


def test_what_is_excluded_is_not_in_the_layer(store: Store, upper: Path) -> None:
    furnish(upper)
    layer = store.layer_path(store.commit_changeset(upper, exclude=["/bin", "etc/conf.d/", "gone"]).diff_id)
    assert {str(p.relative_to(layer)) for p in layer.rglob("*")} == {
        "etc", "etc/" + "n" * 200, "fresh", "fresh/file", "pipe",
    }  # fmt: skip


def test_a_socket_is_left_out(store: Store, upper: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(upper / "s"))
        assert store.commit_changeset(upper).files == 0


@pytest.mark.parametrize(
    ("kind", "device"), [(stat.S_IFCHR, os.makedev(1, 3)), (stat.S_IFBLK, os.makedev(7, 0))]
)
def test_a_device_is_refused_with_its_name(store: Store, upper: Path, kind: int, device: int) -> None:
    os.mknod(upper / "sda\n", kind, device)
    with pytest.raises(BadInput, match=r"'sda\\\\n' is a device"):
        store.commit_changeset(upper)
    assert list((store.root / "layers").iterdir()) == []


def test_a_name_that_would_read_as_a_whiteout_is_refused(store: Store, upper: Path) -> None:
    (upper / ".wh.etc").mkdir()
    with pytest.raises(BadInput, match=r"'.wh.etc' cannot be in an image"):
        store.commit_changeset(upper)


def test_a_changeset_whose_content_is_elsewhere_is_refused(store: Store, upper: Path) -> None:
    (upper / "f").write_text("")
    os.setxattr(upper / "f", "trusted.overlay.metacopy", b"")
    with pytest.raises(HostProblem, match=r"incomplete: 'f' has trusted.overlay.metacopy"):
        store.commit_changeset(upper)


def test_an_id_outside_the_tenants_range_is_refused(store: Store, upper: Path) -> None:
    (upper / "f").write_text("")
    os.chown(upper / "f", 65536, 0)
    with pytest.raises(BadInput, match="'f' belongs to an id above 65,535"):
        store.commit_changeset(upper)


def test_a_tree_too_deep_is_refused_and_removed(store: Store, upper: Path) -> None:
    fd = os.open(upper, os.O_RDONLY)
    for _ in range(3000):  # deeper than any path can say
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    with pytest.raises(BadInput, match=r"^'(d/){30}\.\.\.' lies more than 128 folders deep"):
        store.commit_changeset(upper)
    assert list((store.root / "layers").iterdir()) == []
    subprocess.run(["rm", "-rf", upper], check=True, timeout=60)


def test_a_sparse_giant_stops_at_the_limit(store: Store, upper: Path) -> None:
    with (upper / "giant").open("wb") as file:
        file.truncate(100 * 2**30)
    with pytest.raises(BadInput, match=r"changeset unpacks to more than 10,000,000 bytes, at 'giant'"):
        store.commit_changeset(upper, max_bytes=10_000_000)


def test_a_sparse_file_stays_sparse(store: Store, upper: Path) -> None:
    with (upper / "sparse").open("wb") as file:
        file.truncate(8 * 2**20)
        file.seek(4 * 2**20)
        file.write(b"x")
    layer = store.layer_path(store.commit_changeset(upper).diff_id)
    assert (layer / "sparse").read_bytes() == (upper / "sparse").read_bytes()
    assert (layer / "sparse").stat().st_blocks * 512 < 2 * 2**20


def test_too_many_files_stop_at_the_limit(store: Store, upper: Path) -> None:
    for number in range(20):
        (upper / f"{number:02}").touch()
    with pytest.raises(BadInput, match=r"more than 10 files and folders, at '10'"):
        store.commit_changeset(upper, max_files=10)


def test_nothing_outside_is_read_through_links(store: Store, upper: Path) -> None:
    (upper / "etc").symlink_to("/etc")
    (upper / "shadow").symlink_to("/etc/shadow")
    tar = canonical_tar(store, store.commit_changeset(upper).diff_id)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert [(m.name, m.linkname) for m in archive] == [("etc", "/etc"), ("shadow", "/etc/shadow")]


def test_no_descriptor_is_left_open(store: Store, upper: Path) -> None:
    furnish(upper)
    before = open_descriptors()
    store.commit_changeset(upper)
    os.mknod(upper / "z", stat.S_IFBLK, os.makedev(7, 0))
    with pytest.raises(BadInput):
        store.commit_changeset(upper)
    assert open_descriptors() == before


SCRIPT = """
set -e
mount -t tmpfs none {work}; mkdir {work}/u {work}/w {work}/m
cd {work}
mount -t overlay none -o lowerdir={lower},upperdir=u,workdir=w,metacopy=off,redirect_dir=off m
cd m; {change}; cd /; touch -d @{time} {work}/m
cp -a {work}/m {out}/merged; umount {work}/m; cp -a --preserve=all {work}/u {out}/upper
"""
CHANGES = {
    "remove": "rm -r keep/a one",
    "replace a folder": "rm -r keep; mkdir keep; echo new > keep/new",
    "a file becomes a folder": "rm one; mkdir one; echo x > one/x",
    "a folder becomes a file": "rm -r keep; echo x > keep",
    "rename": "mv one two; mv keep/a keep/b",
    "link": "ln one keep/link; ln -s one keep/soft",
    "only attributes": "chmod 600 one; chown 7:8 keep",
}


@pytest.mark.parametrize("name", CHANGES)
def test_overlayfs_shows_the_committed_layer_as_the_step_left_it(
    store: Store, tmp_path: Path, name: str
) -> None:
    lower, work, out = (tmp_path / n for n in ("lower", "work", "out"))
    for folder in (lower / "keep/a", work, out / "again"):
        folder.mkdir(parents=True)
    (lower / "one").write_text("1")
    (lower / "keep/a/file").write_text("2")
    script = SCRIPT.format(lower=lower, work=work, out=out, change=CHANGES[name], time=T)
    subprocess.run(["unshare", "-m", "sh", "-c", script], check=True, timeout=30)
    layer = store.layer_path(store.commit_changeset(out / "upper").diff_id)
    again = f"mount -t overlay none -o lowerdir={layer}:{lower} {out}/again && cp -a {out}/again {out}/seen"
    subprocess.run(["unshare", "-m", "sh", "-c", again], check=True, timeout=30)
    assert _names(out / "seen") == _names(out / "merged")


def _names(root: Path) -> dict[str, object]:
    found = {path: facts[:4] for path, facts in seen(root).items()}
    return {
        path: (*facts[:3], facts[3] if stat.S_ISREG(int(str(facts[0]))) else 0) for path, facts in found.items()
    }


part = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=40
).filter(lambda name: name not in (".", "..") and not name.startswith(".wh."))
trees = st.recursive(
    st.binary(max_size=700), lambda child: st.dictionaries(part, child, max_size=4), max_leaves=12
).filter(lambda tree: isinstance(tree, dict))


def _grow(folder: Path, tree: dict[str, object]) -> None:
    for name, child in tree.items():
        if isinstance(child, dict):
            (folder / name).mkdir()
            _grow(folder / name, child)
        else:
            (folder / name).write_bytes(bytes(child))  # type: ignore[call-overload]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees)
def test_any_tree_survives_commit_export_and_import(tmp_path: Path, tree: dict[str, object]) -> None:
    upper = tmp_path / "tree"
    upper.mkdir()
    store, other = Store(tmp_path / "one"), Store(tmp_path / "two")
    try:
        _grow(upper, tree)
        info = store.commit_changeset(upper)
        other.import_layer(io.BytesIO(canonical_tar(store, info.diff_id)), expected=info.diff_id)
        assert seen(other.layer_path(info.diff_id)) == seen(upper)
    finally:
        for path in (upper, store.root, other.root):
            shutil.rmtree(path)
