"""Symbolic links of an unpacked source: each must lead to a place inside its own tree."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from paas.errors import BadInput
from paas.images.names import Parts, shown
from paas.images.tree import DIRECTORY

_MAX_HOPS = 40  # as the kernel's


def check_links(root: Path) -> None:
    """Raise BadInput, with its name, for a link that leaves the tree. One that dangles inside may stay."""
    fd = os.open(root, DIRECTORY)
    try:
        for parts, target in _links(fd):
            if not _stays_inside(fd, parts[:-1], target):
                raise BadInput(
                    f"archive entry {shown('/'.join(parts))!r} is a link to {shown(target)!r}, outside it",
                    hint="replace it by the file itself",
                )
    finally:
        os.close(fd)


def _links(root: int) -> Iterator[tuple[Parts, str]]:
    for folder, folders, files, fd in os.fwalk(".", dir_fd=root):
        at = tuple(part for part in folder.split("/") if part != ".")
        for name in sorted(folders + files):
            if stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                yield (*at, name), os.readlink(name, dir_fd=fd)


def _stays_inside(root: int, base: Parts, target: str) -> bool:
    """Follow the target by hand: below `root`, and never above it."""
    here, todo, hops = list(base), target.split("/")[::-1], 0
    if target.startswith("/"):
        return False
    while todo:
        name = todo.pop()
        if name in ("", "."):
            continue
        if name == "..":
            if not here:
                return False
            here.pop()
            continue
        here.append(name)
        if (further := _readlink(root, here)) is not None:
            hops += 1
            if further.startswith("/") or hops > _MAX_HOPS:
                return False
            here.pop()
            todo.extend(further.split("/")[::-1])
    return True


def _readlink(root: int, parts: list[str]) -> str | None:
    try:
        return os.readlink("/".join(parts), dir_fd=root)
    except OSError:  # no link there, or nothing at all
        return None
