"""A tenant's end: when its last app is gone, its processes, mounts, disk, slice and fence go, then its row."""

from __future__ import annotations

import shutil

from django.conf import settings

from paas.images.tenant_store import owners_folder
from paas.worker import engine, fences, lock
from tenants.accounts import observations
from tenants.accounts.models import Tenant


def settle(tenant_id: str) -> None:
    """Idempotent. While there are apps, their own destroys go on; whoever ends the last need not wake this: the
    sweep does."""
    with lock.held(f"tenant-end-{tenant_id}") as mine:
        tenant = Tenant.objects.filter(pk=tenant_id).exclude(destroyed_at=None).first()
        if not mine or tenant is None or tenant.apps.exists():
            return
        engine.runtime().remove_tenant(tenant_id)
        fences.forget(tenant)
        shutil.rmtree(owners_folder(engine.store(), tenant_id), ignore_errors=True)
        observations.tenant_gone(tenant)
    (settings.PATHS.locks / f"tenant-end-{tenant_id}").unlink(missing_ok=True)


def ending() -> list[str]:
    return list(Tenant.objects.exclude(destroyed_at=None).values_list("pk", flat=True))
