"""What is true of runs now. Only the worker writes here, each time on a condition: a run that moved on
meanwhile is left alone and the answer is False (or None)."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from paas.live import changed
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.containers.observations import new_container
from tenants.runs.models import GOING, Run


@transaction.atomic
def claim(run: Run, *, process_type: str, memory_limit: int) -> Container | None:
    """queued -> running, for one worker only, together with the row of its container.

    None if another has it, it was cancelled, or its app is gone.
    """
    wanted = Exists(App.objects.filter(pk=OuterRef("app_id"), destroyed_at=None))
    waiting = Run.objects.filter(wanted, pk=run.pk, status=Run.Status.QUEUED, cancel_asked_at=None)
    if not waiting.update(status=Run.Status.RUNNING):
        return None
    row = new_container(
        app=run.app,
        release=run.release,
        build=None,
        kind=Container.Kind.COMMAND,
        process_type=process_type,
        index=1,
        memory_limit=memory_limit,
    )
    _move(run, container=row)
    return row


def started(run: Run, *, deadline: float) -> bool:
    return _move(run, started_at=timezone.now(), deadline=deadline)


def ended(run: Run, status: Run.Status, *, exit_code: int | None, reason: str) -> bool:
    return _move(
        run, status=status, exit_code=exit_code, reason=reason[:200], finished_at=timezone.now(), deadline=None
    )


def failed(run: Run, error: dict[str, Any]) -> bool:
    return _move(run, status=Run.Status.FAILED, error=error, finished_at=timezone.now(), deadline=None)


def refused(run: Run, error: dict[str, Any]) -> bool:
    """queued -> failed: it may not begin."""
    queued = Run.objects.filter(pk=run.pk, status=Run.Status.QUEUED)
    if not queued.update(status=Run.Status.FAILED, error=error, finished_at=timezone.now()):
        return False
    changed(run.app.tenant_id, run.app_id, "run")
    return True


def cancelled_while_queued(run: Run) -> bool:
    queued = Run.objects.filter(pk=run.pk, status=Run.Status.QUEUED)
    return bool(queued.update(status=Run.Status.CANCELLED, finished_at=timezone.now()))


def beyond_history(app: App, kept: int) -> QuerySet[Run]:
    """Runs of the app that ended and that its history has no room for: the oldest."""
    past = app.runs.exclude(status__in=GOING).order_by("-created_at", "pk")
    return app.runs.filter(pk__in=list(past.values_list("pk", flat=True)[kept:]))


@transaction.atomic
def forget(run: Run) -> None:
    """Its row and its container's. The log is the caller's to remove first."""
    container = run.container
    run.delete()
    if container is not None:
        container.delete()


@transaction.atomic
def _move(run: Run, **columns: Any) -> bool:
    if not Run.objects.filter(pk=run.pk, status=Run.Status.RUNNING).update(**columns):
        return False
    for name, value in columns.items():
        setattr(run, name, value)
    changed(run.app.tenant_id, run.app_id, "run")
    return True
