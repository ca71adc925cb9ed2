"""Deploying, builds and releases of an app."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import FileResponse, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from paas.errors import BerthError, NotFound
from tenants.accounts.access import role_in
from tenants.accounts.models import Role
from tenants.accounts.roles import includes
from tenants.apps.access import app_for, app_seen_by
from tenants.apps.models import App
from tenants.apps.selectors import app_card
from tenants.audit.responses import status_of
from tenants.pages import SignedInRequest, said, signed_in
from tenants.releases import actions, progress, selectors
from tenants.releases.access import build_for
from tenants.releases.logs import without_file
from tenants.releases.models import Build, Release
from tenants.releases.uploads import read_upload

PER_PAGE = 30


def app_context(request: SignedInRequest, app: App, tab: str) -> dict[str, Any]:
    """What each page of an app shows around its own content."""
    role = role_in(request.user, app.tenant)
    build, release = selectors.latest_build(app), selectors.latest_release(app)
    build_failed = build is not None and failed_after(build, release)
    serving = selectors.serving_release(app)
    return {
        "app": app,
        "card": app_card(app),
        "tab": tab,
        "may_change": role is not None and includes(role, Role.DEVELOPER),
        "may_destroy": role == Role.OWNER,
        "as_administrator": role is None,
        "serving": serving,
        "sleepers": selectors.sleepers(app, serving),
        "latest_release": release,
        "latest_build": build,
        "build_failed": build_failed,
        "deploy_steps": partial(progress.under_way, build, release, build_failed=build_failed),
    }


def failed_after(build: Build, release: Release | None) -> bool:
    """Whether the build is the newest thing that happened to the app, and failed."""
    newest = release is None or build.created_at > release.created_at
    return build.status == Build.Status.FAILED and newest


@require_POST
@signed_in
def deploy(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    """The page's script sends the archive as the body and asks for JSON; a plain form goes on to the build."""
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    as_json = request.accepts("application/json") and not request.accepts("text/html")
    try:
        made = _deploy(request, app)
    except BerthError as error:
        if as_json:
            return JsonResponse({"said": said(error)}, status=status_of(error))
        messages.error(request, said(error))
        return redirect("app", tenant, name)
    if made.serving is not None:
        messages.info(request, f"Nothing changed: {made.serving} serves just this already.")
    address = reverse("build", args=[tenant, name, made.build.pk])
    return JsonResponse({"location": address}, status=201) if as_json else redirect(address)


def _deploy(request: SignedInRequest, app: App) -> actions.Deployed:
    kind, filename, chunks = read_upload(request)
    return actions.deploy(actor=request.user, app=app, kind=kind, name=filename, chunks=chunks)


@require_GET
@signed_in
def builds(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    app = app_seen_by(request.user, tenant, name)
    rows = app.builds.select_related("source", "created_by").defer("recipe").prefetch_related("releases")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    template = "releases/build_list.html" if request.htmx else "releases/builds.html"
    return render(request, template, {**app_context(request, app, "builds"), "page": page})


@require_GET
@signed_in
def build(request: SignedInRequest, tenant: str, name: str, build_id: str) -> HttpResponse:
    """The page, or for htmx its head, which changes while the log below goes on."""
    app = app_seen_by(request.user, tenant, name)
    found = build_for(app, build_id)
    release = found.releases.order_by("version").first()
    context = {
        **app_context(request, app, "builds"),
        "build": found,
        "release": release,
        "steps": progress.steps(found, release),
        "ended": found.status not in (Build.Status.QUEUED, Build.Status.RUNNING),
    }
    return render(request, "releases/build_head.html" if request.htmx else "releases/build.html", context)


@require_GET
@signed_in
def build_log(request: SignedInRequest, tenant: str, name: str, build_id: str) -> HttpResponseBase:
    """The whole log as a file: never shown as a page, whatever a build wrote into it."""
    app = app_seen_by(request.user, tenant, name)
    found = build_for(app, build_id)
    path = settings.PATHS.build_log(found.pk)
    if not path.exists() and not without_file(found):
        raise NotFound("this build has no log yet", hint="It gets one when it starts.")
    content = path.open("rb") if path.exists() else BytesIO(without_file(found))
    filename = f"{app.name}-build-{found.pk}.log"
    return FileResponse(content, as_attachment=True, filename=filename, content_type="text/plain")


@require_POST
@signed_in
def cancel(request: SignedInRequest, tenant: str, name: str, build_id: str) -> HttpResponse:
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    found = build_for(app, build_id)
    tell(
        request, lambda: actions.cancel_build(actor=request.user, build=found), "The build is being cancelled."
    )
    return redirect("build", tenant, name, build_id)


@require_GET
@signed_in
def releases(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    app = app_seen_by(request.user, tenant, name)
    rows = app.releases.select_related("created_by", "build__source").defer("config")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    template = "releases/release_list.html" if request.htmx else "releases/releases.html"
    return render(request, template, {**app_context(request, app, "releases"), "page": page})


@require_POST
@signed_in
def rollback(request: SignedInRequest, tenant: str, name: str, version: int) -> HttpResponse:
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    tell(
        request,
        lambda: actions.rollback(actor=request.user, app=app, version=version),
        f"Rolling back to v{version}. The current release serves until the other is ready.",
    )
    return redirect("app", tenant, name)


@require_POST
@signed_in
def restart(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    tell(
        request,
        lambda: actions.restart(actor=request.user, app=app),
        "Restarting: new containers start, then the old ones stop.",
    )
    return redirect("app", tenant, name)


def tell(request: SignedInRequest, action: Callable[[], object], done: str) -> None:
    """Do it, and say on the next page how it went. What is not found stays an error page."""
    try:
        action()
    except NotFound:
        raise
    except BerthError as error:
        messages.error(request, said(error))
    else:
        messages.success(request, done)
