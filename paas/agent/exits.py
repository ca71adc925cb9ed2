"""Notices the end of containers: conmon writes a file named by the container's id (inotify(7))."""

from __future__ import annotations

import ctypes
import os
import select
import struct
from pathlib import Path

_IN_CLOSE_WRITE, _IN_MOVED_TO, _IN_CLOEXEC, _IN_NONBLOCK = 0x8, 0x80, 0o2000000, 0o4000
_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class ExitWatch:
    """Names that appear in `folder`, without polling."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._fd = _libc.inotify_init1(_IN_CLOEXEC | _IN_NONBLOCK)
        if (
            self._fd < 0
            or _libc.inotify_add_watch(self._fd, os.fsencode(folder), _IN_CLOSE_WRITE | _IN_MOVED_TO) < 0
        ):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))

    def wait(self, seconds: float) -> set[str]:
        """Ids that ended, at once when there are some, else an empty set after `seconds`."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return set()
        data, names, at = os.read(self._fd, 1 << 16), set(), 0
        while at < len(data):
            *_, length = _EVENT.unpack_from(data, at)
            name = data[at + _EVENT.size : at + _EVENT.size + length].split(b"\0", 1)[0].decode()
            if not name.startswith("."):
                names.add(name)
            at += _EVENT.size + length
        return names
