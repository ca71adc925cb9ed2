"""Where requests go: the ready web containers of each app's serving release, handed to Caddy."""

from __future__ import annotations

from collections import defaultdict

from django.conf import settings
from django.db.models import F

from paas.network import address_of
from paas.router import render
from paas.specs import Route
from paas.worker import engine, lock
from paas.worker.translate import port_of
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.releases import serial
from tenants.releases.models import Release


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
    serving = App.objects.exclude(serving_release_id="").values("serving_release_id")
    ports = {r.pk: port_of(serial.image(r)) for r in Release.objects.filter(pk__in=serving).only("pk", "image")}
    for row in rows.order_by("index"):
        assert row.address is not None
        address = address_of(settings.CONTAINER_PREFIX, row.address)
        upstreams[row.app_id].append(f"{address}:{ports[row.release_id or '']}")
    apps = App.objects.filter(destroyed_at=None).select_related("tenant").order_by("tenant__slug", "name")
    return [
        Route(tenant_id=a.tenant_id, app_id=a.pk, hosts=(a.host,), upstreams=tuple(upstreams[a.pk]))
        for a in apps
    ]


def sync() -> None:
    """Caddy serves what the rows say. One at a time, so that an older look never overwrites a newer one."""
    with lock.held("routes", wait=True):
        engine.caddy().load(
            render(
                routes(),
                port=settings.PORT,
                dashboard_host=settings.DASHBOARD_HOST,
                web_socket=settings.PATHS.web_socket,
                streams_socket=settings.PATHS.streams_socket,
                admin_socket=settings.PATHS.caddy_admin_socket,
                domain=settings.DOMAIN,
            )
        )
