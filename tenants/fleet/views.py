"""The machine as its administrators see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from paas import usage
from paas.errors import BadInput, NotFound
from paas.templatetags.berth import sentence
from tenants.accounts.access import admin, memberships
from tenants.accounts.in_force import lines
from tenants.accounts.models import Role
from tenants.fleet import actions, selectors
from tenants.fleet.consequences import notes
from tenants.fleet.forms import QuotaForm
from tenants.fleet.models import Machine
from tenants.fleet.selectors import Use
from tenants.isolation.views import summary as isolation_summary
from tenants.pages import SignedInRequest, errors_in, form_page, said, signed_in
from tenants.store.views import context as store_context

NAMED = 6  # tenants with a colour of their own in the bars
PER_PAGE = 25
SILENT = timedelta(seconds=30)  # the agent samples every few seconds


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
    """The page, or for htmx its figures or its table.

    `by` is tenant or app; `q` finds, `sort` orders, `page` turns.
    """
    admin(request.user)
    if request.htmx:
        if request.GET.get("part") == "table":
            return render(request, "fleet/table.html", _table(request))
        return render(request, "fleet/usage.html", _figures())
    figures = _figures()
    first_steps = figures["app_count"] < 2 and memberships(request.user).exists()
    context = {
        **figures,
        **_table(request),
        **store_context(),
        **isolation_summary(),
        "first_steps": first_steps,
        "history": usage.history(usage.MACHINE),
    }
    return render(request, "fleet/machine.html", context)


def _figures() -> dict[str, Any]:
    seen, uses = selectors.machine(), selectors.use_by_tenant()
    return {
        "machine": seen,
        "memory_parts": memory_parts(seen, uses) if seen else [],
        "cpu_parts": cpu_parts(seen, uses) if seen else [],
        "silent": bool(seen and seen.sampled_at and seen.sampled_at < timezone.now() - SILENT),
        **selectors.counts(),
    }


def _table(request: SignedInRequest) -> dict[str, Any]:
    by = "app" if request.GET.get("by") == "app" else "tenant"
    words, sort = request.GET.get("q", "").strip(), request.GET.get("sort", "memory")
    sort = sort if sort in selectors.SORTS else "memory"
    rows = selectors.apps(words, sort) if by == "app" else selectors.tenants(words, sort)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return {"by": by, "words": words, "sort": sort, "page": page}


@signed_in
def tenant(request: SignedInRequest, slug: str) -> HttpResponse:
    """One tenant: what it uses, its quota to change, its apps; for htmx one of the parts."""
    actor, found = admin(request.user), selectors.tenant(slug)
    form = QuotaForm(found, request.POST if request.method == "POST" else None)
    if form.is_valid():
        with errors_in(form):
            changed = actions.set_quota(actor=actor, tenant=found, changes=form.changes())
            messages.success(request, "The quota is saved." if changed else "Nothing to change.")
            for note in notes(selectors.tenant(slug)):
                messages.warning(request, sentence(note))
            return redirect("machine_tenant", slug)
    words = request.GET.get("q", "").strip()
    rows = selectors.apps(words, "memory", found)
    context = {
        "tenant": found,
        "limits": lines(found),
        "owners": found.members.filter(role=Role.OWNER).select_related("user").order_by("user__email")[:5],
        "words": words,
        "page": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
    }
    if request.htmx:
        part = "tenant_apps" if request.GET.get("part") == "apps" else "tenant_use"
        return render(request, f"fleet/{part}.html", context)
    return form_page(request, "fleet/tenant.html", form, context)


@require_POST
@signed_in
def destroy_tenant(request: SignedInRequest, slug: str) -> HttpResponse:
    actor, found = admin(request.user), selectors.tenant(slug)
    try:
        actions.destroy_tenant(actor=actor, tenant=found, confirm=request.POST.get("confirm", ""))
    except (BadInput, NotFound) as error:
        messages.error(request, said(error))
        return redirect(reverse("machine_tenant", args=[slug]) + "#destroy")
    messages.success(request, f"{found.name} is being destroyed, with all of its apps.")
    return redirect("tenants")


def memory_parts(seen: Machine, uses: list[Use]) -> list[Segment]:
    used = seen.memory_bytes - seen.memory_available_bytes
    return segments([(use.slug, use.memory_bytes) for use in uses], total_used=used, whole=seen.memory_bytes)


def cpu_parts(seen: Machine, uses: list[Use]) -> list[Segment]:
    """In the order of memory, so that a tenant has one colour in both bars."""
    amounts = [(use.slug, use.cpu_millis) for use in uses]
    return segments(amounts, total_used=seen.cpu_millis, whole=seen.cores * 1000)


def segments(amounts: list[tuple[str, int]], *, total_used: int, whole: int) -> list[Segment]:
    """The first few by name, the other tenants together, then the rest of the machine; never past its end."""
    if whole <= 0:
        return []
    named, others = amounts[:NAMED], sum(amount for _, amount in amounts[NAMED:])
    rest = max(0, total_used - sum(amount for _, amount in amounts))
    rows = [*named, *([("other tenants", others)] if others else []), ("this machine itself", rest)]
    starts = [0.0, *accumulate(100 * amount / whole for _, amount in rows)]
    return [
        Segment(label, amount, round(min(start, 100), 3), round(max(0, min(end, 100) - start), 3))
        for (label, amount), start, end in zip(rows, starts, starts[1:], strict=False)
    ]
