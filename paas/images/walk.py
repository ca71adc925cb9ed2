"""Reading a tree as layer entries, in one order only, without following any link.

The tree is an overlay upper folder or an unpacked layer. The first was written by a tenant: nothing in it is
trusted, but nothing changes it meanwhile. Overlay's marks become those of the OCI image spec (layer.md):
a character device 0:0 is `.wh.NAME`, a folder with trusted.overlay.opaque=y holds `.wh..wh..opq`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from paas.errors import BadInput, Conflict, HostProblem
from paas.images.names import MAX_DEPTH, beginning, shown
from paas.images.tree import DIRECTORY
from paas.oci.tar import Kind, TarEntry

WHITEOUT = ".wh."
OPAQUE_MARK = ".wh..wh..opq"
OPAQUE_XATTR = "trusted.overlay.opaque"
CAPABILITY = "security.capability"
# With these, a file's content or a folder's children are elsewhere: the layer would be incomplete.
_INCOMPLETE = frozenset({"trusted.overlay.metacopy", "trusted.overlay.redirect"})
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1024 * 1024
MAX_ID = 65535


@dataclass(slots=True)
class Walk:
    """Iterate to get entries; `chunks()` gives the content of the file last yielded, all of it or none.

    `exclude` are paths below the root ("etc/resolv.conf") left out with all beneath them. Times later than
    `epoch` (seconds) are given as `epoch`, so that equal content has equal layers whenever it was made.
    """

    root: Path
    exclude: Collection[str] = ()
    epoch: int | None = None
    _links: dict[tuple[int, int], tuple[str, int]] = field(default_factory=dict)
    _file: tuple[int, str, int] | None = None
    _buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(_CHUNK)))

    def __iter__(self) -> Iterator[TarEntry]:
        root = os.open(self.root, DIRECTORY)
        levels = [(root, "", _names(root))]
        try:
            if _is_opaque(root, "/"):
                yield TarEntry(OPAQUE_MARK)
            while levels:
                folder, prefix, names = levels[-1]
                if (name := next(names, None)) is None:
                    os.close(levels.pop()[0])
                elif (path := prefix + name) not in self.exclude:
                    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    _check(path, name, found)
                    if stat.S_ISDIR(found.st_mode):
                        below = _open_folder(folder, name, path)
                        levels.append((below, f"{path}/", _names(below)))
                        yield self._entry(path, "dir", found)
                        if _is_opaque(below, path):
                            yield TarEntry(f"{path}/{OPAQUE_MARK}")
                    else:
                        yield from self._leaf(folder, name, path, found)
        finally:
            for fd, _, _ in levels:
                os.close(fd)

    def chunks(self) -> Iterator[memoryview]:
        if self._file is None:
            return
        fd, path, left = self._file
        while left:
            count = os.readv(fd, [self._buffer[: min(left, _CHUNK)]])
            if not count:
                raise Conflict(f"{shown(path)!r} became shorter while its layer was made", hint="build again")
            left -= count
            yield self._buffer[:count]

    def _leaf(self, folder: int, name: str, path: str, found: os.stat_result) -> Iterator[TarEntry]:
        mode = found.st_mode
        if stat.S_ISREG(mode):
            yield from self._regular(folder, name, path, found)
        elif stat.S_ISLNK(mode):
            yield self._entry(path, "symlink", found, target=os.readlink(name, dir_fd=folder))
        elif stat.S_ISFIFO(mode):
            yield self._entry(path, "fifo", found)
        elif stat.S_ISCHR(mode) and found.st_rdev == 0:
            yield TarEntry(f"{path.removesuffix(name)}{WHITEOUT}{name}")
        elif not stat.S_ISSOCK(mode):  # tar has no sockets, and one is of no use without its process
            raise BadInput(
                f"{shown(path)!r} is a device: an image may not hold one", hint="remove it in that step"
            )

    def _regular(self, folder: int, name: str, path: str, found: os.stat_result) -> Iterator[TarEntry]:
        if found.st_nlink > 1 and (first := self._first_name(path, found)):
            yield self._entry(path, "link", found, target=first)
            return
        fd = os.open(name, _FILE, dir_fd=folder)
        try:
            opened = os.fstat(fd)
            if (opened.st_dev, opened.st_ino) != (found.st_dev, found.st_ino):
                raise Conflict(f"{shown(path)!r} was replaced while its layer was made", hint="build again")
            self._file = (fd, path, found.st_size)
            capability = _xattrs(fd, path).get(CAPABILITY)
            yield self._entry(path, "file", found, xattrs=((CAPABILITY, capability),) if capability else ())
        finally:
            self._file = None
            os.close(fd)

    def _first_name(self, path: str, found: os.stat_result) -> str | None:
        """The name under which this file was given already. Forgotten once all its names were seen."""
        key = (found.st_dev, found.st_ino)
        first, left = self._links.pop(key, (None, found.st_nlink))
        if left > 1:
            self._links[key] = (first or path, left - 1)
        return first

    def _entry(
        self,
        path: str,
        kind: Kind,
        found: os.stat_result,
        *,
        target: str = "",
        xattrs: tuple[tuple[str, bytes], ...] = (),
    ) -> TarEntry:
        mtime = found.st_mtime_ns // 1_000_000_000
        return TarEntry(
            path=path,
            kind=kind,
            mode=0o777 if kind == "symlink" else stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
            size=found.st_size if kind == "file" else 0,
            mtime=mtime if self.epoch is None else min(mtime, self.epoch),
            target=target,
            xattrs=xattrs,
        )


def _names(folder: int) -> Iterator[str]:
    return iter(sorted(os.listdir(folder), key=os.fsencode))


def _open_folder(parent: int, name: str, path: str) -> int:
    if path.count("/") >= MAX_DEPTH:
        deep = f"{beginning(path)!r} lies more than {MAX_DEPTH} folders deep"
        raise BadInput(deep, hint="make the tree flatter")
    return os.open(name, DIRECTORY, dir_fd=parent)


def _check(path: str, name: str, found: os.stat_result) -> None:
    if name.startswith(WHITEOUT):
        raise BadInput(
            f"{shown(path)!r} cannot be in an image: {WHITEOUT!r} in front marks a deleted file there",
            hint="rename that file",
        )
    if max(found.st_uid, found.st_gid) > MAX_ID:
        raise BadInput(f"{shown(path)!r} belongs to an id above {MAX_ID:,}", hint="chown it in the same step")


def _xattrs(fd: int, path: str) -> dict[str, bytes]:
    """The attributes that mean something to a layer."""
    found = os.listxattr(fd)
    if incomplete := _INCOMPLETE.intersection(found):
        raise HostProblem(
            f"changeset is incomplete: {shown(path)!r} has {min(incomplete)}",
            hint="overlays must be mounted with metacopy=off,redirect_dir=off",
        )
    return {key: os.getxattr(fd, key) for key in found if key in (OPAQUE_XATTR, CAPABILITY)}


def _is_opaque(folder: int, path: str) -> bool:
    return _xattrs(folder, path).get(OPAQUE_XATTR) == b"y"
