"""Who may sleep, and who goes first: pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paas.linux.memory import Memory

BUSY_CPU = 0.02  # of a core: what computes is not idle, whoever it talks to
# A visitor who waits for an answer sends nothing meanwhile; a web socket may stay open for days.
ANSWERING_SECONDS = 600.0
PRESSED = 0.10  # of the memory is available, or less
PRESSED_AFTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A container that is ready and has something to be woken by. `idle` is in seconds since it was used;
    `after` how many of them make it sleep, 0 for never; `cpu` its use of a core meanwhile; `answering`: the
    ingress has a request under way there; `awaited`: another container waits for its answer."""

    container_id: str
    idle: float
    after: float
    cpu: float = 0.0
    answering: bool = False
    awaited: bool = False


def is_pressed(memory: Memory) -> bool:
    return memory.available < memory.total * PRESSED


def quiet(candidate: Candidate, *, pressed: bool) -> float:
    """How long it must have been idle."""
    wanted = min(candidate.after, PRESSED_AFTER_SECONDS) if pressed else candidate.after
    return max(wanted, ANSWERING_SECONDS) if candidate.answering else wanted


def due(candidates: Iterable[Candidate], *, pressed: bool) -> list[Candidate]:
    """The least recently used first."""
    found = [
        one
        for one in candidates
        if one.after and not one.awaited and one.cpu < BUSY_CPU and one.idle >= quiet(one, pressed=pressed)
    ]
    return sorted(found, key=lambda one: (-one.idle, one.container_id))
