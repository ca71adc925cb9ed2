"""Workers' pools, which at rest hold little: processes and threads that have nothing to do end, all but one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent import futures
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread, current_thread
from typing import Any

from celery.concurrency import thread
from celery.worker.autoscale import Autoscaler
from django.db import connections

from paas.linux import heap

REST_SECONDS = 30.0
Work = Callable[[], None]


class AtRest(Autoscaler):  # type: ignore[misc]  # celery has no types
    """As many processes as there are tasks, up to the pool's most. Every half minute it is looked whether
    nothing waits or runs; then all end but one, which keeps the next task from waiting for a fork: each has
    10 MiB of its own, and 30 after a build.

    Celery's own would end some as soon as there are fewer tasks than processes, and may choose the one that it
    is just giving a task to (its issue 7266). When there is no task, none of them has one.
    """

    def scale_down(self, n: int) -> None:
        if not self.qty:
            super().scale_down(n)


class Threads(futures.Executor):
    """At most so many. Who worked last, and has all that it needs at hand, gets the next task; who had none for
    a while ends, and closes its connection to the database, which holds a MiB. One always stays."""

    def __init__(self, most: int, rest: float = REST_SECONDS) -> None:
        self._most, self._rest, self._lock = most, rest, Lock()
        self._idle: list[SimpleQueue[Work | None]] = []  # who worked last is at the end
        self._waiting: deque[Work] = deque()
        self._threads: set[Thread] = set()
        self._ending = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        future: futures.Future[Any] = futures.Future()
        work = partial(_settle, future, partial(fn, *args, **kwargs))
        with self._lock:
            if self._ending:
                raise RuntimeError("no task is taken any more")
            if self._idle:
                self._idle.pop().put(work)
            elif len(self._threads) < self._most:
                one = Thread(target=self._run, args=(work,))
                self._threads.add(one)
                one.start()
            else:
                self._waiting.append(work)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What was given is done first."""
        with self._lock:
            self._ending = True
            threads = list(self._threads)
            while self._idle:
                self._idle.pop().put(None)
        if wait:
            for one in threads:
                one.join()

    def _run(self, first: Work) -> None:
        own: SimpleQueue[Work | None] = SimpleQueue()
        work: Work | None = first
        while work:
            work()
            work = None  # nothing of it is kept meanwhile
            work = self._next(own)
        connections.close_all()
        heap.give_back()

    def _next(self, own: SimpleQueue[Work | None]) -> Work | None:
        """None to end."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._ending:
                return None
            self._idle.append(own)
        while True:
            try:
                return own.get(timeout=self._rest)
            except Empty:
                with self._lock:
                    if own in self._idle[:-1]:  # otherwise it has work by now, or is the one that stays
                        self._idle.remove(own)
                        self._threads.discard(current_thread())
                        return None


def _settle(future: futures.Future[Any], call: Callable[[], Any]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(call())
        except BaseException as error:  # its owner's, whatever it is
            future.set_exception(error)


class ThreadPool(thread.TaskPool):  # type: ignore[misc]  # celery has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.executor = Threads(self.limit)
