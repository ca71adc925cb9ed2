"""Pages about the inside of images and containers. To ask leads to the page of the question, which shows the
answer as soon as a worker has given it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_GET

from paas.errors import Conflict, NotFound
from tenants.accounts.access import Person
from tenants.apps.access import app_for
from tenants.apps.models import App
from tenants.containers.selectors import container_for
from tenants.inspections import actions, differences
from tenants.inspections.access import inspection_for, release_beside, releases_beside
from tenants.inspections.models import Inspection
from tenants.pages import SignedInRequest, said, signed_in
from tenants.releases.access import release_for
from tenants.releases.models import Release
from tenants.releases.views import app_context

Kind = Inspection.Kind


@require_GET
@signed_in
def image(request: SignedInRequest, tenant: str, name: str, version: int) -> HttpResponse:
    app = app_for(request.user, tenant, name)
    asked = actions.look_inside(actor=request.user, app=app, release=release_for(app, version))
    return redirect("inspection", tenant, name, asked.pk)


@require_GET
@signed_in
def layer(request: SignedInRequest, tenant: str, name: str, version: int, layer: str) -> HttpResponse:
    app = app_for(request.user, tenant, name)
    release = release_for(app, version)
    asked = actions.list_layer(actor=request.user, app=app, release=release, layer=layer)
    return redirect("inspection", tenant, name, asked.pk)


@require_GET
@signed_in
def compare(request: SignedInRequest, tenant: str, name: str, version: int) -> HttpResponse:
    """`?with=2`, `?with=blog:2` of another app of the tenant's, or `?with=base`; else the release
    before it that has an image."""
    app = app_for(request.user, tenant, name)
    release = release_for(app, version)
    if request.GET.get("with") == "base":
        asked = actions.compare_with_base(actor=request.user, app=app, release=release)
        return redirect("inspection", tenant, name, asked.pk)
    other, _, number = (request.GET.get("with") or _before(release)).rpartition(":")
    earlier = int(number) if number.isascii() and number.isdecimal() else 0
    before = release_beside(request.user, app, other, earlier)
    asked = actions.compare(actor=request.user, app=app, before=before, release=release)
    return redirect("inspection", tenant, name, asked.pk)


def _before(release: Release) -> str:
    earlier = release.app.releases.filter(version__lt=release.version, committed_from="").first()
    return str(earlier.version if earlier else 0)


@require_GET
@signed_in
def changes(request: SignedInRequest, tenant: str, name: str, container_id: str) -> HttpResponse:
    app = app_for(request.user, tenant, name)
    try:
        asked = actions.changes_of(actor=request.user, app=app, container=container_for(app, container_id))
    except Conflict as error:
        messages.error(request, said(error))
        return redirect("app", tenant, name)
    return redirect("inspection", tenant, name, asked.pk)


@require_GET
@signed_in
def inspection(request: SignedInRequest, tenant: str, name: str, inspection_id: str) -> HttpResponse:
    """The page, or for htmx what changes on it: the answer."""
    app = app_for(request.user, tenant, name)
    found = inspection_for(app, inspection_id)
    context = {**app_context(request, app, "releases"), "inspection": found, **_shown(request.user, app, found)}
    template = "inspections/answer.html" if request.htmx else "inspections/inspection.html"
    return render(request, template, context)


def _shown(user: Person, app: App, found: Inspection) -> dict[str, Any]:
    answer = found.answer or {}
    shown: dict[str, Any] = {"answer": answer, "title": _title(found)}
    if found.kind == Kind.IMAGE and found.release:
        shown["layers"] = list(reversed(answer.get("layers", [])))
        shown["built_at"] = parse_datetime(answer.get("provenance", {}).get("built_at") or "")
        shown["size"] = sum(layer["size"] for layer in shown["layers"])
    if found.kind in (Kind.RELEASES, Kind.BASE):
        shown["differences"] = differences.told(found)
    if found.kind in (Kind.IMAGE, Kind.RELEASES, Kind.BASE) and found.release:
        shown["others"] = releases_beside(user, app, found.release.pk)
        shown["has_base"] = actions.has_base(found.release)
    return shown


def _title(found: Inspection) -> str:
    match found.kind:
        case Kind.IMAGE:
            return f"Image of {found.release}"
        case Kind.LAYER:
            return f"Layer {found.layer[7:19]} of {found.release}"
        case Kind.RELEASES:
            return f"From {_of_another(found)}{found.before} to {found.release}"
        case Kind.BASE:
            return f"From its base image to {found.release}"
    return f"What {found.container} changed"


def _of_another(found: Inspection) -> str:
    assert found.before is not None
    return f"{found.before.app.name} " if found.before.app_id != found.app_id else ""


@require_GET
@signed_in
def bill(request: SignedInRequest, tenant: str, name: str, inspection_id: str) -> JsonResponse:
    """The image's bill of materials, to keep."""
    app = app_for(request.user, tenant, name)
    found = inspection_for(app, inspection_id)
    if not found.answer or "bill" not in found.answer:
        raise NotFound("there is no bill of materials here", hint="Look into the image of a release first.")
    file = f"{app.name}-{found.release}.cdx.json"
    headers = {"Content-Disposition": f'attachment; filename="{file}"'}
    return JsonResponse(found.answer["bill"], headers=headers)
