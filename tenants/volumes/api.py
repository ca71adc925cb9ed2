from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest
from ninja import Router, Schema, Status

from tenants.accounts.models import Role
from tenants.accounts.tokens import person
from tenants.apps.access import app_for
from tenants.schemas import ERRORS, Input
from tenants.volumes import actions, selectors

router = Router(tags=["volumes"])
VOLUMES = "/apps/{tenant}/{app}/volumes"


class VolumeOut(Schema):
    """`mounted`: by the present release, at `path`. `size_bytes` is null until it was counted."""

    name: str
    path: str
    mounted: bool
    size_bytes: int | None
    created_at: datetime

    @staticmethod
    def of(shown: selectors.Shown) -> VolumeOut:
        row = shown.volume
        return VolumeOut(
            name=row.name,
            path=shown.path,
            mounted=shown.mounted,
            size_bytes=row.size_bytes,
            created_at=row.created_at,
        )


class DeleteVolume(Input):
    """`confirm` is the volume's name."""

    confirm: str


@router.get(VOLUMES, response={200: list[VolumeOut], **ERRORS}, summary="Volumes, mounted or not")
def list_volumes(request: HttpRequest, tenant: str, app: str) -> object:
    return [VolumeOut.of(shown) for shown in selectors.volumes(app_for(person(request), tenant, app))]


@router.delete(
    f"{VOLUMES}/{{volume}}",
    response={202: None, **ERRORS},
    summary="Delete a volume that no release has, and all that is in it (owner)",
)
def delete_volume(request: HttpRequest, tenant: str, app: str, volume: str, body: DeleteVolume) -> object:
    found = selectors.volume_for(app_for(person(request), tenant, app, Role.OWNER), volume)
    actions.delete_volume(actor=person(request), volume=found, confirm=body.confirm)
    return Status(202, None)
