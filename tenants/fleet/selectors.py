"""The machine, and who uses how much of it: for its administrators only (see accounts.access.admin)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from django.db.models import Count, Sum

from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.containers.selectors import LIVE
from tenants.fleet.models import Machine


@dataclass(frozen=True, slots=True)
class Used:
    memory_bytes: int = 0
    cpu_millis: int = 0
    containers: int = 0


@dataclass(frozen=True, slots=True)
class AppUsage:
    id: str
    name: str
    used: Used


@dataclass(frozen=True, slots=True)
class TenantUsage:
    """`*_quota` is what the tenant's cgroup holds; `apps` by memory, the largest first."""

    id: str
    slug: str
    name: str
    used: Used
    memory_quota: int
    cpu_quota: int
    disk_quota: int
    apps: tuple[AppUsage, ...]


def machine() -> Machine | None:
    """None until the agent has looked once."""
    return Machine.objects.first()


def usage_by_tenant() -> list[TenantUsage]:
    """All tenants, the largest user of memory first. A build's steps count as their app's."""
    used = _used_by_app()
    apps: dict[str, list[AppUsage]] = defaultdict(list)
    for app in App.objects.only("pk", "name", "tenant_id"):
        apps[app.tenant_id].append(AppUsage(app.pk, app.name, used.get(app.pk, Used())))
    rows = [_tenant_usage(tenant, apps[tenant.pk]) for tenant in Tenant.objects.all()]
    return sorted(rows, key=lambda row: (-row.used.memory_bytes, row.slug))


def _used_by_app() -> dict[str, Used]:
    rows = Container.objects.filter(status__in=LIVE).order_by().values("app_id")
    sums = rows.annotate(memory=Sum("memory_bytes"), cpu=Sum("cpu_millis"), number=Count("pk"))
    return {row["app_id"]: Used(row["memory"], row["cpu"], row["number"]) for row in sums}


def _tenant_usage(tenant: Tenant, apps: list[AppUsage]) -> TenantUsage:
    return TenantUsage(
        id=tenant.pk,
        slug=tenant.slug,
        name=tenant.name,
        used=Used(
            sum(app.used.memory_bytes for app in apps),
            sum(app.used.cpu_millis for app in apps),
            sum(app.used.containers for app in apps),
        ),
        memory_quota=tenant.memory_bytes,
        cpu_quota=tenant.cpu_millis,
        disk_quota=tenant.disk_bytes,
        apps=tuple(sorted(apps, key=lambda app: (-app.used.memory_bytes, app.name))),
    )
