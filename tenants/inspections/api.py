from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status

from tenants.accounts.tokens import person
from tenants.apps.access import app_for
from tenants.containers.selectors import container_for
from tenants.inspections import actions, differences
from tenants.inspections.access import inspection_for, release_beside
from tenants.inspections.models import Inspection
from tenants.releases.access import release_for
from tenants.schemas import ERRORS

router = Router(tags=["inside"])
APP = "/apps/{tenant}/{app}"
LATER = "A worker answers: ask `inspections/{id}` until `status` is no longer `queued`. Answers are kept a day."


class InspectionOut(Schema):
    """`answer` holds, by `kind`, image: layers, packages, config, provenance, bill; layer: files, more; else:
    files, more, packages, and of two images their configs."""

    id: str
    kind: str
    status: str
    version: int | None
    before: int | None
    before_app: str | None  # whose release that is
    container: str | None
    created_at: datetime
    answered_at: datetime | None
    answer: dict[str, Any] | None
    error: dict[str, Any] | None
    settings: list[dict[str, str | None]]  # how the two differ else; config vars by name only

    @staticmethod
    def of(inspection: Inspection) -> InspectionOut:
        release, before = inspection.release, inspection.before
        return InspectionOut(
            id=inspection.pk,
            kind=inspection.kind,
            status=inspection.status,
            version=release.version if release else None,
            before=before.version if before else None,
            before_app=before.app.name if before else None,
            container=inspection.container_id,
            created_at=inspection.created_at,
            answered_at=inspection.answered_at,
            answer=inspection.answer,
            error=inspection.error,
            settings=[asdict(found) for found in differences.told(inspection)],
        )


@router.post(
    f"{APP}/releases/{{version}}/image",
    response={202: InspectionOut, **ERRORS},
    summary="Look into a release's image: layers and packages",
    description=LATER,
)
def look_inside(request: HttpRequest, tenant: str, app: str, version: int) -> object:
    found = app_for(person(request), tenant, app)
    release = release_for(found, version)
    return _asked(actions.look_inside(actor=person(request), app=found, release=release))


@router.post(
    f"{APP}/releases/{{version}}/layers/{{layer}}",
    response={202: InspectionOut, **ERRORS},
    summary="The files of one layer, by its DiffID",
    description=LATER,
)
def list_layer(request: HttpRequest, tenant: str, app: str, version: int, layer: str) -> object:
    found = app_for(person(request), tenant, app)
    release = release_for(found, version)
    return _asked(actions.list_layer(actor=person(request), app=found, release=release, layer=layer))


@router.post(
    f"{APP}/releases/{{version}}/compare/base",
    response={202: InspectionOut, **ERRORS},
    summary="How a release's image differs from the one that it stands on: files, packages, config",
    description=LATER,
)
def compare_with_base(request: HttpRequest, tenant: str, app: str, version: int) -> object:
    found = app_for(person(request), tenant, app)
    release = release_for(found, version)
    return _asked(actions.compare_with_base(actor=person(request), app=found, release=release))


@router.post(
    f"{APP}/releases/{{version}}/compare/{{before}}",
    response={202: InspectionOut, **ERRORS},
    summary="How a release differs from another: files, packages, settings",
    description=LATER,
)
def compare(
    request: HttpRequest, tenant: str, app: str, version: int, before: int, *, before_app: str = ""
) -> object:
    """`before` is a release of the same app, or of `before_app`, another of the tenant's."""
    found = app_for(person(request), tenant, app)
    one = release_beside(person(request), found, before_app, before)
    other = release_for(found, version)
    return _asked(actions.compare(actor=person(request), app=found, before=one, release=other))


@router.post(
    f"{APP}/containers/{{container}}/changes",
    response={202: InspectionOut, **ERRORS},
    summary="What a running container changed in its files",
    description=LATER,
)
def changes_of(request: HttpRequest, tenant: str, app: str, container: str) -> object:
    found = app_for(person(request), tenant, app)
    row = container_for(found, container)
    return _asked(actions.changes_of(actor=person(request), app=found, container=row))


@router.get(
    f"{APP}/inspections/{{inspection}}",
    response={200: InspectionOut, **ERRORS},
    summary="An answer",
)
def get_inspection(request: HttpRequest, tenant: str, app: str, inspection: str) -> object:
    return InspectionOut.of(inspection_for(app_for(person(request), tenant, app), inspection))


def _asked(inspection: Inspection) -> Status[InspectionOut]:
    return Status(202, InspectionOut.of(inspection))
