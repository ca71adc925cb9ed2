"""The image store on the machine's page: sizes, what a prune would free, and what became of asking."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from paas.errors import Conflict
from tenants.accounts.access import admin
from tenants.pages import SignedInRequest, said, signed_in
from tenants.store import actions, selectors
from tenants.store.models import Upkeep

Kind = Upkeep.Kind
_ASKED = {
    Kind.LOOK: "Berth looks what a prune would free.",
    Kind.PRUNE: "Unused images are being pruned.",
    Kind.CHECK: "Everything in the store is being read. That takes a while.",
    Kind.MEND: "Damage is being mended.",
}


@require_GET
@signed_in
def store(request: SignedInRequest) -> HttpResponse:
    """The section, for htmx and for a browser without it; `?alone` on its own page, which says its title."""
    admin(request.user)
    template = "store/panel.html" if request.htmx else "store/store.html"
    alone = not request.htmx or "alone" in request.GET
    return render(request, template, {**context(), "alone": alone})


@require_POST
@signed_in
def ask(request: SignedInRequest, kind: str) -> HttpResponse:
    try:
        asked = actions.ask(actor=request.user, kind=kind)
    except Conflict as error:
        messages.warning(request, said(error))
    else:
        messages.success(request, _ASKED[Kind(asked.kind)])
    return redirect("store")


def context() -> dict[str, Any]:
    """What store/panel.html shows."""
    return {
        "store_size": selectors.size(),
        "store_going": selectors.going(),
        "store_look": selectors.latest((Kind.LOOK, Kind.PRUNE)),
        "store_check": selectors.latest((Kind.CHECK, Kind.MEND)),
        "store_tenants": selectors.largest(),
    }
