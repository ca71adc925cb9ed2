"""Making another process append to a file that it has open.

O_APPEND belongs to what was opened, which a duplicate of the descriptor shares (open(2), pidfd_getfd(2)).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from paas.linux.syscalls import pidfd_getfd


def let_append(pid: int, path: Path) -> None:
    """Whatever the process writes to the file goes to its end from now on; nothing where it is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            for number in _descriptors(pid, path.stat()):
                _append(pidfd, number)
        finally:
            os.close(pidfd)


def _descriptors(pid: int, wanted: os.stat_result) -> Iterator[int]:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if os.path.samestat(entry.stat(), wanted):
                yield int(entry.name)


def _append(pidfd: int, number: int) -> None:
    fd = pidfd_getfd(pidfd, number)
    try:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        if flags & os.O_ACCMODE != os.O_RDONLY and not flags & os.O_APPEND:
            fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_APPEND)
    finally:
        os.close(fd)
