"""Who goes to sleep, and who first."""

from __future__ import annotations

import pytest

from paas.specs import MIB
from paas.worker.idle import Candidate, Memory, due

BASE = Candidate("a", idle=1000.0, after=900.0)


def changed(**changes: object) -> Candidate:
    values = {name: getattr(BASE, name) for name in ("container_id", "idle", "after", "cpu", "answering")}
    return Candidate(**{**values, **changes})


@pytest.mark.parametrize(
    ("candidate", "pressed", "sleeps"),
    [
        (BASE, False, True),
        (changed(idle=899.0), False, False),
        (changed(after=0.0), False, False),
        (changed(after=0.0), True, False),  # whoever said never, means it
        (changed(cpu=0.03), False, False),
        (changed(idle=61.0), True, True),
        (changed(idle=59.0), True, False),
        (changed(idle=100.0, after=30.0, answering=True), False, False),
        (changed(idle=700.0, after=30.0, answering=True), False, True),
        (changed(idle=100.0, answering=True), True, False),
    ],
)
def test_who_sleeps(candidate: Candidate, pressed: bool, sleeps: bool) -> None:
    assert due([candidate], pressed=pressed) == ([candidate] if sleeps else [])


def test_the_least_recently_used_goes_first() -> None:
    three = [
        changed(container_id=name, idle=idle) for name, idle in (("a", 901.0), ("b", 5000.0), ("c", 950.0))
    ]
    assert [one.container_id for one in due(three, pressed=True)] == ["b", "c", "a"]


def test_memory_is_short_when_a_tenth_is_available() -> None:
    assert not Memory(1000 * MIB, 101 * MIB, 1).pressed
    assert Memory(1000 * MIB, 99 * MIB, 1).pressed
