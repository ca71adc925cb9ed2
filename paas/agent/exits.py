"""Notices the end of containers, for conmon writes a file named by the container's id, and what else comes to
a folder (inotify(7))."""

from __future__ import annotations

import ctypes
import os
import select
import struct
from pathlib import Path

_IN_CLOSE_WRITE, _IN_MOVED_TO, _IN_CLOEXEC, _IN_NONBLOCK = 0x8, 0x80, 0o2000000, 0o4000
_IN_MODIFY, _IN_CREATE, _IN_Q_OVERFLOW = 0x2, 0x100, 0x4000
APPEARED = _IN_CLOSE_WRITE | _IN_MOVED_TO
WRITTEN = _IN_MODIFY | _IN_CREATE | _IN_MOVED_TO
_EVENT = struct.Struct("iIII")
_READS = 16  # of 64 KiB, for 16,384 events
_libc = ctypes.CDLL(None, use_errno=True)


class ExitWatch:
    """Names that appear in `folder`, or that `events` happen to, without polling.

    `overflown`: since it was last set to False there were too many to be told.
    """

    def __init__(self, folder: Path, events: int = APPEARED) -> None:
        self.overflown = False
        folder.mkdir(parents=True, exist_ok=True)
        self._fd = _libc.inotify_init1(_IN_CLOEXEC | _IN_NONBLOCK)
        if self._fd < 0 or _libc.inotify_add_watch(self._fd, os.fsencode(folder), events) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))

    def wait(self, seconds: float) -> set[str]:
        """The names, at once when there are some, else an empty set after `seconds`."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return set()
        data, names, at = os.read(self._fd, 1 << 16), set(), 0
        while at < len(data):
            _, happened, _, length = _EVENT.unpack_from(data, at)
            self.overflown |= bool(happened & _IN_Q_OVERFLOW)
            name = data[at + _EVENT.size : at + _EVENT.size + length].split(b"\0", 1)[0].decode()
            if name and not name.startswith("."):
                names.add(name)
            at += _EVENT.size + length
        return names

    def all(self) -> set[str]:
        """What there is now, however much: no more than the kernel's queue holds at a time."""
        names: set[str] = set()
        for _ in range(_READS):
            if not (more := self.wait(0)):
                break
            names |= more
        return names
