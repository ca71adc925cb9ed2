"""Celery's side: a task's argument is a primary key, its work is idempotent, its result is in the rows."""

from __future__ import annotations

from celery import shared_task

from paas.worker import builds
from paas.worker import reconcile as apps


@shared_task(name="berth.build")  # type: ignore[untyped-decorator]
def build(build_id: str) -> None:
    builds.run_build(build_id)


@shared_task(name="berth.reconcile")  # type: ignore[untyped-decorator]
def reconcile(app_id: str) -> None:
    apps.reconcile(app_id)
