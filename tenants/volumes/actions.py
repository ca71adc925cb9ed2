"""What people do with volumes. They are made by releases, and deleted by nothing but this."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from paas.errors import BadInput, Conflict, NotFound
from paas.live import changed
from paas.queue import wake
from tenants.accounts.models import User
from tenants.audit.actions import record
from tenants.volumes.models import Volume
from tenants.volumes.selectors import mounted


@transaction.atomic
def delete_volume(*, actor: User, volume: Volume, confirm: str) -> None:
    """Asks for it, with all that is in it; there is no way back. Conflict while a release has it."""
    app = volume.app
    if confirm != volume.name:
        raise BadInput(
            f"{confirm[:60]!r} is not the volume's name, so nothing was deleted",
            hint=f"Type {volume.name} to confirm.",
            details={"field": "confirm"},
        )
    if volume.name in mounted(app):
        raise Conflict(
            f"volume {volume.name} is mounted by the present release of {app.name}",
            hint="Take it out of [volumes] in berth.toml and deploy, then delete it.",
        )
    waiting = Volume.objects.filter(pk=volume.pk, delete_asked_at=None)
    if not waiting.update(delete_asked_at=timezone.now()):
        raise NotFound(f"{app} has no volume {volume.name!r} any more")
    record("volume.delete", actor=actor, tenant_id=app.tenant_id, app_id=app.pk, name=volume.name)
    wake("volume", volume.pk)
    changed(app.tenant_id, app.pk, "app")
