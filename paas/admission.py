"""Whether one more container fits on the machine: pure. Bytes throughout.

A limit is a promise that few make full use of, so limits may add up to more than there is. What counts is what
is really needed (working sets), what the kernel can still give, and who could sleep to make room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paas.specs import MIB

SHARE_RESERVED = 20  # a twentieth of the machine is Berth's own and the kernel's, within these bounds
LEAST_RESERVED, MOST_RESERVED = 256 * MIB, 1024 * MIB
FIRST_NEED = 64 * MIB  # what an app takes to start, when nothing is known of it
OVERCOMMIT = 20  # limits may add up to so many times memory and swap: a mistake is told before it hurts


@dataclass(frozen=True, slots=True)
class Idle:
    """A container that may sleep now, and what its sleep would give back."""

    id: str
    gives: int


@dataclass(frozen=True, slots=True)
class Room:
    """`available` is what the kernel could give without swapping (MemAvailable), `swap_free` what is left of
    swap, `untouched` what the kernel would write there by itself. `starting` is what those that only just start
    will still take of it. `idle`: least recently used first."""

    memory: int
    available: int
    swap: int
    swap_free: int
    reserved: int
    starting: int = 0
    untouched: int = 0
    idle: Sequence[Idle] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Admitted where `why` is empty, once `to_sleep` do so. `short`: it does not fit as things are."""

    short: bool = False
    to_sleep: tuple[str, ...] = ()
    why: str = ""
    hint: str = ""


def reserve(memory: int) -> int:
    """What no container may take: a twentieth of the machine, 256 MiB at least, 1 GiB at most."""
    return min(max(memory // SHARE_RESERVED, LEAST_RESERVED), MOST_RESERVED)


def need(limit: int, peak: int = 0) -> int:
    """What a container of that limit will want: what its like was seen to need, or enough to start."""
    return min(limit, peak or FIRST_NEED)


def admit(room: Room, limit: int, needs: int) -> Answer:
    """For a container of that limit which is expected to need so much."""
    most = OVERCOMMIT * (room.memory + room.swap)
    if room.reserved + limit > most:
        return Answer(
            short=True,
            why=f"the limits of all containers would add up to {_mib(room.reserved + limit)}, "
            f"{OVERCOMMIT} times what the machine has ({_mib(room.memory)} and {_mib(room.swap)} of swap)",
            hint="lower the memory limits of some apps (see the machine's density page), or add memory",
        )
    to_give = room.available - reserve(room.memory) - room.starting
    missing = needs - to_give
    short = missing > 0
    asleep: list[str] = []
    swap_left = room.swap_free
    for idle in room.idle:
        if missing <= 0:
            break
        if 0 < idle.gives <= swap_left:
            asleep.append(idle.id)
            missing, swap_left = missing - idle.gives, swap_left - idle.gives
    # Where nobody is left who could sleep, the kernel still pages out by itself what nobody touches: half of
    # that is counted on, and half of the swap, so that some is left.
    if missing <= max(0, min(room.untouched, swap_left) // 2):
        return Answer(short, tuple(asleep))
    return Answer(
        short=True,
        why=f"{_mib(needs)} of memory are needed, and beside its reserve and what is starting the machine has "
        f"{_mib(max(0, to_give))} to give; no idle app can sleep to make room"
        + ("" if room.swap else ": there is no swap to sleep in"),
        hint="stop or scale down an app, let more of them sleep (berth sleep), or ask an administrator for "
        "swap (bin/up --swap auto) or more memory",
    )


def _mib(amount: int) -> str:
    return f"{amount // MIB:,} MiB"
