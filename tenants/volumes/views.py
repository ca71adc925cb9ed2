"""Deleting a volume. They are listed on the app's settings page."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from paas.errors import BadInput, Conflict
from tenants.accounts.models import Role
from tenants.apps.access import app_for
from tenants.pages import SignedInRequest, said, signed_in
from tenants.volumes import actions, selectors


@require_POST
@signed_in
def delete(request: SignedInRequest, tenant: str, name: str, volume: str) -> HttpResponse:
    found = selectors.volume_for(app_for(request.user, tenant, name, needs=Role.OWNER), volume)
    try:
        actions.delete_volume(actor=request.user, volume=found, confirm=request.POST.get("confirm", ""))
    except (BadInput, Conflict) as error:
        messages.error(request, said(error))
    else:
        messages.success(request, f"Volume {volume} is being deleted.")
    return redirect(reverse("settings", args=[tenant, name]) + "#volumes")
