"""One container at a time: to sleep, and awake again, whoever dies in the middle and in whatever order.

Truth is in the kernel: an address in the set `asleep`, and a cgroup that is frozen. There is no lock between
who puts to sleep and who wakes, which may be another process:

    to sleep   file, address into `asleep`, freeze, look whether the address is still there: thaw if not; and
               whether anything came just before, or another container waits for an answer, which the frozen
               would never give: awake if so; have it go last when memory runs out, and look for the
               address again when all is done: undo that if not
    awake      undo that, hold back who would take its processes for dead (paas.sleep.parents), thaw, address
               out of `asleep`, undo it and thaw again; the file is whose who took the address out

Whichever way these interleave, the container runs at the end, or its address is in `asleep` and the next packet
wakes it. A call that nobody heard stays in the set `called`, which the waker reads when it starts and now
and then.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, partial
from ipaddress import IPv4Address
from pathlib import Path

from paas.errors import HostProblem
from paas.linux import hot_pages, oom_order, reclaim
from paas.linux.cgroups import Cgroup
from paas.network.asleep import Asleep, Sleeper
from paas.sleep import parents

log = logging.getLogger("sleep")  # the waker has no library to log with
_NOT_FETCHED = "what a wake needs cannot be fetched ahead, so that wakes take longer"
_NOT_HELD = "a server's parent cannot be held back at a wake, and may end workers that slept for long"


@dataclass(frozen=True, slots=True)
class Woken:
    """A wake, for the rows: times in seconds since 1970; `seconds` it took from the call, or from the order,
    until the container ran."""

    container_id: str
    since: float
    at: float
    seconds: float
    called: bool  # by a packet


def _at_once(what: Callable[[], object]) -> object:
    return what()


@dataclass(frozen=True, slots=True)
class Bed:
    """Where sleepers are known: in the network's sets and files, and the folder that tells of wakes. `aside`
    does what a wake need not wait for: reading from a disk."""

    asleep: Asleep
    woken: Path
    aside: Callable[[Callable[[], object]], object] = _at_once

    @property
    def held(self) -> Path:
        """Notes of parents that are held back (see paas.sleep.parents)."""
        return self.woken.with_name("held")

    def lay(self, sleeper: Sleeper, quiet: float) -> bool:
        """Put a running container to sleep; False if something was sent to it or by it, or it was woken, in the
        last `quiet` seconds before it stood still, or since, or another container waits for its answer, however
        long ago that one asked: it runs then. What it has in memory goes to swap as long as nobody wakes it.
        One call for a container at a time.

        Errors: HostProblem when it does not stand still, OSError; it runs then.
        """
        address, cgroup = IPv4Address(sleeper.address), Cgroup(sleeper.cgroup)
        try:
            self.asleep.lay(sleeper)
            cgroup.freeze(wanted=lambda: self.asleep.holds(address))
        except (HostProblem, OSError):
            self._give_up(sleeper)
            raise
        if not self.asleep.holds(address):
            cgroup.thaw()
            self.asleep.file(address).unlink(missing_ok=True)
            return False
        try:
            in_use = self.asleep.idle_of(address) < quiet or address in self.asleep.awaited()
        except OSError:
            self._give_up(sleeper)
            raise
        if in_use:
            self._give_up(sleeper)
            return False
        _help(_NOT_HELD, parents.note, self.asleep.parents(address), cgroup)
        oom_order.go_last(cgroup.direct_pids())
        self._page_out(address, cgroup)
        if self.asleep.holds(address):
            return True
        oom_order.go_with_others(cgroup.direct_pids())  # whoever woke it may have looked before
        return False

    def _give_up(self, sleeper: Sleeper) -> None:
        """It runs on. That is no wake: nobody is told, and it is as idle as it was."""
        address = IPv4Address(sleeper.address)
        Cgroup(sleeper.cgroup).thaw()
        self.asleep.lift(address)
        self.asleep.file(address).unlink(missing_ok=True)

    def _page_out(self, address: IPv4Address, cgroup: Cgroup) -> None:
        note, pids = self.asleep.note(address), cgroup.pids()
        page_out = partial(reclaim.page_out, cgroup, note, lambda: self.asleep.holds(address))
        if self.asleep.was_used(address):
            page_out(but=max(hot_pages.used(pids), 1))
        hot_pages.note(pids, self.asleep.hot(address))
        page_out()
        hot_pages.arrange(self.asleep.hot(address))

    def watch(self, address: IPv4Address, cgroup: Cgroup) -> bool:
        """When it has started: what it uses from now on is what its first wake will need. Again is nothing, and
        False. OSError."""
        if not self.asleep.watch(address):
            return False
        hot_pages.forget(cgroup.pids())
        return True

    def rouse(self, sleeper: Sleeper, since: float | None = None) -> bool:
        """Wake it; `since` is when a packet called (time.monotonic). False if it was awake, or is being woken.
        OSError."""
        began = time.monotonic() if since is None else since
        address, cgroup = IPv4Address(sleeper.address), Cgroup(sleeper.cgroup)
        self.asleep.note_wake(address)
        oom_order.go_with_others(cgroup.direct_pids())  # before it runs: its children inherit that
        _help(_NOT_HELD, parents.hold, self.asleep.parents(address), self.held)
        cgroup.thaw()
        seconds = time.monotonic() - began
        self.aside(partial(_help, _NOT_FETCHED, hot_pages.fetch, self.asleep.hot(address)))
        lifted = self.asleep.lift(address)
        oom_order.go_with_others(cgroup.direct_pids())
        cgroup.thaw()
        reclaim.mend(cgroup, self.asleep.note(address))
        if lifted:
            self._tell(Woken(sleeper.container_id, sleeper.since, time.time(), seconds, since is not None))
            self.asleep.parents(address).unlink(missing_ok=True)
            self.asleep.file(address).unlink(missing_ok=True)
        return lifted

    def settle(self, sleeper: Sleeper) -> bool:
        """After whoever worked on it died: True if it sleeps, else it runs and nothing says otherwise. To be
        called as `lay` is."""
        address, cgroup = IPv4Address(sleeper.address), Cgroup(sleeper.cgroup)
        if cgroup.is_frozen() and self.asleep.holds(address):
            reclaim.mend(cgroup, self.asleep.note(address))
            return True
        if not self.rouse(sleeper):
            self.asleep.file(address).unlink(missing_ok=True)
        return False

    def _tell(self, woken: Woken) -> None:
        self.woken.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self.woken / f".{woken.container_id}.{time.time_ns()}"
        new.write_text(json.dumps(asdict(woken)))
        new.rename(new.with_name(new.name[1:]))

    def told(self) -> list[tuple[Path, Woken]]:
        """Wakes that nobody has taken note of yet, oldest first, each with its file."""
        if not self.woken.is_dir():
            return []
        found = []
        for file in sorted(self.woken.iterdir(), key=lambda file: file.suffix):
            if not file.name.startswith("."):
                with suppress(FileNotFoundError):
                    found.append((file, Woken(**json.loads(file.read_text()))))
        return found


def _help(where_not: str, help_: Callable[..., object], *args: object) -> None:
    """What is wrong with a note that only helps stops no wake."""
    try:
        help_(*args)
    except (OSError, ValueError, TypeError, OverflowError) as error:
        _say_once(where_not, str(error))


@cache
def _say_once(what: str, why: str) -> None:
    """Each wake may meet the same."""
    log.warning("%s: %s", what, why)


def wake_up(bed: Bed, address: IPv4Address, since: float) -> bool:
    """What a call at `address` asks for; False if nothing slept there (any more)."""
    sleeper = bed.asleep.read(address)
    if sleeper is not None:
        return bed.rouse(sleeper, since)
    bed.asleep.lift(address)  # its container has ended, or the rules were made again while it woke
    return False
