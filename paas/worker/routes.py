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


def routes() -> list[Route]:
    """The route of every app that has a public address, from rows alone."""
    upstreams: dict[str, list[str]] = defaultdict(list)
    rows = serving_containers().filter(process_type="web", app__is_private=False)
    for row in rows.select_related("release").defer("release__config").order_by("index"):
        upstreams[row.app_id].append(upstream(row))
    apps = App.objects.filter(destroyed_at=None, is_private=False).select_related("tenant")
    return [
        Route(tenant_id=a.tenant_id, app_id=a.pk, hosts=(a.host,), upstreams=tuple(upstreams[a.pk]))
        for a in apps.order_by("tenant__slug", "name")
    ]


def upstream(row: Container) -> str:
    """Where a web container of a release listens."""
    assert row.address is not None and row.release is not None
    return f"{address_of(settings.CONTAINER_PREFIX, row.address)}:{port_of(row.release, row.process_type)}"


def sync(*tenants: Tenant) -> None:
    """Requests go where the rows say, and calls by name inside these tenants. One at a time, so that an older
    look never overwrites a newer one."""
    with lock.held("routes", wait=True):
        engine.table().write(routes())
    for tenant in tenants:
        fences.sync(tenant)
