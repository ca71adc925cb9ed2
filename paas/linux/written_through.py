"""Writes that wait for their disk, for a process whose cgroup is limited in its use of that.

Else the kernel writes back later what is in the page cache: on cgroup v1 at nobody's cost, on v2 at that
cgroup's, as slowly as it may, and whoever calls syncfs(2) on the file system, which all tenants share, waits
for it. Of a process that begins this no more than one write is ever on its way.
"""

from __future__ import annotations

import ctypes
import os
from contextvars import ContextVar

_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4  # sync_file_range(2)
_libc = ctypes.CDLL(None, use_errno=True)
_is_wanted = ContextVar("is_wanted", default=False)


def begin() -> None:
    """From now on, here and in whatever is forked from here."""
    _is_wanted.set(True)


def wait(fd: int) -> None:
    """To be called after every write of some size to a file of a store."""
    if not _is_wanted.get():
        return
    whole = ctypes.c_int64(0)
    if _libc.sync_file_range(fd, whole, whole, _WAIT_BEFORE | _WRITE | _WAIT_AFTER):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
