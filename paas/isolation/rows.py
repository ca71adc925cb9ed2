"""What a report consists of: promises, and a row for each that says whether it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Outcome = Literal["pass", "fail", "n/a"]
Given = TypeVar("Given")
SHOWN = 3  # of what is wrong with one thing: the others are most often the same


@dataclass(frozen=True, slots=True)
class Found:
    """What is true of one promise, in words; `n/a` says why it cannot be had on this host."""

    outcome: Outcome
    found: str


@dataclass(frozen=True, slots=True)
class Row:
    """`id` is its promise's."""

    id: str
    outcome: Outcome
    found: str


@dataclass(frozen=True, slots=True)
class Promise(Generic[Given]):
    """`promise` is for people; `judge` looks at the facts. An id is kept for good: programs compare by it."""

    id: str
    title: str
    promise: str
    judge: Callable[[Given], Found]


def verdict(problems: Iterable[str], fine: str) -> Found:
    """`fine` where there is no problem."""
    wrong = list(dict.fromkeys(problems))
    if not wrong:
        return Found("pass", fine)
    more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return Found("fail", "; ".join(wrong[:SHOWN]) + more)


def rows(promises: Iterable[Promise[Given]], given: Given) -> tuple[Row, ...]:
    found = ((promise.id, promise.judge(given)) for promise in promises)
    return tuple(Row(id, it.outcome, it.found) for id, it in found)
