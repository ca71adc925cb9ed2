"""Where requests go: the ready web containers of each app's serving release, in the ingress's table."""

from __future__ import annotations

from collections import defaultdict

from django.conf import settings
from django.db.models import F

from paas.network import address_of
from paas.specs import Route
from paas.worker import engine, lock
from paas.worker.translate import port_of
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.releases import serial


def routes() -> list[Route]:
    """Every app's route, from rows alone."""
    upstreams: dict[str, list[str]] = defaultdict(list)
    rows = Container.objects.filter(
        kind=Container.Kind.PROCESS,
        process_type="web",
        status__in=(Container.Status.RUNNING, Container.Status.SLEEPING),
        ready=True,
        address__isnull=False,
        app__serving_release_id=F("release_id"),
    )
    for row in rows.select_related("release").defer("release__config").order_by("index"):
        upstreams[row.app_id].append(upstream(row))
    apps = App.objects.filter(destroyed_at=None).select_related("tenant").order_by("tenant__slug", "name")
    return [
        Route(tenant_id=a.tenant_id, app_id=a.pk, hosts=(a.host,), upstreams=tuple(upstreams[a.pk]))
        for a in apps
    ]


def upstream(row: Container) -> str:
    """Where a web container of a release listens."""
    assert row.address is not None and row.release is not None
    return f"{address_of(settings.CONTAINER_PREFIX, row.address)}:{port_of(serial.image(row.release))}"


def sync() -> None:
    """Requests go where the rows say. One at a time, so that an older look never overwrites a newer one."""
    with lock.held("routes", wait=True):
        engine.table().write(routes())
