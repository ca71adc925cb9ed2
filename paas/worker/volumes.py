"""Volumes on the host: measured now and then, deleted when a person asked for it."""

from __future__ import annotations

from django.conf import settings

from paas.queue import wake
from paas.worker import engine, lock
from paas.worker.translate import tenant_spec
from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.volumes import observations
from tenants.volumes.models import Volume


def settle(volume_id: str) -> None:
    """Delete a volume that was asked to go, once no container has it. Idempotent; the row goes last."""
    with lock.held(f"volume-{volume_id}") as mine:
        volume = Volume.objects.select_related("app__tenant").filter(pk=volume_id).first()
        if not mine or volume is None or volume.delete_asked_at is None or _in_use(volume):
            return
        engine.runtime().remove_volume(tenant_spec(volume.app.tenant), volume.pk)
        observations.deleted(volume)
    (settings.PATHS.locks / f"volume-{volume_id}").unlink(missing_ok=True)


def _in_use(volume: Volume) -> bool:
    """By a container that is on the host still: of a release that is being replaced, or a command of it."""
    rows = Container.objects.filter(app=volume.app).exclude(status=Container.Status.STOPPED, address=None)
    return any(
        volume.name in dict(row.release.volumes) for row in rows.select_related("release") if row.release
    )


def waiting() -> list[str]:
    """Volumes that were asked to go and are there still."""
    return list(Volume.objects.exclude(delete_asked_at=None).values_list("pk", flat=True))


def look() -> None:
    """Have the sizes of all volumes counted, a tenant at a time: by a worker, for that may take a while."""
    for tenant_id in Volume.objects.order_by().values_list("app__tenant_id", flat=True).distinct():
        wake("measure", tenant_id)


def measure(tenant_id: str) -> None:
    with lock.held(f"measure-{tenant_id}") as mine:
        if not mine or not Tenant.objects.filter(pk=tenant_id).exists():
            return
        for volume in Volume.objects.filter(app__tenant_id=tenant_id, delete_asked_at=None):
            observations.sized(volume, engine.runtime().volume_bytes(tenant_id, volume.pk))


def remove_all(app: App) -> None:
    """Of an app that is being destroyed: its owner was told, and none of its containers is left."""
    for volume in app.volumes.select_related("app__tenant"):
        engine.runtime().remove_volume(tenant_spec(app.tenant), volume.pk)
