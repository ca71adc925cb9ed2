"""A stack shows what an overlay of the same layers shows: the kernel is the judge."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from paas.contents import Stack, compare
from paas.linux import mounts, trees
from paas.linux.namespaces import enter_private_mount_namespace
from tests.contents.conftest import Layer
from tests.images.conftest import open_descriptors

LAYERS: tuple[dict[str, str | bytes | None], ...] = (
    {"a": "1", "dir/x": "x", "dir/y": "y", "deep/er/file": "f", "was-folder/in": "i", "link": "-> a", "e/": ""},
    {"a": None, "dir/x": "xx", "deep/er": "now a file", "was-folder": None, "new/n": "n"},
    {"a": "3", "dir/z": "z", "deep": None, "was-folder/again": "g", "new": "-> dir"},
)
OPAQUE: tuple[tuple[str, ...], ...] = ((), (), ("was-folder", "dir"))


@pytest.mark.kernel
def test_a_stack_is_what_overlayfs_shows(layer: Layer, tmp_path: Path) -> None:
    folders = [layer(files, opaque=opaque) for files, opaque in zip(LAYERS, OPAQUE, strict=True)]
    for count in (1, 2, 3):
        with Stack(folders[:count]) as stack:
            ours = {e.path: (e.kind, e.mode, e.size, e.target) for e in stack.walk()}
        assert ours == _merged(folders[:count], tmp_path / f"scratch{count}"), count


def _merged(folders: list[Path], scratch: Path) -> dict[str, tuple[str, int, int, str]]:
    for name in ("upper", "work", "merged"):
        (scratch / name).mkdir(parents=True)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # in a mount namespace of its own, which ends with it
        status = 1
        try:
            enter_private_mount_namespace()
            lower = [str(folder) for folder in reversed(folders)]
            mounts.overlay(
                lower, str(scratch / "upper"), str(scratch / "work"), scratch / "merged", folder=scratch
            )
            os.write(write, repr(_seen(scratch / "merged")).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    assert os.waitpid(child, 0)[1] == 0
    found: dict[str, tuple[str, int, int, str]] = eval(text)
    return found


def _seen(root: Path) -> dict[str, tuple[str, int, int, str]]:
    found = {}
    for path in root.rglob("*"):
        status = path.lstat()
        kind = {stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}.get(stat.S_IFMT(status.st_mode), "file")
        size = status.st_size if kind == "file" else 0
        target = str(path.readlink()) if kind == "link" else ""
        found[str(path.relative_to(root))] = (kind, stat.S_IMODE(status.st_mode), size, target)
    return found


def test_reading_takes_the_topmost_and_no_link(layer: Layer) -> None:
    below, above = layer({"f": "old", "secret": "-> /etc/passwd"}), layer({"f": "new"})
    with Stack([below, above]) as stack:
        assert stack.read("f", 10) == b"new"
        assert stack.read("f", 2) is None
        assert stack.read("secret", 100_000) is None
        assert stack.read("missing/too", 10) is None


@pytest.mark.parametrize("path", ["../outside", "out/passwd", "/etc/passwd", "loop/loop/x"])
def test_no_path_leads_out(layer: Layer, path: str) -> None:
    folder = layer({"out": "-> /etc", "loop": "-> loop"})
    (folder.parent / "outside").write_text("host")
    with Stack([folder]) as stack:
        assert stack.entry(path) is None and stack.read(path, 1000) is None


def test_a_folder_that_turns_into_a_link_while_it_is_walked_leads_nowhere(layer: Layer) -> None:
    folder = layer({"d/passwd": "mine"})
    with Stack([folder], live=True) as stack:
        assert stack.entry("d") is not None
        (folder / "d" / "passwd").unlink()
        (folder / "d").rmdir()
        (folder / "d").symlink_to("/etc")
        assert stack.entry("d/passwd") is None
        assert [entry.path for entry in stack.walk("d")] == []


def test_folders_deeper_than_any_path_are_shown_as_far_as_one_leads(layer: Layer) -> None:
    folder = layer({"f": "1", "z": "2"})
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    deepest = "/".join("d" * 2048)  # of 4,095 bytes, the most that the kernel takes (path_resolution(7))
    with Stack([folder]) as stack:
        assert stack.entry(f"{deepest}/d") is None
        found = stack.entry(deepest)
        assert found is not None and found.kind == "folder"
    with Stack([folder]) as stack:
        assert [mark.path for mark in stack.marks(0)][2047:] == [deepest, "f", "z"]
        assert [entry.path for entry in stack.walk()][2047:] == [deepest, "f", "z"]
    with Stack([layer({})]) as left, Stack([folder]) as right:
        assert [change.path for change in compare(left, right).found] == [deepest, "f", "z"]
    trees.remove(folder)


def test_nothing_stays_open(layer: Layer) -> None:
    before = open_descriptors()
    with Stack([layer({"a/b": "1"})]) as stack:
        list(stack.walk())
    assert open_descriptors() == before
