from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status

from tenants.accounts.access import admin
from tenants.accounts.tokens import person
from tenants.apps.access import app_for
from tenants.schemas import ERRORS, Input, Limit
from tenants.store import actions, selectors
from tenants.store.access import upkeep_for
from tenants.store.models import Upkeep, Use

router = Router(tags=["image store"])


class UseOut(Schema):
    """Bytes of content; `unique_bytes` is what nobody else has. Null of what is newer than `seen_at`."""

    name: str
    bytes: int | None
    unique_bytes: int | None

    @staticmethod
    def of(name: str, use: Use | None) -> UseOut:
        return UseOut(
            name=name, bytes=use.bytes if use else None, unique_bytes=use.unique_bytes if use else None
        )


class AppUseOut(UseOut):
    seen_at: datetime | None
    releases: list[UseOut]


class StoreOut(Schema):
    """`unshared_bytes` is what the layers would take if each release had its own."""

    layers: int
    layer_bytes: int
    blobs: int
    blob_bytes: int
    unshared_bytes: int
    seen_at: datetime | None
    tenants: list[UseOut]


class UpkeepOut(Schema):
    """`report` of look and prune: `layers`, `layer_bytes`, `blobs`, `blob_bytes`, `steps`, `abandoned`,
    `abandoned_bytes`, `bytes`, `kept_images`. Of check and mend: `damage`, a list of `kind`, `id`, `what`,
    `outcome` and the `releases` concerned, how many are `mended` and `lost`, and `building`, the releases that
    serve what was lost and are built again."""

    id: str
    kind: str
    status: str
    created_by: str
    created_at: datetime
    finished_at: datetime | None
    report: dict[str, Any]
    error: dict[str, Any] | None

    @staticmethod
    def of(row: Upkeep) -> UpkeepOut:
        same = {name: getattr(row, name) for name in UpkeepOut.model_fields if name != "created_by"}
        return UpkeepOut(**same, created_by=str(row.created_by or ""))


class Wanted(Input):
    """`look` says what a prune would free, `prune` frees it; `check` looks for damage, `mend` mends it."""

    kind: str


@router.get("/machine/store", response={200: StoreOut, **ERRORS}, summary="Sizes (administrator)")
def store(request: HttpRequest) -> object:
    admin(person(request))
    size = selectors.size()
    names = ("layers", "layer_bytes", "blobs", "blob_bytes", "unshared_bytes")
    return StoreOut(
        **{name: getattr(size, name, 0) for name in names},
        seen_at=size.seen_at if size else None,
        tenants=[UseOut.of(tenant.slug, use) for tenant, use in selectors.largest(200)],
    )


@router.get(
    "/machine/store/upkeep", response={200: list[UpkeepOut], **ERRORS}, summary="What was done (administrator)"
)
def history(request: HttpRequest, limit: Limit = 20) -> object:
    admin(person(request))
    return [UpkeepOut.of(row) for row in selectors.history(limit)]


@router.post("/machine/store/upkeep", response={202: UpkeepOut, **ERRORS}, summary="Ask for it (administrator)")
def ask(request: HttpRequest, body: Wanted) -> object:
    return Status(202, UpkeepOut.of(actions.ask(actor=admin(person(request)), kind=body.kind)))


@router.get(
    "/machine/store/upkeep/{upkeep}", response={200: UpkeepOut, **ERRORS}, summary="One (administrator)"
)
def one(request: HttpRequest, upkeep: str) -> object:
    return UpkeepOut.of(upkeep_for(person(request), upkeep))


@router.get(
    "/apps/{tenant}/{app}/store", response={200: AppUseOut, **ERRORS}, summary="What an app's images take"
)
def app_store(request: HttpRequest, tenant: str, app: str) -> object:
    found = app_for(person(request), tenant, app)
    size = selectors.size()
    return AppUseOut(
        **dict(UseOut.of(str(found), selectors.use_of(found))),
        seen_at=size.seen_at if size else None,
        releases=[UseOut.of(f"v{version}", use) for version, use in selectors.kept_of(found)],
    )
