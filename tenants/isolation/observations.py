"""What was found. Only the worker writes here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from paas.live import MACHINE as MACHINE_CHANNEL
from paas.live import channel, publish
from tenants.accounts.models import Tenant
from tenants.isolation.models import GOING, Report


@dataclass(frozen=True, slots=True)
class Tally:
    """How many promises hold, do not, and cannot on this host."""

    passed: int = 0
    failed: int = 0
    unavailable: int = 0


def claim(report_id: str) -> Report | None:
    """queued -> running, for one worker only."""
    queued = Report.objects.filter(pk=report_id, status=Report.Status.QUEUED)
    if not queued.update(status=Report.Status.RUNNING):
        return None
    return Report.objects.select_related("tenant").get(pk=report_id)


def interrupted(report: Report) -> bool:
    """running -> queued: its worker died. A look can be taken again."""
    running = Report.objects.filter(pk=report.pk, status=Report.Status.RUNNING)
    return bool(running.update(status=Report.Status.QUEUED))


def done(report: Report, tally: Tally, answer: dict[str, Any]) -> None:
    running = Report.objects.filter(pk=report.pk, status=Report.Status.RUNNING)
    running.update(status=Report.Status.DONE, error=None, **_found(tally, answer))
    _tell(report.tenant_id)


def looked(tenant: Tenant, tally: Tally, answer: dict[str, Any]) -> None:
    """At a tenant by the way, in a look at the machine. One that its members wait for goes on."""
    with transaction.atomic():
        Report.objects.get_or_create(pk=tenant.pk, defaults={"tenant": tenant})
        same = Report.objects.filter(pk=tenant.pk)
        same.update(**_found(tally, answer))
        same.exclude(status__in=GOING).update(status=Report.Status.DONE, error=None)
    _tell(tenant.pk)


def failed(report: Report, error: dict[str, Any]) -> None:
    """What was found the last time stays."""
    running = Report.objects.filter(pk=report.pk, status=Report.Status.RUNNING)
    running.update(status=Report.Status.FAILED, error=error)
    _tell(report.tenant_id)


def _found(tally: Tally, answer: dict[str, Any]) -> dict[str, Any]:
    counts = {"passed": tally.passed, "failed": tally.failed, "unavailable": tally.unavailable}
    return {**counts, "answer": answer, "checked_at": timezone.now()}


def _tell(tenant_id: str | None) -> None:
    name = channel(tenant_id) if tenant_id else MACHINE_CHANNEL
    transaction.on_commit(lambda: publish(name, {"app": "", "what": "isolation"}))
