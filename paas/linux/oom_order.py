"""In which order the kernel kills when memory runs out: by oom_score_adj (proc(5), mm/oom_kill.c).

A thousandth of what there is, memory and swap together, counts as much as one. What a process has in swap
counts as what it has in memory, though to kill one that has nothing else gives no memory back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

FIRST = 900  # steps of builds and commands
APP = 500
ASLEEP = 100  # and Berth's own processes are at 0


def go_last(pids: Iterable[int]) -> None:
    """Of all apps, as long as they sleep. Again is nothing."""
    _change(pids, _last)


def go_with_others(pids: Iterable[int]) -> None:
    """As before `go_last`. Again is nothing."""
    _change(pids, _with_others)


def _last(score: int) -> int:
    """A program may say which of its own goes before the others (it may only raise what it was given): they
    keep their order, in half the room, so that it can be told from the number alone who was put here."""
    return ASLEEP + (score - APP) // 2 if score >= APP else score


def _with_others(score: int) -> int:
    return score if score >= APP else APP + max(0, score - ASLEEP) * 2


def _change(pids: Iterable[int], new: Callable[[int], int]) -> None:
    for pid in pids:
        # It may have ended; and where Berth may not lower what it was given itself, nobody goes last.
        with suppress(OSError):
            file = Path(f"/proc/{pid}/oom_score_adj")
            score = int(file.read_text())
            if new(score) != score:
                file.write_text(str(new(score)))
