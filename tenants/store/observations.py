"""What is true of the image store. Only the worker writes here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from paas.live import MACHINE, publish
from tenants.store.models import GOING, Size, Upkeep, Use

KEPT = 50  # rows of what was done


def claim(upkeep_id: str) -> Upkeep | None:
    """queued -> running, for one worker only."""
    queued = Upkeep.objects.filter(pk=upkeep_id, status=Upkeep.Status.QUEUED)
    return Upkeep.objects.get(pk=upkeep_id) if queued.update(status=Upkeep.Status.RUNNING) else None


def interrupted(upkeep: Upkeep) -> bool:
    """running -> queued: its worker died. All that is done to the store can be done again."""
    running = Upkeep.objects.filter(pk=upkeep.pk, status=Upkeep.Status.RUNNING)
    return bool(running.update(status=Upkeep.Status.QUEUED))


def done(upkeep: Upkeep, report: dict[str, Any]) -> None:
    _end(upkeep, Upkeep.Status.DONE, report=report)


def failed(upkeep: Upkeep, error: dict[str, Any]) -> None:
    _end(upkeep, Upkeep.Status.FAILED, error=error)


def _end(upkeep: Upkeep, status: Upkeep.Status, **columns: Any) -> None:
    Upkeep.objects.filter(pk=upkeep.pk).update(status=status, finished_at=timezone.now(), **columns)
    past = Upkeep.objects.exclude(status__in=GOING).values_list("pk", flat=True)[KEPT:]
    Upkeep.objects.filter(pk__in=list(past)).delete()
    transaction.on_commit(lambda: publish(MACHINE, {"app": "", "what": "usage"}))


@transaction.atomic
def seen(size: Mapping[str, int], uses: Iterable[Use]) -> None:
    """All uses anew: what has none any more has no row."""
    Size.objects.update_or_create(id=1, defaults={**size, "seen_at": timezone.now()})
    Use.objects.all().delete()
    Use.objects.bulk_create(uses, batch_size=500)
