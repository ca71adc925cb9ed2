"""Sleep and wake in the agent, in a thread of its own: writing memory to swap takes a while, and a wake
is to be seen at once."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from paas.agent.exits import ExitWatch
from paas.errors import BerthError, HostProblem
from paas.network import address_of
from paas.worker import engine, sleep
from paas.worker.idle import Candidate, Memory, due, quiet
from paas.worker.routes import upstream
from tenants.containers.models import Container

log = structlog.get_logger()
EVERY_SECONDS = 10.0
JITTER_SECONDS = 0.5
STARTING = timedelta(seconds=10)  # what an app does in its first seconds no request asks for again
EXPECTED = (DatabaseError, InterfaceError, BerthError, OSError)


class Sleep:
    """Used in a `with` statement, during which who is idle is put to sleep."""

    def __init__(self) -> None:
        self._woken, self._ending = ExitWatch(settings.PATHS.woken), Event()
        self._cpu: dict[str, tuple[float, int]] = {}  # when it was last seen in use, and its counter then
        self._watched: set[str] = set()
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
        memory = read_memory()
        if not memory.swap_free:
            return  # asleep, an app would keep all that it has in memory
        rows = {row.pk: row for row in sleep.who_may() if row.status == Container.Status.RUNNING}
        self._watch(rows)
        found = due(self._candidates(rows.values()), pressed=memory.pressed)
        for candidate in found:
            if self._ending.is_set() or read_memory().swap_free < rows[candidate.container_id].memory_bytes:
                return
            pressed = memory.pressed and read_memory().pressed
            self._put(rows[candidate.container_id], quiet(candidate, pressed=pressed))
            sleep.note_wakes()

    def _watch(self, rows: dict[str, Container]) -> None:
        self._watched &= rows.keys()
        started = timezone.now() - STARTING
        for pk in rows.keys() - self._watched:
            row = rows[pk]
            if row.started_at and row.started_at < started:
                sleep.watch(row)
                self._watched.add(pk)

    def _put(self, row: Container, seconds: float) -> None:
        try:
            if sleep.put_to_sleep(row, seconds):
                log.info("container.sleeps", container=row.pk)
        except (HostProblem, OSError) as error:
            log.warning("container.does_not_sleep", container=row.pk, error=str(error))

    def _candidates(self, rows: Iterable[Container]) -> list[Candidate]:
        idle, now = engine.network().asleep.idle_seconds(), time.monotonic()
        answering = sleep.answering()
        found, known = [], self._cpu
        self._cpu = {}
        for row in rows:
            assert row.address is not None
            seconds = idle.get(address_of(settings.CONTAINER_PREFIX, row.address), math.inf)
            with suppress(FileNotFoundError):  # it ends
                passed, cpu = self._passed(row, seconds, known.get(row.pk), now)
                after = float(settings.SLEEP_AFTER if row.app.sleep_after is None else row.app.sleep_after)
                found.append(Candidate(row.pk, passed, after, cpu, upstream(row) in answering))
        return found

    def _passed(
        self, row: Container, idle: float, known: tuple[float, int] | None, now: float
    ) -> tuple[float, float]:
        """Seconds that it was idle for as long as we look, and its use of a core meanwhile."""
        if known is None or idle < now - known[0] - JITTER_SECONDS:
            self._cpu[row.pk] = now - min(idle, EVERY_SECONDS), _cpu_usec(row)
            return 0.0, 0.0
        self._cpu[row.pk] = known
        passed = now - known[0]
        return passed, (_cpu_usec(row) - known[1]) / 1_000_000 / max(passed, 1.0)


def _cpu_usec(row: Container) -> int:
    return engine.runtime().reading(row.tenant_id, row.app_id, row.pk).cpu_usec


def read_memory() -> Memory:
    """/proc/meminfo."""
    rows = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    found = {name.rstrip(":"): int(value) * 1024 for name, value, *_ in rows}
    return Memory(found["MemTotal"], found["MemAvailable"], found["SwapFree"])
