from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from ninja import Router, Schema, Status

from paas.errors import NotFound
from tenants.accounts.access import tenant_for
from tenants.accounts.models import Role
from tenants.accounts.tokens import person
from tenants.apps.access import app_for
from tenants.apps.models import App
from tenants.registries import actions
from tenants.registries.access import export_for, push_for
from tenants.registries.models import Export, Login, Push
from tenants.releases.access import release_for
from tenants.releases.schemas import BuildOut
from tenants.schemas import ERRORS, Input, Limit

router = Router(tags=["registries"])
APP = "/apps/{tenant}/{app}"


class Image(Input):
    """An image in a registry, with its host: `registry.example/shop:v1`, or `…@sha256:…`."""

    image: str


class PushOut(Schema):
    """`digest` is that of the manifest as the registry has it."""

    id: str
    version: int
    reference: str
    status: str
    digest: str
    created_by: str
    created_at: datetime
    finished_at: datetime | None
    error: dict[str, Any] | None

    @staticmethod
    def of(push: Push) -> PushOut:
        own = ("version", "created_by")
        same = {name: getattr(push, name) for name in PushOut.model_fields if name not in own}
        return PushOut(**same, version=push.release.version, created_by=str(push.created_by or ""))


class ExportOut(Schema):
    """`archive` is the address of the file while there is one: an OCI layout that `docker load` takes, too."""

    id: str
    version: int
    status: str
    size: int
    archive: str | None
    created_by: str
    created_at: datetime
    finished_at: datetime | None
    error: dict[str, Any] | None

    @staticmethod
    def of(app: App, export: Export) -> ExportOut:
        own = ("version", "created_by", "archive")
        same = {name: getattr(export, name) for name in ExportOut.model_fields if name not in own}
        done = export.status == Push.Status.DONE
        return ExportOut(
            **same,
            version=export.release.version,
            created_by=str(export.created_by or ""),
            archive=reverse("export_archive", args=[app.tenant.slug, app.name, export.pk]) if done else None,
        )


class LoginOut(Schema):
    """Passwords are never given back."""

    host: str
    username: str
    updated_at: datetime


class NewLogin(Input):
    host: str
    username: str
    password: str


@router.post(
    f"{APP}/deploys/image",
    response={202: BuildOut, **ERRORS},
    summary="Pull an image, and release it as it is (developer)",
)
def deploy_image(request: HttpRequest, tenant: str, app: str, body: Image) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    return Status(202, BuildOut.of(actions.deploy_image(actor=person(request), app=found, image=body.image)))


@router.post(
    f"{APP}/releases/{{int:version}}/push",
    response={202: PushOut, **ERRORS},
    summary="Push a release's image to a registry (developer)",
)
def push(request: HttpRequest, tenant: str, app: str, version: int, body: Image) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    release = release_for(found, version)
    made = actions.push(actor=person(request), app=found, release=release, image=body.image)
    return Status(202, PushOut.of(made))


@router.post(
    f"{APP}/releases/{{int:version}}/export",
    response={202: ExportOut, **ERRORS},
    summary="Write a release's image to a file, to be downloaded within an hour (developer)",
)
def export(request: HttpRequest, tenant: str, app: str, version: int) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    made = actions.export(actor=person(request), app=found, release=release_for(found, version))
    return Status(202, ExportOut.of(found, made))


@router.get(f"{APP}/exports/{{export}}", response={200: ExportOut, **ERRORS}, summary="One export (developer)")
def one_export(request: HttpRequest, tenant: str, app: str, export: str) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    return ExportOut.of(found, export_for(found, export))


@router.post(
    f"{APP}/exports/{{export}}/cancel",
    response={202: ExportOut, **ERRORS},
    summary="Cancel an export (developer)",
)
def cancel_export(request: HttpRequest, tenant: str, app: str, export: str) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    row = export_for(found, export)
    actions.cancel_export(actor=person(request), export=row)
    return Status(202, ExportOut.of(found, row))


@router.get(f"{APP}/pushes", response={200: list[PushOut], **ERRORS}, summary="Pushes, newest first")
def pushes(request: HttpRequest, tenant: str, app: str, limit: Limit = 20) -> object:
    found = app_for(person(request), tenant, app)
    return [PushOut.of(row) for row in found.pushes.select_related("release", "created_by")[:limit]]


@router.get(f"{APP}/pushes/{{push}}", response={200: PushOut, **ERRORS}, summary="One push")
def one(request: HttpRequest, tenant: str, app: str, push: str) -> object:
    return PushOut.of(push_for(app_for(person(request), tenant, app), push))


@router.post(
    f"{APP}/pushes/{{push}}/cancel", response={202: PushOut, **ERRORS}, summary="Cancel a push (developer)"
)
def cancel_push(request: HttpRequest, tenant: str, app: str, push: str) -> object:
    found = push_for(app_for(person(request), tenant, app, Role.DEVELOPER), push)
    actions.cancel_push(actor=person(request), push=found)
    return Status(202, PushOut.of(found))


@router.get(
    "/tenants/{tenant}/registries", response={200: list[LoginOut], **ERRORS}, summary="Sign-ins (developer)"
)
def logins(request: HttpRequest, tenant: str) -> object:
    found = tenant_for(person(request), tenant, Role.DEVELOPER)
    return [_login_out(login) for login in found.registry_logins.all()]


@router.post(
    "/tenants/{tenant}/registries",
    response={201: LoginOut, **ERRORS},
    summary="Sign in to a registry (developer)",
)
def sign_in(request: HttpRequest, tenant: str, body: NewLogin) -> object:
    found = tenant_for(person(request), tenant, Role.DEVELOPER)
    login = actions.sign_in(
        actor=person(request), tenant=found, host=body.host, username=body.username, password=body.password
    )
    return Status(201, _login_out(login))


@router.delete(
    "/tenants/{tenant}/registries/{host}", response={204: None, **ERRORS}, summary="Sign out (developer)"
)
def sign_out(request: HttpRequest, tenant: str, host: str) -> object:
    found = tenant_for(person(request), tenant, Role.DEVELOPER)
    if not actions.sign_out(actor=person(request), tenant=found, host=host):
        raise NotFound(f"{found} is not signed in to {host[:80]!r}", hint="Look at the list of its sign-ins.")
    return Status(204, None)


def _login_out(login: Login) -> LoginOut:
    return LoginOut(host=login.host, username=login.username, updated_at=login.updated_at)
