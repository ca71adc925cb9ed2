"""Where requests go: the ready web containers of each app's serving release, in the ingress's table, and behind
each internal name those of its process type."""

from __future__ import annotations

from collections import defaultdict

from django.conf import settings

from paas.network import address_of
from paas.specs import Route
from paas.worker import engine, fences, lock
from paas.worker.translate import port_of
from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.containers.selectors import serving_containers


def routes(tenant: Tenant | None = None) -> list[Route]:
    """The route of every app, or of the tenant's, that has a public address; from rows alone."""
    upstreams: dict[str, list[str]] = defaultdict(list)
    rows = serving_containers().filter(process_type="web", app__is_private=False)
    apps = App.objects.filter(destroyed_at=None, is_private=False).select_related("tenant")
    if tenant is not None:
        rows, apps = rows.filter(tenant=tenant), apps.filter(tenant=tenant)
    for row in rows.select_related("release").defer("release__config").order_by("index"):
        upstreams[row.app_id].append(upstream(row))
    return [
        Route(tenant_id=a.tenant_id, app_id=a.pk, hosts=(a.host,), upstreams=tuple(upstreams[a.pk]))
        for a in apps.order_by("tenant__slug", "name")
    ]


def upstream(row: Container) -> str:
    """Where a web container of a release listens."""
    assert row.address is not None and row.release is not None
    return f"{address_of(settings.CONTAINER_PREFIX, row.address)}:{port_of(row.release, row.process_type)}"


def sync(tenant: Tenant) -> None:
    """Requests to the tenant's apps go where the rows say, and calls by name inside it. One at a time, so that
    an older look never overwrites a newer one."""
    with lock.held("routes", wait=True):
        engine.table().write(routes(tenant), of=tenant.host_suffix)
    fences.sync(tenant)


def sync_all() -> None:
    """The same for everybody, and hosts that are nobody's any more are forgotten."""
    with lock.held("routes", wait=True):
        engine.table().write(routes())
    for tenant in Tenant.objects.all():
        fences.sync(tenant)
