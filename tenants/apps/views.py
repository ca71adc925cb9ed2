"""The list of apps, making one, destroying one. An app's own page is in containers.views, which sees more."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from paas.errors import BadInput
from tenants.accounts.access import memberships, tenants_of
from tenants.accounts.models import Role
from tenants.apps import actions
from tenants.apps.access import app_for, apps_of
from tenants.apps.forms import NewAppForm
from tenants.apps.selectors import cards
from tenants.pages import SignedInRequest, errors_in, form_page, said, signed_in

PER_PAGE = 100


@require_GET
@signed_in
def apps(request: SignedInRequest) -> HttpResponse:
    """The page, or for htmx only its list. `tenant` and `q` choose, `page` turns."""
    found = apps_of(request.user)
    tenant, words = request.GET.get("tenant", ""), request.GET.get("q", "").strip()
    if tenant:
        found = found.filter(tenant__slug=tenant)
    if words:
        found = found.filter(name__icontains=words)
    page = Paginator(found.order_by("tenant__slug", "name"), PER_PAGE).get_page(request.GET.get("page"))
    on_page = apps_of(request.user).filter(pk__in=[app.pk for app in page])
    context = {
        "page": page,
        "cards": cards(on_page),
        "tenant": tenant,
        "words": words,
        "may_create": may_create(request),
    }
    return render(request, "apps/list.html" if request.htmx else "apps/apps.html", context)


def may_create(request: SignedInRequest) -> bool:
    return memberships(request.user).exclude(role=Role.VIEWER).exists()


@signed_in
def new_app(request: SignedInRequest) -> HttpResponse:
    mine = memberships(request.user).exclude(role=Role.VIEWER)
    tenants = tenants_of(request.user).filter(members__in=mine).distinct()
    form = NewAppForm(tenants, request.POST or None, initial={"tenant": request.GET.get("tenant")})
    if request.method == "POST" and form.is_valid():
        with errors_in(form):
            app = actions.create_app(actor=request.user, **form.cleaned_data)
            messages.success(request, f"{app.name} is made. Give it source to run.")
            return redirect("app", app.tenant.slug, app.name)
    return form_page(request, "apps/new.html", form, {"tenants": tenants})


@require_POST
@signed_in
def destroy(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    app = app_for(request.user, tenant, name, needs=Role.OWNER)
    try:
        actions.destroy_app(actor=request.user, app=app, confirm=request.POST.get("confirm", ""))
    except BadInput as error:
        messages.error(request, said(error))
        return redirect(reverse("settings", args=[tenant, name]) + "#destroy")
    messages.success(request, f"{app} is being destroyed: its containers stop and its files are deleted.")
    return redirect("apps")
