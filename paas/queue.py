"""Waking the worker. The row is the truth: a lost message costs a delay, the reconciler finds the row."""

from __future__ import annotations

import structlog
from django.db import transaction
from kombu.exceptions import OperationalError

from paas.celery import app

log = structlog.get_logger()


def wake(task: str, key: str) -> None:
    """Send task `berth.<task>` with a primary key, once the transaction is committed."""

    def send() -> None:
        try:
            app.send_task(f"berth.{task}", [key], retry=False)
        except OperationalError as error:
            log.warning("queue.unreachable", task=task, key=key, error=str(error))

    transaction.on_commit(send)
