from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest
from ninja import Router, Schema, Status

from tenants.accounts.access import tenant_for
from tenants.accounts.models import Role
from tenants.accounts.tokens import person
from tenants.apps import actions
from tenants.apps.access import app_for
from tenants.apps.selectors import app_card, app_cards
from tenants.schemas import ERRORS, Input

router = Router(tags=["apps"])


class LatestBuildOut(Schema):
    id: str
    status: str
    created_at: datetime


class AppOut(Schema):
    """`version` is that of the release that serves, if one does. `address` is null for a private web process;
    `internal_address` is for the tenant's own containers. Memory in bytes, cpu in 1/1000 core."""

    id: str
    tenant: str
    name: str
    stage: str
    state: str
    address: str | None
    internal_address: str
    version: int | None
    latest_build: LatestBuildOut | None
    containers_ready: int
    containers_wanted: int
    memory_bytes: int
    memory_limit: int
    cpu_millis: int
    created_at: datetime


class NewApp(Input):
    tenant: str
    name: str
    stage: str = "production"


class Confirmation(Input):
    """`confirm` is the app's name."""

    confirm: str


@router.get("/apps", response={200: list[AppOut], **ERRORS}, summary="All apps of all of your tenants")
def list_apps(request: HttpRequest) -> object:
    return app_cards(person(request))


@router.post("/apps", response={201: AppOut, **ERRORS}, summary="Make an app (developer)")
def create_app(request: HttpRequest, body: NewApp) -> object:
    tenant = tenant_for(person(request), body.tenant, Role.DEVELOPER)
    app = actions.create_app(actor=person(request), tenant=tenant, name=body.name, stage=body.stage)
    return Status(201, app_card(app))


@router.get("/apps/{tenant}/{app}", response={200: AppOut, **ERRORS}, summary="One app")
def get_app(request: HttpRequest, tenant: str, app: str) -> object:
    return app_card(app_for(person(request), tenant, app))


@router.delete("/apps/{tenant}/{app}", response={202: None, **ERRORS}, summary="Destroy an app (owner)")
def destroy_app(request: HttpRequest, tenant: str, app: str, body: Confirmation) -> object:
    found = app_for(person(request), tenant, app, Role.OWNER)
    actions.destroy_app(actor=person(request), app=found, confirm=body.confirm)
    return Status(202, None)
