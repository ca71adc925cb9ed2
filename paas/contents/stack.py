"""Layers read as the one tree that a container sees, without mounting it.

The rules are overlayfs's (Documentation/filesystems/overlayfs.rst): the topmost layer that has a name counts, a
character device 0:0 hides it, folders merge down to one that is opaque. Layers hold what tenants wrote, and a
running container's upper folder changes while it is read: each path is opened without following any link, and
what has vanished meanwhile was never there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from paas.linux.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

Kind = Literal["file", "folder", "link", "other"]
OPAQUE = "trusted.overlay.opaque"
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ENAMETOOLONG)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a path is. `layer` counts from the bottom, 0 first; `size` in bytes, 0 for all but files."""

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    target: str
    layer: int
    inode: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """A name as one layer has it: `hides` says that what lower layers have at or below it does not show."""

    path: str
    is_folder: bool
    hides: bool


class Stack:
    """`folders` are unpacked layers, bottom first; `live`: the last is a running container's upper folder."""

    def __init__(self, folders: Sequence[Path], *, live: bool = False) -> None:
        self.folders, self.live = tuple(folders), live
        self._roots: list[int] = []
        self._parts: dict[str, tuple[int, ...]] = {}

    def __enter__(self) -> Self:
        for folder in self.folders:
            self._roots.append(os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        self._parts[""] = self._merging("", range(len(self._roots) - 1, -1, -1))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        while self._roots:
            os.close(self._roots.pop())

    # --- the merged tree
    def entry(self, path: str) -> Entry | None:
        """What a container sees at `path` ("app/main.py"); links in it are not followed."""
        above = path.rpartition("/")[0]
        for number in self._layers_of(above):
            found = self._look(number, path)
            if found is not None:
                return None if _is_whiteout(found) else self._entry(number, path, found)
        return None

    def walk(self, top: str = "") -> Iterator[Entry]:
        """Everything below `top`, each folder before what is in it; nothing where there is no such folder."""
        levels = [(top, iter(sorted(self._names(top))))]  # no recursion: see `marks`
        while levels:
            folder, names = levels[-1]
            if (name := next(names, None)) is None:
                levels.pop()
                continue
            entry = self.entry(_below(folder, name))
            if entry is not None:
                yield entry
                if entry.kind == "folder":
                    levels.append((entry.path, iter(sorted(self._names(entry.path)))))

    @contextmanager
    def opened(self, entry: Entry) -> Iterator[int]:
        """A descriptor to read the file with. OSError when it is gone."""
        fd = _open(self._roots[entry.layer], entry.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            yield fd
        finally:
            os.close(fd)

    def read(self, path: str, limit: int) -> bytes | None:
        """A file's content; None when there is no such file, or it is larger than `limit` bytes."""
        entry = self.entry(path)
        if entry is None or entry.kind != "file" or entry.size > limit:
            return None
        with suppress(OSError), self.opened(entry) as fd, os.fdopen(os.dup(fd), "rb") as file:
            content = file.read(limit + 1)
            return content if len(content) <= limit else None
        return None

    # --- one layer
    def marks(self, number: int, top: str = "") -> Iterator[Mark]:
        """Every name that layer `number` has by itself, whiteouts among them. A tenant makes folders thirty
        thousand deep in a second: there is no call for each, and what lies deeper than a path may be long
        (PATH_MAX) has no path that anything else could open it by, and is left out."""
        levels = [(top, iter(sorted(self._names_in(number, top))))]
        while levels:
            folder, names = levels[-1]
            if (name := next(names, None)) is None:
                levels.pop()
                continue
            path = _below(folder, name)
            found = self._look(number, path)
            if found is None:
                continue
            is_folder = stat.S_ISDIR(found.st_mode)
            yield Mark(path, is_folder, hides=not is_folder or self._is_opaque(number, path))
            if is_folder:
                levels.append((path, iter(sorted(self._names_in(number, path)))))

    # --- parts
    def _layers_of(self, folder: str) -> tuple[int, ...]:
        """The layers, top first, that a folder is merged from; none where it is no folder."""
        missing = []
        while (found := self._parts.get(folder)) is None:
            missing.append(folder)
            folder = folder.rpartition("/")[0]
        for below in reversed(missing):
            found = self._parts[below] = self._merging(below, found)
        return found

    def _merging(self, folder: str, above: Sequence[int]) -> tuple[int, ...]:
        merged = []
        for number in above:
            found = self._look(number, folder)
            if found is None:
                continue
            if not stat.S_ISDIR(found.st_mode):
                break
            merged.append(number)
            if self._is_opaque(number, folder):
                break
        return tuple(merged)

    def _names(self, folder: str) -> set[str]:
        return {name for number in self._layers_of(folder) for name in self._names_in(number, folder)}

    def _names_in(self, number: int, folder: str) -> list[str]:
        with suppress(OSError):
            fd = _open(self._roots[number], folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                return _listed(fd)
            finally:
                os.close(fd)
        return []

    def _look(self, number: int, path: str) -> os.stat_result | None:
        try:
            fd = _open(self._roots[number], path, os.O_PATH)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def _is_opaque(self, number: int, folder: str) -> bool:
        with suppress(OSError):
            fd = _open(self._roots[number], folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                return os.getxattr(fd, OPAQUE) == b"y"
            finally:
                os.close(fd)
        return False

    def _entry(self, number: int, path: str, found: os.stat_result) -> Entry:
        kind = _kind(found)
        return Entry(
            path=path,
            kind=kind,
            mode=stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
            size=found.st_size if kind == "file" else 0,
            mtime=int(found.st_mtime),
            target=self._target(number, path) if kind == "link" else "",
            layer=number,
            inode=(found.st_dev, found.st_ino),
        )

    def _target(self, number: int, path: str) -> str:
        with suppress(OSError):
            fd = _open(self._roots[number], path, os.O_PATH)
            try:
                return os.readlink("", dir_fd=fd)
            finally:
                os.close(fd)
        return ""


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _open(root: int, path: str, flags: int) -> int:
    return openat2(root, path or ".", flags | os.O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)


def _listed(folder: int) -> list[str]:
    return os.listdir(folder)


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _kind(found: os.stat_result) -> Kind:
    kinds: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return kinds.get(stat.S_IFMT(found.st_mode), "other")
