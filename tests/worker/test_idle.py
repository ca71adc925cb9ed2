"""Who goes to sleep, and who first."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest

from paas.linux.memory import Memory
from paas.paths import Paths
from paas.specs import MIB
from paas.worker import used
from paas.worker.idle import Candidate, due, is_pressed
from paas.worker.used import Use, since

BASE = Candidate("a", idle=1000.0, after=900.0)
FIELDS = ("container_id", "idle", "after", "cpu", "answering", "awaited")


def changed(**changes: object) -> Candidate:
    values = {name: getattr(BASE, name) for name in FIELDS}
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
        (changed(awaited=True), False, False),
        (changed(awaited=True), True, False),
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
    assert not is_pressed(Memory(1000 * MIB, 101 * MIB, 1, 1, 0))
    assert is_pressed(Memory(1000 * MIB, 99 * MIB, 1, 1, 0))


@pytest.mark.parametrize(
    ("known", "idle", "expected"),
    [
        (None, 500.0, Use(1000.0, 7)),  # new, or nobody looked for so long: nobody knows what it computed
        (Use(2000.0, 5), 500.0, Use(1000.0, 7)),  # of before the machine's start
        (Use(600.0, 5), 400.2, Use(600.0, 5)),
        (Use(600.0, 5), math.inf, Use(600.0, 5)),
        (Use(600.0, 5), 4.0, Use(996.0, 7)),
        (Use(600.0, 5), 300.0, Use(990.0, 7)),  # used while nobody looked: its cpu counter then is not known
    ],
)
def test_the_last_use_is_remembered(known: Use | None, idle: float, expected: Use) -> None:
    assert since(known, idle, 7, 1000.0) == expected


def test_who_starts_anew_knows_as_much(tmp_path: Path, settings: Any) -> None:
    settings.PATHS = Paths(state=tmp_path, run=tmp_path)
    assert used.recall() == {}
    now = time.monotonic()
    used.note({"a": Use(now - 50, 3), "b": Use(now + 500, 4)})
    assert used.recall() == {"a": Use(now - 50, 3)}, "what is yet to come is of before a restart"
    (tmp_path / "used.json").write_text('{"a": [')
    assert used.recall() == {}
