"""Having it looked again how things are fenced off. Asking twice is asking once."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from paas.queue import wake
from tenants.accounts.access import admin
from tenants.accounts.models import Tenant, User
from tenants.isolation.models import GOING, MACHINE, Report

MOST_AT_ONCE = 1  # of a tenant


@transaction.atomic
def look_at(*, actor: User, tenant: Tenant) -> Report:
    """At what runs of the tenant. The report that is under way is given again."""
    return _ask(tenant.pk, actor, tenant)


@transaction.atomic
def look_at_machine(*, actor: User) -> Report:
    """At the control plane, and at every tenant."""
    return _ask(MACHINE, admin(actor))


@transaction.atomic
def look_by_itself() -> Report:
    return _ask(MACHINE, None)


def _ask(key: str, actor: User | None, tenant: Tenant | None = None) -> Report:
    report, _ = Report.objects.get_or_create(pk=key, defaults={"tenant": tenant})
    idle = Report.objects.filter(pk=key).exclude(status__in=GOING)
    if idle.update(status=Report.Status.QUEUED, asked_by=actor, asked_at=timezone.now()):
        wake("isolation", key)
    report.refresh_from_db()
    return report
