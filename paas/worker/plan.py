"""Pure: what should run, against what does, gives what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from paas.specs import ProcessSpec

BACK_OFF_FIRST = timedelta(seconds=10)
BACK_OFF_MOST = timedelta(minutes=5)
STEADY = timedelta(minutes=10)  # a container that ran this long starts the back-off anew

Slot = tuple[str, int]  # ("web", 2) is web.2


@dataclass(frozen=True, slots=True)
class Life:
    """One container of a release that has ended: when, after how long, and whether it is held against it."""

    started: datetime | None
    ended: datetime
    counts: bool  # False when the platform or the host ended it


@dataclass(frozen=True, slots=True)
class Upkeep:
    start: tuple[Slot, ...]
    stop: tuple[str, ...]  # container ids
    next_due: datetime | None  # when a slot that waits now may start


def slots(processes: Iterable[ProcessSpec]) -> tuple[Slot, ...]:
    return tuple((p.name, i) for p in processes for i in range(1, p.count + 1))


def back_off(lives: Sequence[Life]) -> timedelta:
    """How long a slot waits after its latest exit: 10 s, doubling to 5 min. `lives`: newest first."""
    failures = 0
    for life in lives:
        if not life.counts:
            break
        failures += 1
        if life.started and life.ended - life.started >= STEADY:
            break
    if not failures:
        return timedelta(0)
    doubled: timedelta = BACK_OFF_FIRST * 2 ** min(failures - 1, 10)
    return min(doubled, BACK_OFF_MOST)


def upkeep(
    wanted: Sequence[Slot],
    running: Mapping[str, Slot],
    ended: Mapping[Slot, Sequence[Life]],
    now: datetime,
) -> Upkeep:
    """What brings a serving release to its formation.

    `running`: container id -> slot, of this release. `ended`: past lives by slot, newest first.
    """
    taken: set[Slot] = set()
    stop: list[str] = []
    for container, slot in sorted(running.items()):
        if slot in taken or slot not in wanted:
            stop.append(container)
        taken.add(slot)
    start: list[Slot] = []
    due: list[datetime] = []
    for slot in wanted:
        if slot in taken:
            continue
        # A clock that was set back leaves lives that end in the future: they hold up nothing.
        lives = [life for life in ended.get(slot, ()) if life.ended <= now]
        at = lives[0].ended + back_off(lives) if lives else now
        if at <= now:
            start.append(slot)
        else:
            due.append(at)
    return Upkeep(start=tuple(start), stop=tuple(stop), next_due=min(due, default=None))
