"""The waker: a small process that hears of the first packet to a sleeping container and lets it run again.

A process of its own, so that nothing is in a wake's way: no duty of the agent, no other thread, no database,
and no page of its own on a disk. `python -m paas.sleep.waker PREFIX RUN_FOLDER`, as root.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import math
import os
import signal
import sys
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from paas.network import asleep, plan
from paas.network.asleep import Asleep
from paas.network.nflog import Calls, Lost
from paas.paths import Paths
from paas.sleep import parents
from paas.sleep.beds import Bed, wake_up

LOOK_SECONDS = 2.0  # a report may be lost, the set of callers is not
HELD_SECONDS = 0.25  # between two looks at whom it holds back
LEAVING_SECONDS = 1.0
READERS = 4  # of what so many wakes need from the disk, at a time
URGENT = -15  # see setpriority(2)
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
log = logging.getLogger("waker")


def bed(prefix: str, run: Path, readers: Executor) -> Bed:
    """As paas.worker.engine makes it from the settings, which are not for this process."""
    paths = Paths(state=run, run=run)
    return Bed(Asleep(plan.table(prefix), run / "asleep", run / "network.lock"), paths.woken, readers.submit)


class Waker:
    def __init__(self, prefix: str, run: Path) -> None:
        self._readers = ThreadPoolExecutor(READERS)
        self.bed = bed(prefix, run, self._readers)
        self._calls = Calls(asleep.group(prefix))
        self._looked = self._let_go_at = 0.0

    def turn(self) -> int:
        """Wait for calls, a while at the most, and wake whom they are for; how many that were."""
        lost = False
        until = min(self._looked + LOOK_SECONDS, self._let_go_at)
        try:
            called = self._calls.wait(max(0.0, until - time.monotonic()))
        except Lost:
            called, lost = set(), True
        since = time.monotonic()
        woken = sum(self._wake(address, since) for address in called)
        if lost or since >= self._looked + LOOK_SECONDS:
            self._looked = since
            woken += sum(self._wake(address, since) for address in self.bed.asleep.called())
            self._let_go_at = since  # those as well who were woken by somebody else
        if since >= self._let_go_at:
            self._let_go_at = since + HELD_SECONDS if parents.let_go(self.bed.held) else math.inf
        if woken:
            self._let_go_at = min(self._let_go_at, since + HELD_SECONDS)
        return woken

    def leave(self) -> None:
        """Nobody is held while there is no waker."""
        self._readers.shutdown(wait=False, cancel_futures=True)
        end = time.monotonic() + LEAVING_SECONDS
        while time.monotonic() < end and parents.let_go(self.bed.held):
            time.sleep(HELD_SECONDS)
        parents.let_go(self.bed.held, most=0.0)

    def _wake(self, address: IPv4Address, since: float) -> bool:
        try:
            return wake_up(self.bed, address, since)
        except OSError as error:  # the call stays in the kernel's set: it is tried again
            log.warning("cannot wake %s: %s", address, error)
            return False


def shield() -> None:
    """Never behind anybody's work, never itself on the disk that it fetches others from."""
    with suppress(OSError):  # in a container of somebody's, say
        os.setpriority(os.PRIO_PROCESS, 0, URGENT)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT):
        log.warning("cannot lock memory: %s", os.strerror(ctypes.get_errno()))
    with suppress(OSError):  # the last to be killed for want of memory
        Path("/proc/self/oom_score_adj").write_text("-1000")
    gc.freeze()


def main(prefix: str, run: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    waker = Waker(prefix, Path(run))
    shield()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    log.info("waits for calls of group %d", asleep.group(prefix))
    try:
        while True:
            waker.turn()
    finally:
        waker.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
