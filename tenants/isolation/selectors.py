"""Reports for pages and the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet, Sum

from tenants.accounts.models import Tenant
from tenants.isolation.models import MACHINE, Report


def of_tenant(tenant: Tenant) -> Report:
    """One that says so where nobody has looked yet."""
    found = Report.objects.select_related("asked_by").filter(pk=tenant.pk).first()
    return found or Report(pk=tenant.pk, tenant=tenant)


def of_machine() -> Report:
    found = Report.objects.select_related("asked_by").filter(pk=MACHINE).first()
    return found or Report(pk=MACHINE)


def of_all() -> QuerySet[Report]:
    """Of each tenant that was looked at, broken promises first; without what was found in it."""
    return everything().exclude(tenant=None)


def everything() -> QuerySet[Report]:
    """The machine's among them, which has no tenant."""
    return Report.objects.select_related("tenant").defer("answer").order_by("-failed", "tenant__slug")


def broken() -> int:
    """Promises that do not hold, of all reports."""
    found: dict[str, Any] = Report.objects.filter(failed__gt=0).aggregate(number=Sum("failed"))
    return int(found["number"] or 0)
