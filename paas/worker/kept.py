"""What is kept for a tenant on the machine's own disk, and how much that may be: layers, sources, logs."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from paas.errors import Refused
from paas.images.tenant_store import WHAT_NEXT, TenantStore, owned, owned_bytes
from paas.logs import older
from paas.templatetags.berth import size
from paas.worker import engine
from tenants.accounts import observations
from tenants.accounts.models import Tenant
from tenants.containers.models import Container
from tenants.releases.logs import ENDED
from tenants.releases.models import Build, Source

LOGS_SHARE = 10  # a tenth of the quota is for logs
ALMOST = 0.9


def store_for(tenant: Tenant, what: str) -> TenantStore:
    """The store to build into, pull into or commit to. Refused when the tenant has no room in it."""
    layers = owned_bytes(engine.store(), tenant.pk)
    if max(layers, tenant.store_used) < tenant.store_bytes // 2:
        # As the agent counted them a few minutes ago: a builds' queue may be long, and its sources many.
        beside = max(0, tenant.store_used - layers)
    else:
        beside = _beside(tenant)
        observations.store_seen(tenant.pk, layers + beside)
    if layers + beside >= tenant.store_bytes:
        raise Refused(
            f"no room for {what}: {tenant} keeps {size(layers + beside)} of images, sources and logs on this "
            f"machine, and may keep {size(tenant.store_bytes)}",
            hint=WHAT_NEXT,
        )
    return TenantStore(engine.store(), tenant.pk, tenant.store_bytes - beside, str(tenant))


def look() -> None:
    """Every tenant's share into its row; logs of what ended go, the oldest first, where they are too many."""
    for tenant in Tenant.objects.all():
        _trim(tenant)
        observations.store_seen(tenant.pk, owned_bytes(engine.store(), tenant.pk) + _beside(tenant))


def almost_full() -> list[Tenant]:
    return [tenant for tenant in Tenant.objects.all() if tenant.store_used >= ALMOST * tenant.store_bytes]


def hurried() -> frozenset[str]:
    """Layers of tenants that are almost at their quota: build steps that made them are not kept for long."""
    found = (owned(engine.store(), tenant.pk) for tenant in almost_full())
    return frozenset(layer for layers in found for layer in layers)


def _beside(tenant: Tenant) -> int:
    sources = Source.objects.filter(app__tenant=tenant).values_list("pk", flat=True)
    files = [settings.PATHS.sources / pk for pk in sources]
    live = Container.objects.filter(tenant=tenant).exclude(status=Container.Status.STOPPED)
    logs = [settings.PATHS.container_log(pk) for pk in live.values_list("pk", flat=True)]
    files += [file for log in logs for file in (log, older(log))]
    return sum(_bytes(file) for file in files) + sum(taken for _, taken in _ended_logs(tenant))


def _trim(tenant: Tenant) -> None:
    most, kept = tenant.store_bytes // LOGS_SHARE, 0
    for files, taken in _ended_logs(tenant):
        kept += taken
        if kept > most:
            for file in files:
                file.unlink(missing_ok=True)


def _ended_logs(tenant: Tenant) -> list[tuple[tuple[Path, ...], int]]:
    """Of its containers and builds that ended, the newest first: a log's files, and what they take."""
    containers = Container.objects.filter(tenant=tenant, status=Container.Status.STOPPED)
    builds = Build.objects.filter(app__tenant=tenant, status__in=ENDED)
    dated = [(at, settings.PATHS.container_log(pk)) for pk, at in containers.values_list("pk", "created_at")]
    dated += [(at, settings.PATHS.build_log(pk)) for pk, at in builds.values_list("pk", "created_at")]
    logs = [(log, older(log)) for _, log in sorted(dated, reverse=True)]
    found = [(files, sum(map(_bytes, files))) for files in logs]
    return [(files, taken) for files, taken in found if taken]


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
