"""Keeping container logs small: rotation through conmon, a rate cap, and a count of what was dropped.

conmon opens its log again when told so through its `ctl` fifo (conmon's ctrl.c: "2 0 0" is REOPEN_LOGS), and
then does not append as at first: it is made to, so that a log can be cut while conmon goes on writing. The last
lines stay: why a command failed stands there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from paas.linux.appending import let_append
from paas.logs import older, own_record, remark
from paas.runtime.conmon import LOG_SIZE_MAX

ROTATE_AT = 4 * 1024 * 1024
BYTES_A_SECOND = 256 * 1024  # of one container
BURST_SECONDS = 8
BURST = BURST_SECONDS * BYTES_A_SECOND
LOOK_BACK = 64 * 1024  # how far before a cut the end of a line is looked for
LAST = 64 * 1024  # of the last lines, out of what may be written
LAST_LEAST = 4 * 1024  # even where nothing may
CATCH_UP = 8  # times that conmon may have written meanwhile


@dataclass(slots=True)
class _Allowance:
    """What may be written: `rate` bytes a second, and what was left over of up to BURST_SECONDS before."""

    rate: int
    left: float
    looked: float

    @classmethod
    def fresh(cls, rate: int, now: float) -> _Allowance:
        return cls(rate, rate * BURST_SECONDS, now)

    def take(self, count: int, rate: int, now: float) -> int:
        """How many of `count` bytes are too many."""
        self.rate = rate
        self.left = min(rate * BURST_SECONDS, self.left + (now - self.looked) * rate) - count
        self.looked = now
        over = max(0, -int(self.left))
        self.left = max(0.0, self.left)
        return over


@dataclass(slots=True)
class _Log:
    inode: int
    size: int
    allowance: _Allowance
    is_rotated: bool = False  # conmon was told to open it again, and has not been seen to have

    def follow(self, found: os.stat_result) -> int:
        """Another file has the name: ours after a rotation (size 0), else conmon's, which started over when
        nobody rotated in time. What the old one had is gone then, and counted; not what came and went between
        two looks. A file system gives an inode's number to the next but one."""
        if self.inode == found.st_ino and self.size <= found.st_size:
            return 0
        lost, self.inode, self.size = self.size, found.st_ino, 0
        return lost


@dataclass(frozen=True, slots=True)
class Together:
    """Logs that share one allowance beside their own: a tenant's, with its rate in bytes a second."""

    id: str
    rate: int


class LogKeeper:
    """Call `tick` about once a second, with the logs that may have changed. `group` may read them.

    What logs have at the first tick, a keeper before this one has judged; a log that comes later is new.
    """

    def __init__(self, bundles: Path, group: int = -1) -> None:
        self._bundles, self._group = bundles, group
        self._logs: dict[str, _Log] = {}
        self._together: dict[str, _Allowance] = {}
        self._began = False

    def tick(self, logs: Mapping[str, Path], owners: Mapping[str, Together] | None = None) -> dict[str, int]:
        """Look at the logs of these containers; the bytes dropped now, of those that lost any. `owners` says
        which of them share an allowance."""
        owners = owners or {}
        dropped = {}
        for container_id, path in logs.items():
            with suppress(FileNotFoundError):
                if lost := self._keep(container_id, path, owners.get(container_id)):
                    dropped[container_id] = lost
        self._began = True
        return dropped

    def forget_all_but(self, containers: Container[str], owners: Container[str]) -> None:
        self._logs = {key: log for key, log in self._logs.items() if key in containers}
        self._together = {key: found for key, found in self._together.items() if key in owners}

    def _keep(self, container_id: str, path: Path, owner: Together | None) -> int:
        found, now = path.stat(), time.monotonic()
        is_new = found.st_mode & 0o077 == 0  # conmon's, for root alone
        if found.st_mode & 0o777 != 0o640:
            self._readable(path)
        if is_new or container_id not in self._logs:
            self._let_append(container_id, path)
        judged = 0 if self._began else found.st_size
        fresh = _Log(
            found.st_ino, judged, _Allowance.fresh(BYTES_A_SECOND, now), is_rotated=is_new and not self._began
        )
        log = self._logs.setdefault(container_id, fresh)
        lost = log.follow(found) or (LOG_SIZE_MAX if is_new and not log.is_rotated else 0)
        log.is_rotated = log.is_rotated and not is_new
        grown, log.size = found.st_size - log.size, found.st_size
        over, reason = log.allowance.take(grown, BYTES_A_SECOND, now), _too_fast(BYTES_A_SECOND)
        if owner is not None and (shared := self._over_together(owner, grown - over, now)):
            over, reason = over + shared, f"{_too_fast(owner.rate)} of all containers of the tenant"
        if over or lost:
            self._let_append(container_id, path)
        before = lost
        if over and (cut := _cut(path, found, grown, over, lambda cut: _dropped(before + cut, reason))):
            lost += cut
        elif lost:
            remark(path, _dropped(lost, reason))
        if lost:
            log.size = path.stat().st_size
        if log.size >= ROTATE_AT:
            self._rotate(container_id, path)
        return lost

    def _over_together(self, owner: Together, grown: int, now: float) -> int:
        fresh = _Allowance.fresh(owner.rate, now)
        return self._together.setdefault(owner.id, fresh).take(grown, owner.rate, now)

    def _rotate(self, container_id: str, path: Path) -> None:
        """Between the rename and conmon's reopening nothing is lost: it writes to the renamed file."""
        path.rename(older(path))
        path.touch()
        self._readable(path)
        if log := self._logs.get(container_id):
            log.size, log.is_rotated = 0, True
        # Without a reader the open fails at once: conmon is gone, and with it the need.
        with suppress(OSError):
            fifo = os.open(self._bundles / container_id / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(fifo, b"2 0 0\n")
            finally:
                os.close(fifo)

    def _let_append(self, container_id: str, path: Path) -> None:
        with suppress(OSError, ValueError):
            let_append(int((self._bundles / container_id / "conmon.pid").read_text()), path)

    def _readable(self, path: Path) -> None:
        os.chown(path, -1, self._group)
        path.chmod(0o640)


def _too_fast(rate: int) -> str:
    return f"more than {rate // 1024} KiB a second"


def _cut(path: Path, found: os.stat_result, grown: int, over: int, said: Callable[[int], str]) -> int:
    """Of the `grown` bytes that came last leave what is not `over`: their beginning, and their end, after the
    remark of what is cut. Gives how much that is.

    The end is there all the time. What conmon writes between the last look and the cut is cut with the rest.
    """
    may = grown - over
    last = max(LAST_LEAST, min(LAST, may // 2))
    with path.open("r+b", buffering=0) as file:
        fd = file.fileno()
        if not os.path.samestat(os.fstat(fd), found):
            return 0  # conmon has started over since
        kept = _line_end(fd, found.st_size - grown + max(0, may - last))
        size = file.seek(0, os.SEEK_END)
        end = os.pread(fd, last, max(0, size - last)).partition(b"\n")[2]
        cut = size - len(end) - kept
        told = own_record(said(cut))
        if cut <= len(told):
            return 0
        at = kept + os.pwrite(fd, told + end, kept)
        for _ in range(CATCH_UP):
            if not (more := os.pread(fd, LAST, size)):
                break
            size, at = size + len(more), at + os.pwrite(fd, more, at)
        cut += file.seek(0, os.SEEK_END) - size
        os.ftruncate(fd, at)
    return cut


def _line_end(fd: int, size: int) -> int:
    """After the last line that ends before `size`."""
    start = max(0, size - LOOK_BACK)
    return start + os.pread(fd, size - start, start).rfind(b"\n") + 1


def _dropped(lost: int, reason: str) -> str:
    return f"{lost:,} bytes of output were dropped: {reason}"
