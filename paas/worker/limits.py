"""What runs is held to the memory limits that are in force, without a restart (see tenants.releases.limits)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from paas.errors import BerthError
from paas.specs import ProcessSpec
from paas.worker import engine, sleep
from paas.worker.translate import tenant_spec
from tenants.containers import observations
from tenants.containers.models import Container

log = structlog.get_logger()


def follow(rows: Iterable[Container], wanted: Mapping[str, ProcessSpec]) -> None:
    """Idempotent. One that needs more now, or that somebody works on, keeps its limit until the next look."""
    for row in rows:
        process = wanted.get(row.process_type)
        if process is not None and row.memory_limit != process.memory_bytes:
            _hold(row, process.memory_bytes)


def _hold(row: Container, memory: int) -> None:
    try:
        with sleep.undisturbed(row):
            held = engine.runtime().hold_to(row.pk, memory, memory, tenant_spec(row.tenant).quota)
    except BerthError as error:
        log.info("limit.waits", container=row.pk, why=error.summary)
        return
    if held:
        observations.held_to(row, memory)
