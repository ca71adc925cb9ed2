"""Writing into a root file system whose content is a tenant's: by descriptors, links never lead out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from paas.builder.rooted import broken_link, link_target, open_in_root, open_linkless, read_text
from paas.builder.tree import Entry
from paas.errors import BadInput

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ACCOUNTS_MAX = 1024 * 1024
_LAST_ID = 65535  # a tenant's range
Owner = tuple[int, int]


class Destination:
    """An open root file system. Paths are absolute; existing links in them are followed inside the root."""

    def __init__(self, root: Path) -> None:
        self.fd = os.open(root, _FOLDER | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        os.close(self.fd)

    # --- who
    def owner(self, text: str) -> Owner:
        """(uid, gid) of "user[:group]"; names are looked up in this root's own /etc/passwd and /etc/group."""
        user, _, group = text.partition(":")
        uid, gid = self._ids("/etc/passwd", user, text)
        return uid, self._ids("/etc/group", group, text)[0] if group else gid

    def _ids(self, file: str, name: str, whole: str) -> Owner:
        rows = [line.split(":") for line in (read_text(self.fd, file, _ACCOUNTS_MAX) or "").splitlines()]
        if name.isascii() and name.isdecimal():
            return self._in_range(int(name), whole), self._in_range(int(name), whole)
        for row in rows:
            if row[0] == name and len(row) > 3 and row[2].isdecimal():
                gid = int(row[3]) if row[3].isdecimal() else 0
                return self._in_range(int(row[2]), whole), self._in_range(gid, whole)
        raise BadInput(
            f"owner {whole!r}: {name!r} is not in the image's {file}", hint="use a number, or add it first"
        )

    def _in_range(self, number: int, whole: str) -> int:
        if number > _LAST_ID:
            raise BadInput(f"owner {whole!r}: {number} is too large", hint=f"use 0 to {_LAST_ID}")
        return number

    # --- folders
    def is_folder(self, path: str) -> bool:
        try:
            os.close(open_in_root(self.fd, path, os.O_PATH | os.O_DIRECTORY))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return False
        return True

    @contextmanager
    def folder(self, path: str, owner: Owner, mode: int = 0o755) -> Iterator[int]:
        """A descriptor of the folder; it and its missing parents are made, with this owner and mode."""
        fd = self._open_or_make([part for part in path.split("/") if part], owner, mode)
        try:
            yield fd
        finally:
            os.close(fd)

    def _open_or_make(self, parts: list[str], owner: Owner, mode: int) -> int:
        path = "/".join(parts)
        try:
            return open_in_root(self.fd, path, _FOLDER)
        except FileNotFoundError:
            if not parts:
                raise
        except OSError as error:
            raise self._not_a_folder(parts) from error
        parent = self._open_or_make(parts[:-1], owner, mode)
        try:
            make_folder(parent, parts[-1], owner, mode)
        except FileExistsError as error:  # a link that leads nowhere
            raise self._not_a_folder(parts) from error
        finally:
            os.close(parent)
        return open_in_root(self.fd, path, _FOLDER)

    def _not_a_folder(self, parts: list[str]) -> BadInput:
        """By the first on the way that is none."""
        broken = broken_link(self.fd, "/".join(parts))
        if broken:
            path, target = (text[:200] for text in broken)
            return BadInput(
                f"/{path} is a link to {target!r}, which leads to nothing in the image",
                hint=f"copy to where it is to lead, or remove it first: RUN rm /{path}",
            )
        ways = ("/".join(parts[:until]) for until in range(1, len(parts) + 1))
        path = next((way for way in ways if not self.is_folder(way)), "")
        leads_to = link_target(self.fd, path)
        what = "is a file" if leads_to is None else f"is a link to {leads_to[:200]!r}, a file"
        return BadInput(f"/{path[:200]} {what} in the image, not a folder", hint="copy elsewhere")


def make_folder(parent: int, name: str, owner: Owner, mode: int) -> None:
    os.mkdir(name, 0o700, dir_fd=parent)
    fd = open_linkless(parent, name, _FOLDER)
    try:
        os.fchown(fd, *owner)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def ensure_folder(parent: int, name: str, owner: Owner, mode: int) -> int:
    """Open a folder directly below `parent`, made if missing; one that is there takes on owner and mode."""
    with suppress(FileExistsError):
        make_folder(parent, name, owner, mode)
    try:
        fd = open_linkless(parent, name, _FOLDER)
    except OSError as error:
        raise BadInput(
            f"cannot copy a folder over {name[:200]!r}, which is none", hint="copy elsewhere"
        ) from error
    found = os.fstat(fd)
    if (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) != (*owner, mode):
        os.fchown(fd, *owner)
        os.fchmod(fd, mode)
    return fd


def put_file(parent: int, name: str, owner: Owner, mode: int, fill: Callable[[int], None]) -> None:
    """A new file in place of what has the name; `fill` writes its content. A folder is not replaced."""
    _vacate(parent, name)
    fd = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
    try:
        os.fchown(fd, *owner)  # before it is filled: a new owner takes a file's capabilities away
        fill(fd)
        os.fchmod(fd, mode)  # after it: what is written takes the setuid bit away
    finally:
        os.close(fd)


def put_hard_link(parent: int, name: str, top: int, first: str) -> None:
    """Another name for the file that was put at `first`, a path below the open folder `top`."""
    _vacate(parent, name)
    above, _, first_name = first.rpartition("/")
    folder = open_linkless(top, above, _FOLDER)
    try:
        os.link(first_name, name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(folder)


def put_pipe(parent: int, name: str, owner: Owner, mode: int, mtime_ns: int) -> None:
    _vacate(parent, name)
    os.mkfifo(name, 0o600, dir_fd=parent)
    os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
    os.chmod(name, mode, dir_fd=parent)
    os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=parent, follow_symlinks=False)


def put_link(parent: int, name: str, owner: Owner, entry: Entry) -> None:
    _vacate(parent, name)
    os.symlink(entry.target, name, dir_fd=parent)
    os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
    os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)


def _vacate(parent: int, name: str) -> None:
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise BadInput(
            f"cannot copy a file over the folder {name[:200]!r}", hint="end the destination with a slash"
        )
    os.unlink(name, dir_fd=parent)
