"""The machine as its administrators see it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from tenants.accounts.access import admin, tenants_of
from tenants.fleet import selectors
from tenants.fleet.models import Machine
from tenants.fleet.selectors import TenantUsage
from tenants.pages import SignedInRequest, signed_in

NAMED = 6  # tenants with a colour of their own in the bars


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a stacked bar, in percent of the whole."""

    label: str
    amount: int
    start: float
    width: float


@require_GET
@signed_in
def machine(request: SignedInRequest) -> HttpResponse:
    """The page, or for htmx its figures."""
    user = admin(request.user)
    seen, tenants = selectors.machine(), selectors.usage_by_tenant()
    context = {
        "machine": seen,
        "tenants": tenants,
        "mine": set(tenants_of(user).values_list("pk", flat=True)),
        "memory_parts": memory_parts(seen, tenants) if seen else [],
        "cpu_parts": cpu_parts(seen, tenants) if seen else [],
    }
    return render(request, "fleet/usage.html" if request.htmx else "fleet/machine.html", context)


def memory_parts(seen: Machine, tenants: list[TenantUsage]) -> list[Segment]:
    used = seen.memory_bytes - seen.memory_available_bytes
    amounts = [(row.slug, row.used.memory_bytes) for row in tenants]
    return segments(amounts, total_used=used, whole=seen.memory_bytes)


def cpu_parts(seen: Machine, tenants: list[TenantUsage]) -> list[Segment]:
    """In the order of memory, so that a tenant has one colour in both bars."""
    amounts = [(row.slug, row.used.cpu_millis) for row in tenants]
    return segments(amounts, total_used=seen.cpu_millis, whole=seen.cores * 1000)


def segments(amounts: list[tuple[str, int]], *, total_used: int, whole: int) -> list[Segment]:
    """The first few by name, the other tenants together, then the rest of the machine."""
    if whole <= 0:
        return []
    named, others = amounts[:NAMED], sum(amount for _, amount in amounts[NAMED:])
    rest = max(0, total_used - sum(amount for _, amount in amounts))
    rows = [*named, *([("other tenants", others)] if others else []), ("this machine itself", rest)]
    widths = [100 * amount / whole for _, amount in rows]
    starts = [0.0, *accumulate(widths)]
    return [
        Segment(label, amount, round(start, 3), round(width, 3))
        for (label, amount), start, width in zip(rows, starts, widths, strict=False)
    ]
