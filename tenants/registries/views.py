"""Registries that a tenant is signed in to, deploying an image of one, and pushing a release's image to one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.forms import BaseForm
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from paas.errors import NotFound
from tenants.accounts.access import tenant_for
from tenants.accounts.models import Role, Tenant
from tenants.apps.access import app_for, app_seen_by
from tenants.apps.models import App
from tenants.pages import SignedInRequest, errors_in, form_page, signed_in
from tenants.registries import actions
from tenants.registries.access import export_for, push_for
from tenants.registries.forms import ImageForm, LoginForm, PushForm
from tenants.registries.models import Push
from tenants.releases.access import release_for
from tenants.releases.models import Build
from tenants.releases.views import app_context, tell

PER_PAGE = 25


# --- who the tenant is there
@sensitive_post_parameters("password")
@signed_in
def registries(request: SignedInRequest, slug: str) -> HttpResponse:
    """For those who deploy, as in the API: viewers, and administrators who are no members, see no names."""
    tenant = tenant_for(request.user, slug, needs=Role.DEVELOPER)
    form = LoginForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with errors_in(form):
            login = actions.sign_in(actor=request.user, tenant=tenant, **form.cleaned_data)
            messages.success(request, f"{tenant.name} signs in to {login.host} as {login.username}.")
            return redirect("registries", slug)
    rows = tenant.registry_logins.defer("password")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context = {"tenant": tenant, "page": page, "allowed": settings.REGISTRIES}
    return form_page(request, "registries/registries.html", form, context)


@require_POST
@signed_in
def sign_out(request: SignedInRequest, slug: str, host: str) -> HttpResponse:
    tenant = tenant_for(request.user, slug, needs=Role.DEVELOPER)
    if actions.sign_out(actor=request.user, tenant=tenant, host=host):
        messages.success(request, f"The sign-in to {host} is removed.")
    else:
        messages.info(request, f"{tenant.name} was not signed in to {host} any more.")
    return redirect("registries", slug)


# --- an image of a registry to an app
@signed_in
def deploy_image(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    """The overview's form leads here; what is wrong with a name stands beside it."""
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    form = ImageForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and (build := _deploy(request, app, form)):
        return redirect("build", tenant, name, build.pk)
    context = {
        **app_context(request, app, "overview"),
        "hosts": _hosts(app.tenant),
        "allowed": settings.REGISTRIES,
    }
    return form_page(request, "registries/deploy.html", form, context)


def _deploy(request: SignedInRequest, app: App, form: ImageForm) -> Build | None:
    with errors_in(form):
        return actions.deploy_image(actor=request.user, app=app, image=form.cleaned_data["image"])
    return None


def _hosts(tenant: Tenant) -> list[str]:
    return list(tenant.registry_logins.values_list("host", flat=True)[:PER_PAGE])


# --- an app's images to a registry
@signed_in
def pushes(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    """History with the form above it; for htmx the history alone. `?version=` is the release to begin with."""
    if request.method == "POST":
        app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
        form = PushForm(app, request.POST, version=request.POST.get("version", ""))
        if form.is_valid() and (made := _push(request, app, form)):
            messages.success(request, f"{made.release} is on its way to {made.reference}.")
            return redirect("pushes", tenant, name)
        return _page(request, app, form)
    app = app_seen_by(request.user, tenant, name)
    if request.htmx:
        return render(request, "registries/push_list.html", _context(request, app))
    return _page(request, app, PushForm(app, version=request.GET.get("version", "")))


@require_POST
@signed_in
def export(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    """The form's other button: the release as a file. It stands in the list when it is written."""
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    version = request.POST.get("version", "")
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise NotFound(f"{app} has no such release", hint="Look at the list of its releases.")
    release = release_for(app, int(version))
    done = f"The image of {release} is being written to a file; the link to it appears below."
    tell(request, lambda: actions.export(actor=request.user, app=app, release=release), done)
    return redirect("pushes", tenant, name)


@require_POST
@signed_in
def cancel_push(request: SignedInRequest, tenant: str, name: str, push_id: str) -> HttpResponse:
    found = push_for(app_for(request.user, tenant, name, needs=Role.DEVELOPER), push_id)
    tell(request, lambda: actions.cancel_push(actor=request.user, push=found), "The push is being cancelled.")
    return redirect("pushes", tenant, name)


@require_POST
@signed_in
def cancel_export(request: SignedInRequest, tenant: str, name: str, export_id: str) -> HttpResponse:
    found = export_for(app_for(request.user, tenant, name, needs=Role.DEVELOPER), export_id)
    done = "The export is being cancelled."
    tell(request, lambda: actions.cancel_export(actor=request.user, export=found), done)
    return redirect("pushes", tenant, name)


def _push(request: SignedInRequest, app: App, form: PushForm) -> Push | None:
    with errors_in(form):
        release = release_for(app, form.cleaned_data["version"])
        return actions.push(actor=request.user, app=app, release=release, image=form.cleaned_data["image"])
    return None


def _page(request: SignedInRequest, app: App, form: BaseForm) -> HttpResponse:
    return form_page(request, "registries/pushes.html", form, _context(request, app))


def _context(request: SignedInRequest, app: App) -> dict[str, Any]:
    rows = app.pushes.select_related("release", "created_by")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    more = {"page": page, "exports": app.exports.select_related("release"), "hosts": _hosts(app.tenant)}
    return {**app_context(request, app, "releases"), **more}
