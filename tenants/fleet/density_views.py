"""The density ledger: who holds how much of the machine, and how much more fits."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from paas.admission import reserve
from paas.specs import MIB
from tenants.accounts.access import admin
from tenants.apps.access import any_app
from tenants.fleet import ledger
from tenants.fleet.density import BOUNDS, VM_OVERHEAD
from tenants.pages import SignedInRequest, signed_in
from tenants.releases.settings_views import choose_limit

PER_PAGE = 50


class FitForm(forms.Form):
    size = forms.IntegerField(label="App that needs, in MiB", min_value=1, max_value=2**20, initial=64)
    asleep = forms.IntegerField(label="Of them asleep, in %", min_value=0, max_value=100, initial=80)
    machine = forms.IntegerField(label="Virtual machine of, in MiB", min_value=64, max_value=2**20, initial=512)


@require_GET
@signed_in
def density(request: SignedInRequest) -> HttpResponse:
    """The page, or for htmx its table. `by`, `q`, `sort` and `page` as on the machine's page."""
    admin(request.user)
    context = _table(request)
    if request.htmx:
        return render(request, "fleet/density_table.html", context)
    return render(request, "fleet/density.html", {**context, **_figures(request)})


@require_POST
@signed_in
def limit(request: SignedInRequest, tenant: str, name: str, process: str) -> HttpResponse:
    """Apply the advice for a process type of anybody's app, or undo that; back to where the page was."""
    choose_limit(request, any_app(request.user, tenant, name), process)
    return redirect(f"{reverse('density')}?{request.GET.urlencode()}")


def _table(request: SignedInRequest) -> dict[str, Any]:
    by, sort = request.GET.get("by", "tenant"), request.GET.get("sort", "used")
    by, sort = by if by in ledger.BY else "tenant", sort if sort in ledger.SORTS else "used"
    words = request.GET.get("q", "").strip()
    page = Paginator(ledger.rows(by, sort, words), PER_PAGE).get_page(request.GET.get("page"))
    if by == "process":
        page.object_list = ledger.with_advice(page.object_list)
    listed = urlencode({"by": by, "sort": sort, "q": words, "page": page.number})
    return {"by": by, "sort": sort, "words": words, "page": page, "listed": listed}


def _figures(request: SignedInRequest) -> dict[str, Any]:
    found = ledger.totals()
    asked = {name: field.initial for name, field in FitForm.base_fields.items()}
    is_asked = not asked.keys().isdisjoint(request.GET)
    form = FitForm({**asked, **request.GET.dict()} if is_asked else None)
    if form.is_bound and form.is_valid():
        asked = form.cleaned_data
    fits, bound = found.fits(asked["size"] * MIB, asked["asleep"])
    return {
        "totals": found,
        "waits": None if found.stalled[0] is None else found.stalled,
        "form": form,
        "asked": asked,
        "overhead": VM_OVERHEAD,
        "kept_back": reserve(found.memory),
        "fits": fits,
        "bound": BOUNDS[bound],
        "as_machines": found.as_machines(asked["machine"] * MIB),
    }
