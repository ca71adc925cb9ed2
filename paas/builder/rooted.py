"""Opening paths in a folder that a tenant wrote: whatever links are on the way, they cannot lead out."""

from __future__ import annotations

import errno
import os
import stat

from paas.errors import BadInput
from paas.linux.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

_RESOLVE_NO_SYMLINKS = 0x04
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def open_in_root(root: int, path: str, flags: int) -> int:
    """Open `path` as if the folder `root` were "/": links and ".." are followed and stay inside."""
    return openat2(root, path.lstrip("/") or ".", flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def open_linkless(root: int, path: str, flags: int) -> int:
    """The same, but a link anywhere in `path` is ELOOP."""
    return openat2(root, path.lstrip("/") or ".", flags, RESOLVE_IN_ROOT | _RESOLVE_NO_SYMLINKS)


def link_target(root: int, path: str) -> str | None:
    """What the link at `path` says, wherever that leads; None for anything else, OSError for nothing."""
    fd = open_in_root(root, path, os.O_PATH | os.O_NOFOLLOW)
    try:
        return os.readlink("", dir_fd=fd) if stat.S_ISLNK(os.fstat(fd).st_mode) else None
    finally:
        os.close(fd)


def broken_link(root: int, path: str) -> tuple[str, str] | None:
    """The first link on the way of `path` that leads to nothing in here, and what it says."""
    parts = [part for part in path.split("/") if part]
    for until in range(1, len(parts) + 1):
        above = "/".join(parts[:until])
        try:
            target = link_target(root, above)
            if target is not None and not _is_there(root, above):
                return above, target
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise
    return None


def _is_there(root: int, path: str) -> bool:
    try:
        os.close(open_in_root(root, path, os.O_PATH))
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise
    return True


def read_text(root: int, path: str, limit: int) -> str | None:
    """A file's UTF-8 text, or None when there is none. BadInput above `limit` bytes, and for a folder."""
    try:
        fd = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (*ABSENT, errno.ENXIO):
            return None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise BadInput(f"{path} is not a file", hint="replace it by a file, or give it another name")
    with os.fdopen(fd, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise BadInput(f"{path} is larger than {limit:,} bytes", hint="shorten it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadInput(f"{path}, line {line}: not UTF-8 text", hint="save the file as UTF-8") from error
