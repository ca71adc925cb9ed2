"""What is true of pushes and exports. Only the worker writes here."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from paas.live import changed
from tenants.apps.models import App
from tenants.registries.models import KEPT, Export, Push

Status = Push.Status
Job = TypeVar("Job", Push, Export)


def claim(push_id: str) -> Push | None:
    return _claim(Push, push_id)


def claim_export(export_id: str) -> Export | None:
    return _claim(Export, export_id)


@transaction.atomic
def _claim(kind: type[Job], pk: str) -> Job | None:
    """queued -> running, for one worker only. None if it is another's, was cancelled, or its app is gone."""
    wanted = Exists(App.objects.filter(pk=OuterRef("app_id"), destroyed_at=None))
    queued = kind.objects.filter(wanted, pk=pk, status=Status.QUEUED, cancel_asked_at=None)
    if not queued.update(status=Status.RUNNING, attempts=F("attempts") + 1):
        return None
    job = kind.objects.select_related("app__tenant", "release").get(pk=pk)
    changed(job.app.tenant_id, job.app_id, "push")
    return job


def interrupted(job: Push | Export) -> bool:
    """running -> queued: its worker died. Doing it again changes nothing that is there. Cancelled if that was
    asked for."""
    running = type(job).objects.filter(pk=job.pk, status=Status.RUNNING)
    is_again = bool(running.filter(cancel_asked_at=None).update(status=Status.QUEUED))
    if is_again or running.update(status=Status.CANCELLED, finished_at=timezone.now()):
        changed(job.app.tenant_id, job.app_id, "push")
    return is_again


def done(push: Push, digest: str) -> None:
    _end(push, status=Status.DONE, digest=digest)


def exported(export: Export, size: int) -> None:
    _end(export, status=Status.DONE, size=size)


def failed(job: Push | Export, error: dict[str, Any]) -> None:
    _end(job, status=Status.FAILED, error=error)


def cancelled(job: Push | Export) -> None:
    _end(job, status=Status.CANCELLED)


def cancelled_while_queued(job: Push | Export) -> bool:
    queued = type(job).objects.filter(pk=job.pk, status=Status.QUEUED)
    return bool(queued.update(status=Status.CANCELLED, finished_at=timezone.now()))


def _end(job: Push | Export, **columns: Any) -> None:
    type(job).objects.filter(pk=job.pk).update(finished_at=timezone.now(), **columns)
    changed(job.app.tenant_id, job.app_id, "push")


def forget_exports() -> None:
    """Those that were kept long enough; their files go with the next look at the folder."""
    for export in Export.objects.filter(finished_at__lt=timezone.now() - KEPT).select_related("app"):
        export.delete()
        changed(export.app.tenant_id, export.app_id, "push")
