"""One app's page, its live parts, and its log."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from paas import usage
from paas.errors import NotFound
from tenants.accounts.models import Role
from tenants.apps.access import app_for, app_seen_by
from tenants.apps.models import App
from tenants.containers import actions, selectors
from tenants.containers.logs import whole_log
from tenants.containers.models import Container
from tenants.containers.ordered import slept_lately
from tenants.containers.sleep_time import written_time
from tenants.pages import SignedInRequest, signed_in
from tenants.releases import limits
from tenants.releases import selectors as releases
from tenants.releases.models import Build, Release
from tenants.releases.sleep_time import sleep_times
from tenants.releases.views import app_context, tell
from tenants.store import selectors as store

PARTS = ("head", "usage", "activity", "about")
RECENT = 5


@require_GET
@signed_in
def app(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    found = app_seen_by(request.user, tenant, name)
    context = app_context(request, found, "overview")
    context |= {**_usage(found, context["serving"]), **_activity(found), **_about(found)}
    context["history"] = usage.history(found.pk)
    return render(request, "containers/app.html", context)


@require_GET
@signed_in
def part(request: SignedInRequest, tenant: str, name: str, part: str) -> HttpResponse:
    """A part of an app's pages by itself, fetched again when something changed. `tab` is the page it is on."""
    found = app_seen_by(request.user, tenant, name)
    if part not in PARTS:
        raise NotFound("there is no such part of the page")
    context = app_context(request, found, request.GET.get("tab", "overview"))
    if part == "usage":
        context |= _usage(found, context["serving"])
    elif part == "activity":
        context |= _activity(found)
    elif part == "about":
        context |= _about(found)
    return render(request, f"containers/parts/{part}.html", context)


def _about(app: App) -> dict[str, Any]:
    return {"image_use": store.use_of(app), "release_uses": store.releases_of(app)}


def _usage(app: App, serving: Release | None) -> dict[str, Any]:
    rows = list(selectors.live_containers(app))
    return {
        "containers": rows,
        "sleep_times": sleep_times(app, serving),
        "slept": slept_lately(app),
        "worth": [size for size in limits.sizes_of(app, serving) if size.advice or size.undo],
        "ended": list(selectors.past_containers(app, RECENT)),
        "memory": sum(row.memory_bytes for row in rows),
        "memory_limit": sum(row.memory_limit for row in rows),
        "cpu": sum(row.cpu_millis for row in rows),
        "asleep_since": _asleep_since(rows),
        "sampled_at": max((row.sampled_at for row in rows if row.sampled_at), default=None),
    }


def _asleep_since(rows: Iterable[Container]) -> datetime | None:
    """When the last of them fell asleep, where all did: from then on they use what they kept."""
    times = [row.slept_at for row in rows]
    return max((at for at in times if at), default=None) if None not in times else None


def _activity(app: App) -> dict[str, Any]:
    """Recent releases, and the builds that did not become one."""
    return {
        "recent_releases": releases.releases(app, RECENT).defer("config"),
        "loose_builds": _loose_builds(app),
    }


def _loose_builds(app: App) -> list[Build]:
    last = releases.releases(app, 1).first()
    rows = app.builds.filter(releases=None).select_related("created_by", "source")
    return list(rows.filter(created_at__gt=last.created_at)[:3] if isinstance(last, Release) else rows[:RECENT])


@require_POST
@signed_in
def sleep(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    tell(
        request,
        lambda: actions.order(actor=request.user, app=app, what=App.Order.SLEEP),
        "What is not in use falls asleep. The next visitor wakes it.",
    )
    return redirect("app", tenant, name)


@require_POST
@signed_in
def sleep_after(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)

    def save() -> None:
        wanted = written_time("after", request.POST.get("after", "").strip(), default=actions.DEFAULT_SLEEP)
        actions.sleep_after(actor=request.user, app=app, seconds=wanted)

    tell(request, save, "Saved: it holds from now on.")
    return redirect("settings", tenant, name)


@require_POST
@signed_in
def wake(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    tell(
        request,
        lambda: actions.order(actor=request.user, app=app, what=App.Order.WAKE),
        "What sleeps is woken.",
    )
    return redirect("app", tenant, name)


@require_POST
@signed_in
def commit(request: SignedInRequest, tenant: str, name: str, container_id: str) -> HttpResponse:
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    row = selectors.container_for(app, container_id)
    tell(
        request,
        lambda: actions.commit(actor=request.user, app=app, container=row),
        f"The changes of {row} become a release. The current one serves until it is ready.",
    )
    return redirect("app", tenant, name)


@require_GET
@signed_in
def log(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    found = app_seen_by(request.user, tenant, name)
    context = app_context(request, found, "log")
    serving = context["serving"] or context["latest_release"]
    processes = [process["name"] for process in serving.processes] if serving else []
    chosen = request.GET.get("process", "")
    context |= {"processes": processes, "process": chosen if chosen in processes else ""}
    return render(request, "containers/log.html", context)


@require_GET
@signed_in
def log_file(request: SignedInRequest, tenant: str, name: str) -> StreamingHttpResponse:
    """The whole log as a file: never shown as a page, whatever an app wrote into it."""
    found = app_seen_by(request.user, tenant, name)
    lines = whole_log(found, request.GET.get("process", ""))
    named = {"Content-Disposition": f'attachment; filename="{found.name}.log"'}
    return StreamingHttpResponse(lines, content_type="text/plain; charset=utf-8", headers=named)
