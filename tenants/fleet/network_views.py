"""What a tenant may send out of the machine, as administrators set it and as the kernel has it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from tenants.accounts.access import admin
from tenants.accounts.egress import Rules
from tenants.fleet import actions, selectors
from tenants.fleet.egress_form import EgressForm
from tenants.pages import SignedInRequest, errors_in, form_page, signed_in


@signed_in
def network(request: SignedInRequest, slug: str) -> HttpResponse:
    """The page, or for htmx its figures."""
    actor, found = admin(request.user), selectors.tenant(slug)
    context = {"tenant": found, "traffic": selectors.traffic_of(found)}
    if request.htmx:
        return render(request, "fleet/network_use.html", context)
    form = EgressForm(Rules.of(found), request.POST if request.method == "POST" else None)
    if form.is_valid():
        with errors_in(form):
            changed = actions.set_egress(actor=actor, tenant=found, rules=form.rules())
            messages.success(request, "The network's rules are saved." if changed else "Nothing to change.")
            return redirect("machine_network", slug)
    return form_page(request, "fleet/network.html", form, context)
