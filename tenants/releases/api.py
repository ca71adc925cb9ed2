from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status
from pydantic import Field

from tenants.accounts.access import role_in
from tenants.accounts.models import Role
from tenants.accounts.roles import includes
from tenants.accounts.tokens import person
from tenants.apps.access import app_for
from tenants.releases import actions, limits, selectors
from tenants.releases.access import build_for, release_for
from tenants.releases.logs import read_build_log
from tenants.releases.schemas import (
    AdviceIn,
    BuildOut,
    ConfigChanges,
    ConfigVarOut,
    Formation,
    LimitOut,
    ReleaseMade,
    ReleaseOut,
    Rollback,
    SourceIn,
)
from tenants.releases.uploads import read_upload
from tenants.schemas import ERRORS, Limit

router = Router(tags=["releases"])
Offset = Annotated[int, Field(ge=0, le=2**62)]
APP = "/apps/{tenant}/{app}"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {"schema": {"type": "object", "properties": {"source": _BINARY["schema"]}, "required": ["source"]}}
_ARCHIVES = ("application/gzip", "application/x-tar", "application/zip")
_UPLOAD = {
    "parameters": [
        {"in": "query", "name": "name", "schema": {"type": "string"}, "description": "shown beside the build"}
    ],
    "requestBody": {
        "required": True,
        "content": {**dict.fromkeys(_ARCHIVES, _BINARY), "multipart/form-data": _FORM},
    },
}

_NOTHING_TO_DO = "200, with `serving`, where the app serves just that already: nothing is begun."


# --- builds
@router.post(
    f"{APP}/deploys",
    response={200: BuildOut, 202: BuildOut, **ERRORS},
    openapi_extra=_UPLOAD,
    summary="Upload a .tar.gz, .tar or .zip of the app's folder, and start to build it (developer)",
    description=_NOTHING_TO_DO,
)
def deploy(request: HttpRequest, tenant: str, app: str) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    kind, name, chunks = read_upload(request)
    return _told(actions.deploy(actor=person(request), app=found, kind=kind, name=name, chunks=chunks))


@router.post(
    f"{APP}/deploys/source",
    response={200: BuildOut, 202: BuildOut, **ERRORS},
    summary="Build what was uploaded before, by its digest; 404 asks for the archive itself (developer)",
    description=_NOTHING_TO_DO,
)
def deploy_again(request: HttpRequest, tenant: str, app: str, body: SourceIn) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    return _told(actions.deploy_again(actor=person(request), app=found, digest=body.digest))


def _told(made: actions.Deployed) -> Status[BuildOut]:
    serving = made.serving.version if made.serving else None
    return Status(202 if serving is None else 200, BuildOut.of(made.build, serving))


@router.get(f"{APP}/builds", response={200: list[BuildOut], **ERRORS}, summary="Builds, newest first")
def list_builds(request: HttpRequest, tenant: str, app: str, limit: Limit = 20) -> object:
    found = app_for(person(request), tenant, app)
    return [BuildOut.of(build) for build in selectors.builds(found, limit)]


@router.get(f"{APP}/builds/{{build}}", response={200: BuildOut, **ERRORS}, summary="One build")
def get_build(request: HttpRequest, tenant: str, app: str, build: str) -> object:
    return BuildOut.of(build_for(app_for(person(request), tenant, app), build))


@router.get(
    f"{APP}/builds/{{build}}/log",
    response={**ERRORS},
    summary="A build's log from a byte offset, as plain text",
    description="Ask again from `X-Berth-Next-Offset` until `X-Berth-Done` is 1.",
)
def build_log(request: HttpRequest, tenant: str, app: str, build: str, offset: Offset = 0) -> HttpResponse:
    piece = read_build_log(build_for(app_for(person(request), tenant, app), build), offset)
    response = HttpResponse(piece.data, content_type="text/plain; charset=utf-8")
    response["X-Berth-Next-Offset"] = str(piece.next_offset)
    response["X-Berth-Done"] = "1" if piece.done else "0"
    return response


@router.post(
    f"{APP}/builds/{{build}}/cancel", response={202: BuildOut, **ERRORS}, summary="Cancel a build (developer)"
)
def cancel_build(request: HttpRequest, tenant: str, app: str, build: str) -> object:
    found = build_for(app_for(person(request), tenant, app, Role.DEVELOPER), build)
    actions.cancel_build(actor=person(request), build=found)
    return Status(202, BuildOut.of(found))


# --- releases
@router.get(f"{APP}/releases", response={200: list[ReleaseOut], **ERRORS}, summary="Releases, newest first")
def list_releases(request: HttpRequest, tenant: str, app: str, limit: Limit = 20) -> object:
    found = app_for(person(request), tenant, app)
    return [ReleaseOut.of(release) for release in selectors.releases(found, limit)]


@router.get(f"{APP}/releases/{{int:version}}", response={200: ReleaseOut, **ERRORS}, summary="One release")
def get_release(request: HttpRequest, tenant: str, app: str, version: int) -> object:
    return ReleaseOut.of(release_for(app_for(person(request), tenant, app), version))


@router.post(
    f"{APP}/releases/rollback",
    response={201: ReleaseOut, **ERRORS},
    summary="A new release with the code and config of an older one (developer)",
)
def rollback(request: HttpRequest, tenant: str, app: str, body: Rollback) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    return Status(201, ReleaseOut.of(actions.rollback(actor=person(request), app=found, version=body.version)))


@router.post(
    f"{APP}/restart", response={201: ReleaseOut, **ERRORS}, summary="Start all containers afresh (developer)"
)
def restart(request: HttpRequest, tenant: str, app: str) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    return Status(201, ReleaseOut.of(actions.restart(actor=person(request), app=found)))


@router.post(
    f"{APP}/scale", response={200: ReleaseMade, **ERRORS}, summary="How many of each process (developer)"
)
def scale(request: HttpRequest, tenant: str, app: str, body: Formation) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    return ReleaseMade.of(actions.scale(actor=person(request), app=found, formation=body.formation))


# --- limits
@router.get(
    f"{APP}/limits",
    response={200: list[LimitOut], **ERRORS},
    summary="Memory limits of its processes, what they were seen to need, and better ones",
)
def list_limits(request: HttpRequest, tenant: str, app: str) -> object:
    found = app_for(person(request), tenant, app)
    return [LimitOut.of(size) for size in limits.sizes_of(found, selectors.serving_release(found))]


@router.post(
    f"{APP}/limits/{{process}}",
    response={200: LimitOut, **ERRORS},
    summary="Give a process type the limit that is advised, at once and without a restart (developer)",
)
def right_size(request: HttpRequest, tenant: str, app: str, process: str, body: AdviceIn) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    actor = person(request)
    return LimitOut.of(actions.right_size(actor=actor, app=found, process=process, advice=body.advice))


@router.delete(
    f"{APP}/limits/{{process}}",
    response={200: LimitOut, **ERRORS},
    summary="Back to the limit that its release asks for (developer)",
)
def undo_right_size(request: HttpRequest, tenant: str, app: str, process: str) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    return LimitOut.of(actions.undo_right_size(actor=person(request), app=found, process=process))


# --- config
@router.get(
    f"{APP}/config", response={200: list[ConfigVarOut], **ERRORS}, summary="Config vars (viewers: names only)"
)
def get_config(request: HttpRequest, tenant: str, app: str) -> object:
    found = app_for(person(request), tenant, app)
    role = role_in(person(request), found.tenant)
    open_values = role is not None and includes(role, Role.DEVELOPER)
    return [ConfigVarOut(key=v.key, value=v.value if open_values else None) for v in found.config_vars.all()]


@router.patch(
    f"{APP}/config", response={200: ReleaseMade, **ERRORS}, summary="Set and unset config vars (developer)"
)
def set_config(request: HttpRequest, tenant: str, app: str, body: ConfigChanges) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    return ReleaseMade.of(actions.set_config(actor=person(request), app=found, changes=body.changes))
