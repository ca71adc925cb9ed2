"""Internal names: an address for each process type of an app, and /etc/hosts in the tenant's containers.

There is no name server: a container's hosts file is written when it is made, and again, in place, when an app
or a process type comes or goes. Builds have no names: what they make must not depend on what runs meanwhile.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from paas.errors import NotFound
from paas.network import address_of, service_address
from paas.queue import wake
from paas.worker import engine
from paas.worker.rounds import Round
from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.containers.models import Container, ServiceAddress
from tenants.containers.observations import allot_services
from tenants.containers.selectors import LIVE
from tenants.releases.models import Release

JUST_MADE = timedelta(seconds=40)
_tenants = Round(2)
Hosts = tuple[tuple[str, str], ...]


def prepare(app: App, release: Release) -> None:
    """Before a release's first container starts, which may want its own names already."""
    types, have = _types(release), set(app.service_addresses.values_list("process_type", flat=True))
    if types == have:
        return
    serving = app.releases.filter(pk=app.serving_release_id).first()
    keep = _types(serving) if serving else set()
    if not types <= have <= types | keep and allot_services(app, types, keep=keep):
        tell(app.tenant)


def _types(release: Release) -> set[str]:
    return {process["name"] for process in release.processes}


def of_tenant(tenant_id: str) -> Hosts:
    """(address, name) of every service."""
    rows = ServiceAddress.objects.filter(app__tenant=tenant_id, app__destroyed_at=None).select_related("app")
    return tuple(
        (str(service_address(settings.CONTAINER_PREFIX, row.address)), name)
        for row in rows
        for name in row.names
    )


def hostname_of(row: Container) -> str:
    return f"{row.process_type or row.kind}-{row.index}"


def hosts_of(row: Container, names: Hosts | None = None) -> Hosts:
    """The whole of a container's /etc/hosts."""
    assert row.address is not None
    own = str(address_of(settings.CONTAINER_PREFIX, row.address)), hostname_of(row)
    hosts = (("127.0.0.1", "localhost"), own)
    if row.kind == Container.Kind.BUILD:
        return hosts
    return hosts + (of_tenant(row.tenant_id) if names is None else names)


def tell(tenant: Tenant) -> None:
    """Bring the names in all of the tenant's containers up to date."""
    names = of_tenant(tenant.pk)
    for row in _told().filter(tenant=tenant):
        _write(row, names)


def tell_everybody() -> None:
    """Level-triggered: what was made while names changed may have missed them, and what a Berth without names
    has deployed has none yet. The next tenants', and what was made a moment ago."""
    nameless = App.objects.filter(destroyed_at=None, service_addresses=None).exclude(serving_release_id="")
    for app in nameless.select_related("tenant"):
        if release := app.releases.filter(pk=app.serving_release_id).first():
            prepare(app, release)
            wake("egress", app.tenant_id)
    for tenant in _tenants.next(Tenant.objects.all()):
        tell(tenant)
    for row in _told().filter(created_at__gte=timezone.now() - JUST_MADE):
        _write(row, of_tenant(row.tenant_id))


def _told() -> QuerySet[Container]:
    rows = Container.objects.filter(status__in=LIVE, address__isnull=False)
    return rows.exclude(kind=Container.Kind.BUILD)


def _write(row: Container, names: Hosts) -> None:
    with suppress(NotFound):  # it ended meanwhile, or is only about to be made
        engine.runtime().set_hosts(row.pk, hosts_of(row, names))
