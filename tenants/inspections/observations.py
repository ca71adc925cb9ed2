"""Answers. Only the worker writes here, and only to a question that still waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from paas.errors import plain
from paas.live import changed
from tenants.inspections.models import Inspection

KEPT = 40  # of an app
KEPT_FOR = timedelta(days=1)


def answered(inspection: Inspection, answer: dict[str, Any]) -> bool:
    """Names of files may be no text, and PostgreSQL keeps nothing else."""
    return _end(inspection, status=Inspection.Status.ANSWERED, answer=plain(answer))


def failed(inspection: Inspection, error: dict[str, Any]) -> bool:
    return _end(inspection, status=Inspection.Status.FAILED, error=error)


@transaction.atomic
def _end(inspection: Inspection, **columns: Any) -> bool:
    waiting = Inspection.objects.filter(pk=inspection.pk, status=Inspection.Status.QUEUED)
    if not waiting.update(answered_at=timezone.now(), **columns):
        return False
    _forget_old(inspection)
    changed(inspection.app.tenant_id, inspection.app_id, "inspection")
    return True


def _forget_old(inspection: Inspection) -> None:
    """They can be asked again: an app keeps its latest, for a day."""
    others = Inspection.objects.filter(app_id=inspection.app_id).exclude(status=Inspection.Status.QUEUED)
    others.filter(answered_at__lt=timezone.now() - KEPT_FOR).delete()
    latest = list(others.order_by("-answered_at").values_list("pk", flat=True)[:KEPT])
    others.exclude(pk__in=latest).delete()
