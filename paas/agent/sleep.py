"""Sleep and wake in the agent, in a thread of its own: writing memory to swap takes a while, and a wake
is to be seen at once."""

from __future__ import annotations

import time
from threading import Event, Thread

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections

from paas.agent.exits import ExitWatch
from paas.errors import BerthError
from paas.worker import evening, sleep, used

log = structlog.get_logger()
EVERY_SECONDS = 10.0
EXPECTED = (DatabaseError, InterfaceError, BerthError, OSError)


class Sleep:
    """Used in a `with` statement, during which who is idle is put to sleep."""

    def __init__(self) -> None:
        self._woken, self._ending = ExitWatch(settings.PATHS.woken), Event()
        self._seen = used.recall()
        self._thread = Thread(target=self._run, name="sleep", daemon=True)

    def __enter__(self) -> Sleep:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ending.set()
        self._thread.join()

    def observe(self) -> None:
        """RuntimeError: the thread has died of something unforeseen, of which the agent is to be restarted."""
        if not self._thread.is_alive():
            raise RuntimeError("the thread that puts apps to sleep has ended")

    def _run(self) -> None:
        due_at = 0.0
        while not self._ending.is_set():
            self._woken.wait(1.0)
            close_old_connections()
            try:
                sleep.note_wakes()
                if time.monotonic() >= due_at:
                    due_at = time.monotonic() + EVERY_SECONDS
                    sleep.settle()
                    self._look()
            except EXPECTED as error:
                log.warning("agent.sleep_failed", error=str(error))
                self._ending.wait(1.0)

    def _look(self) -> None:
        before = dict(self._seen)
        evening.look(self._seen, lambda: not self._ending.is_set())
        if self._seen != before:
            used.note(self._seen)
