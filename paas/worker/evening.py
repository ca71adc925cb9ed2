"""The pass over all that may sleep: who is idle goes to sleep by itself, and the least recently used when
memory is short."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

import structlog
from django.utils import timezone

from paas.errors import HostProblem
from paas.linux import memory
from paas.linux.memory import Memory
from paas.worker import sleep, used
from paas.worker.idle import due, is_pressed, quiet
from paas.worker.used import Use
from tenants.containers.models import Container

log = structlog.get_logger()
STARTING = timedelta(seconds=10)  # what an app does in its first seconds no request asks for again


def look(
    seen: dict[str, Use], go_on: Callable[[], bool], memory_now: Callable[[], Memory] = memory.read
) -> list[str]:
    """The ids of those that sleep now, in that order. Before each, memory is looked at again: who goes only
    because it is short stays awake once it is not."""
    now = memory_now()
    if not now.swap_free:
        return []  # asleep, an app would keep all that it has in memory
    rows = {row.pk: row for row in sleep.who_may(status=Container.Status.RUNNING)}
    _watch(rows.values())
    slept = []
    for candidate in due(used.candidates(rows.values(), seen), pressed=is_pressed(now)):
        now = memory_now()
        row, wanted = rows[candidate.container_id], quiet(candidate, pressed=is_pressed(now))
        if not go_on() or now.swap_free < row.memory_bytes:
            break
        if candidate.idle >= wanted and lay(row, wanted):
            slept.append(row.pk)
        sleep.note_wakes()
    return slept


def _watch(rows: Iterable[Container]) -> None:
    """What they use from now on is what their first wake will need: but for those that only just start."""
    started = timezone.now() - STARTING
    for row in rows:
        if row.started_at and row.started_at < started:
            sleep.watch(row)


def lay(row: Container, seconds: float) -> bool:
    """Whether it sleeps now; what keeps it from that is nobody else's trouble."""
    try:
        if not sleep.put_to_sleep(row, seconds):
            return False
    except (HostProblem, OSError) as error:
        log.warning("container.does_not_sleep", container=row.pk, error=str(error))
        return False
    log.info("container.sleeps", container=row.pk)
    return True
