"""Workers' pools: as many processes and threads as there is work, one at rest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Barrier, Event, Thread, current_thread

import pytest
from celery.worker import state

from paas.pools import AtRest, Threads


@dataclass
class Processes:
    num_processes: int

    def grow(self, more: int) -> None:
        self.num_processes += more

    def shrink(self, fewer: int) -> None:
        self.num_processes -= fewer

    def maintain_pool(self) -> None: ...


class Task:
    """One that is under way or waits, as far as it is counted."""


@pytest.fixture
def tasks() -> Iterator[list[Task]]:
    found = [Task() for _ in range(6)]
    state.reserved_requests.update(found)
    yield found
    state.reserved_requests.difference_update(found)


def test_processes_end_when_there_is_no_task_and_not_before(tasks: list[Task]) -> None:
    pool = Processes(1)
    scaler = AtRest(pool, max_concurrency=4, min_concurrency=1, keepalive=1e-9)
    scaler.maybe_scale()
    assert pool.num_processes == 4, "six tasks"
    state.reserved_requests.difference_update(tasks[1:])
    scaler.maybe_scale()
    assert pool.num_processes == 4, "which of them has the task is not known yet"
    state.reserved_requests.clear()
    scaler.maybe_scale()
    assert pool.num_processes == 1


def at_rest(threads: Threads, number: int) -> None:
    """A task's result is there a moment before its thread is."""
    end = time.monotonic() + 10
    while len(threads._idle) < number:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_who_worked_last_gets_the_next_task() -> None:
    threads, together = Threads(4), Barrier(4)
    for future in [threads.submit(together.wait) for _ in range(4)]:
        future.result(10)
    found = set()
    for _ in range(8):
        at_rest(threads, 4)
        found.add(threads.submit(current_thread).result(10))
    assert len(found) == 1
    threads.shutdown()


def test_threads_that_rest_end_but_one_and_come_again() -> None:
    threads = Threads(3, rest=0.1)
    together = Barrier(3)

    def who() -> Thread:
        together.wait(10)
        return current_thread()

    for _ in range(2):
        found = {future.result(10) for future in [threads.submit(who) for _ in range(3)]}
        assert len(found) == 3
        end = time.monotonic() + 10
        while sum(one.is_alive() for one in found) > 1:
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.3)
        assert sum(one.is_alive() for one in found) == 1
    threads.shutdown()


def test_more_tasks_than_threads_wait_and_are_done_before_the_end() -> None:
    threads, go = Threads(2), Event()
    futures = [threads.submit(go.wait, 10) for _ in range(6)]
    go.set()
    threads.shutdown()
    assert [future.done() and future.result() for future in futures] == [True] * 6
    with pytest.raises(RuntimeError):
        threads.submit(go.wait)


def test_what_a_task_raises_ends_no_thread() -> None:
    threads = Threads(1)
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 / 0).result(10)
    assert threads.submit(lambda: 1).result(10) == 1
    threads.shutdown()
