"""Writing a tree from entries that nobody vouches for.

Every path is walked from the root folder by descriptors, one component at a time, and no link is ever followed:
an entry beneath a link that an earlier entry made is an error (openat(2), O_NOFOLLOW).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from paas.errors import BadInput
from paas.images.budget import Budget
from paas.images.names import Parts, shown
from paas.linux import written_through
from paas.oci.tar import TarEntry

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NS = 1_000_000_000
Chunks = Iterable[memoryview]
T = TypeVar("T")


class Tree:
    """An open root folder to put entries into. Later entries replace earlier ones of the same name.

    `keep_ids` gives files their entry's uid and gid (needs root); else they belong to the caller.
    Times of folders are set by `finish`, since every file put into a folder changes them.
    """

    def __init__(self, root: Path | str, budget: Budget, *, keep_ids: bool) -> None:
        self._open: list[tuple[str, int]] = [("", os.open(root, DIRECTORY))]
        self._budget = budget
        self._keep_ids = keep_ids
        self._times: dict[Parts, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._close_below(0)
        os.close(self._open.pop()[1])

    # --- where
    def folder(self, parts: Parts, entry: Parts = ()) -> int:
        """A descriptor of the folder, made with its parents where missing; valid until the next call.

        `entry` is what is to be put there, for an error's text.
        """
        same = 0
        while same < len(parts) and same + 1 < len(self._open) and self._open[same + 1][0] == parts[same]:
            same += 1
        self._close_below(same)
        for name in parts[same:]:
            self._open.append((name, self._enter(name, entry or parts)))
        return self._open[-1][1]

    def is_open(self, parts: Parts) -> bool:
        """True for the folder entered last and its parents: a folder, for sure."""
        return tuple(name for name, _ in self._open[1 : len(parts) + 1]) == parts

    def _enter(self, name: str, entry: Parts) -> int:
        parent = self._open[-1][1]
        try:
            return os.open(name, DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            return self._new_folder(parent, name, entry)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            raise BadInput(
                f"archive entry {shown('/'.join(entry))!r} lies beneath {shown(name)!r}, which is no folder",
                hint="pack the folder again, from where it is whole",
            ) from error

    def _new_folder(self, parent: int, name: str, parts: Parts) -> int:
        self._budget.add_file("/".join(parts))
        os.mkdir(name, 0o700, dir_fd=parent)
        fd = os.open(name, DIRECTORY, dir_fd=parent)
        self._describe(fd, TarEntry(name, "dir", 0o755))
        return fd

    def _close_below(self, depth: int) -> None:
        while len(self._open) > depth + 1:
            os.close(self._open.pop()[1])

    # --- what
    def put_folder(self, parts: Parts, entry: TarEntry) -> int:
        parent = self.folder(parts[:-1], parts)
        if parts and not _is_folder(parent, parts[-1]):
            self._vacate(parent, parts)
        fd = self.folder(parts)
        if parts:
            self._describe(fd, entry)
            self._times[parts] = entry.mtime
        return fd

    def put_file(self, parts: Parts, entry: TarEntry, chunks: Chunks) -> None:
        fd = self._create(parts, lambda name, parent: os.open(name, _NEW_FILE, 0o600, dir_fd=parent))
        try:
            _pour(fd, chunks)
            self._describe(fd, entry)
            for key, value in entry.xattrs:
                _set_xattr(fd, key, value, entry.path)
            os.utime(fd, ns=(entry.mtime * _NS, entry.mtime * _NS))
        finally:
            os.close(fd)

    def put_symlink(self, parts: Parts, entry: TarEntry) -> None:
        if not entry.target or "\0" in entry.target or len(entry.target) >= 4096:
            raise BadInput(f"entry {shown(entry.path)!r} is a link to nothing")
        self._create(parts, lambda name, parent: os.symlink(entry.target, name, dir_fd=parent))
        self._describe_at(parts, entry)

    def put_fifo(self, parts: Parts, entry: TarEntry) -> None:
        self._create(parts, lambda name, parent: os.mkfifo(name, 0o600, dir_fd=parent))
        os.chmod(parts[-1], entry.mode, dir_fd=self.folder(parts[:-1]))
        self._describe_at(parts, entry)

    def put_device(self, parts: Parts, mode: int, device: int) -> None:
        self._create(parts, lambda name, parent: os.mknod(name, mode, device, dir_fd=parent))

    def put_link(self, parts: Parts, target: Parts) -> None:
        """A hard link to a file that is in the tree already."""
        source = self._find(target, parts)
        try:
            if target in ((), parts) or not _is_linkable(source, target[-1]):
                raise _no_target(parts, target)
            self._create(
                parts,
                lambda name, parent: os.link(
                    target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False
                ),
            )
        finally:
            os.close(source)

    def finish(self) -> None:
        for parts, mtime in self._times.items():
            os.utime(self.folder(parts), ns=(mtime * _NS, mtime * _NS))

    # --- how
    def _create(self, parts: Parts, make: Callable[[str, int], T]) -> T:
        if not parts:
            raise BadInput("archive holds an entry that would replace its own root folder")
        self._budget.add_file("/".join(parts))
        parent = self.folder(parts[:-1], parts)
        try:
            return make(parts[-1], parent)
        except FileExistsError:
            self._vacate(parent, parts)
            return make(parts[-1], parent)

    def _vacate(self, parent: int, parts: Parts) -> None:
        """Remove what has the name already; only a folder with something in it is kept, with an error."""
        try:
            if not _is_folder(parent, parts[-1]):
                os.unlink(parts[-1], dir_fd=parent)
                return
            os.rmdir(parts[-1], dir_fd=parent)
            self._times.pop(parts, None)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            raise BadInput(f"entry {shown('/'.join(parts))!r} is both a folder and a file") from error

    def _find(self, target: Parts, linking: Parts) -> int:
        """A descriptor of the folder that holds the target."""
        fd = os.dup(self._open[0][1])
        for name in target[:-1]:
            try:
                below = os.open(name, DIRECTORY, dir_fd=fd)
            except OSError as error:
                raise _no_target(linking, target) from error
            finally:
                os.close(fd)
            fd = below
        return fd

    def _describe(self, fd: int, entry: TarEntry) -> None:
        if self._keep_ids:
            os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)  # after the owner: a change of owner drops setuid bits

    def _describe_at(self, parts: Parts, entry: TarEntry) -> None:
        parent, name = self.folder(parts[:-1]), parts[-1]
        if self._keep_ids:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime * _NS, entry.mtime * _NS), dir_fd=parent, follow_symlinks=False)


def _pour(fd: int, chunks: Chunks) -> None:
    """Write content; long runs of zeros become holes, so that a sparse file stays one."""
    size = 0
    hole = False
    for chunk in chunks:
        size += len(chunk)
        hole = len(chunk) >= 65536 and _is_zero(chunk)
        if hole:
            os.lseek(fd, len(chunk), os.SEEK_CUR)
            continue
        while chunk:
            chunk = chunk[os.write(fd, chunk) :]  # noqa: PLW2901 - what is left of it
        written_through.wait(fd)
    if hole:
        os.ftruncate(fd, size)


def _is_zero(chunk: memoryview) -> bool:
    return chunk[0] == 0 and chunk[-1] == 0 and chunk.tobytes().count(0) == len(chunk)


def _is_folder(parent: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _is_linkable(parent: int, name: str) -> bool:
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _no_target(parts: Parts, target: Parts) -> BadInput:
    return BadInput(
        f"entry {shown('/'.join(parts))!r} is a hard link to {shown('/'.join(target))!r}, "
        "which is no file before it in the archive"
    )


def _set_xattr(fd: int, key: str, value: bytes, path: str) -> None:
    try:
        os.setxattr(fd, key, value)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise BadInput(
            f"entry {shown(path)!r} has capabilities that the kernel does not take",
            hint="set them by setcap(8) before you pack it",
        ) from error
