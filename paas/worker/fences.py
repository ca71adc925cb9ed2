"""A tenant's fence, from rows to the kernel: where its internal names lead, what it may send out, how fast."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable
from ipaddress import IPv4Address

import structlog
from django.conf import settings

from paas.errors import BerthError
from paas.network import Endpoint, address_of, service_address
from paas.specs import DEFAULT_PORT, MOST_OF_A_TYPE, Fence, Held, Service
from paas.worker import engine, lock
from paas.worker.translate import port_of, uid_base
from tenants.accounts import observations
from tenants.accounts.egress import destinations
from tenants.accounts.models import Tenant
from tenants.containers.models import Container, ServiceAddress
from tenants.containers.selectors import serving_containers
from tenants.fleet import observations as fleet

log = structlog.get_logger()
NOTHING = Held(None, 0)


def sync(tenant: Tenant) -> None:
    """Idempotent. One at a time for a tenant, so that an older look never overwrites a newer one."""
    with lock.held(f"fence-{tenant.pk}", wait=True):
        engine.network().set_fence(fence_of(Tenant.objects.get(pk=tenant.pk)))


def forget(tenant: Tenant) -> None:
    """When it ends: nobody has its user ids again."""
    with lock.held(f"fence-{tenant.pk}", wait=True):
        engine.network().forget_fence(uid_base(tenant))
    (settings.PATHS.locks / f"fence-{tenant.pk}").unlink(missing_ok=True)


def forget_gone() -> None:
    """Of tenants that are no more. Fences are looked at first: a tenant has its row before its fence."""
    fenced = engine.network().fences.tenants()
    known = {uid_base(tenant) for tenant in Tenant.objects.all()} if fenced else set()
    for gone in set(fenced) - known:
        log.warning("network.fence_removed", tenant=gone)
        engine.network().forget_fence(gone)


def ensure(tenant: Tenant) -> None:
    """Before its first container since the host started: until then it would reach nothing."""
    if not engine.network().is_fenced(uid_base(tenant)):
        sync(tenant)


class AfterChange:
    """Work that has nothing to do as long as nobody has changed the kernel's rules since it was last done: left
    out then, but for once in `rest` seconds."""

    def __init__(self, work: Callable[[], None], rest: float = math.inf) -> None:
        self._work, self._rest = work, rest
        self._done_at: int | None = None
        self._last = 0.0

    def __call__(self) -> None:
        generation = engine.network().generation()  # before the work: a change meanwhile is looked at again
        if generation != self._done_at or time.monotonic() - self._last >= self._rest:
            self._work()
            self._done_at, self._last = generation, time.monotonic()


def hold_host() -> None:
    """Level-triggered: the prefix leads nowhere else and the host forwards, whoever changed it."""
    engine.network().hold_host()


def keep() -> None:
    """Level-triggered: the base rules are there and other firewalls let containers pass, whoever took that
    away; the prefix is nobody else's."""
    engine.network().apply_base()


def mend() -> None:
    """The rules are Berth's own, every one, and let through all that is connected."""
    if wrong := engine.network().mend():
        log.error("network.mended", found=wrong)


def let_through() -> None:
    """Level-triggered: what runs is let through as its tenant's, and fenced, whoever took that away."""
    network = engine.network()
    # One that is only being started is its worker's.
    rows = Container.objects.filter(status__in=(Container.Status.RUNNING, Container.Status.SLEEPING))
    running = list(rows.filter(address__isnull=False).values_list("pk", "tenant_id", "address"))
    tenants = Tenant.objects.in_bulk({tenant_id for _, tenant_id, _ in running})
    for tenant in tenants.values():
        ensure(tenant)
    bases = {pk: uid_base(tenant) for pk, tenant in tenants.items()}
    mended = network.keep(
        Endpoint(pk, bases[tenant_id], address_of(settings.CONTAINER_PREFIX, address))
        for pk, tenant_id, address in running
        if address is not None
    )
    if mended:
        log.warning("network.mended", containers=mended)


def apply_egress(tenant_id: str) -> None:
    """What an administrator has set, for what runs as well; what the kernel then holds goes into the row."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is None:
        return
    try:
        sync(tenant)
        held = engine.network().held().get(uid_base(tenant), NOTHING)
    except BerthError as error:
        log.warning("egress.refused", tenant=tenant.slug, error=error.summary)
        observations.egress_refused(tenant, error.summary)
        return
    observations.egress_applied(tenant, policy=held.egress or "", rate=held.rate)


def look() -> None:
    """What the kernel holds of each policy, into rows. The agent does so again and again: rules that somebody
    else changed are made anew."""
    network = engine.network()
    held = network.held()
    if not network.is_as_set(held) and network.restore_fences():  # which looks again while nobody sets one
        log.warning("egress.drifted")
        held = network.held()
    for tenant in Tenant.objects.all():
        found = held.get(uid_base(tenant))
        if found and (found.egress, found.rate) != (tenant.egress_held, tenant.egress_rate_held):
            apply_egress(tenant.pk)


def count() -> None:
    """The kernel's counters into rows."""
    tenants = {uid_base(tenant): tenant.pk for tenant in Tenant.objects.all()}
    readings = engine.network().traffic()
    fleet.traffic_counted({tenants[uid]: found for uid, found in readings.items() if uid in tenants})


def fence_of(tenant: Tenant) -> Fence:
    return Fence(
        tenant=uid_base(tenant),
        egress=tenant.egress,  # type: ignore[arg-type]  # one of its choices
        allowed=destinations(tenant.egress_list),
        rate=tenant.egress_rate,
        services=_services(tenant),
    )


def _services(tenant: Tenant) -> tuple[Service, ...]:
    targets: dict[tuple[str, str], list[IPv4Address]] = defaultdict(list)
    ports: dict[tuple[str, str], int] = {}
    rows = serving_containers().filter(tenant=tenant).select_related("release").defer("release__config")
    for row in rows.order_by("process_type", "index", "pk"):
        assert row.address is not None and row.release is not None
        key = (row.app_id, row.process_type)
        targets[key].append(address_of(settings.CONTAINER_PREFIX, row.address))
        if key not in ports:
            ports[key] = port_of(row.release, row.process_type)
    return tuple(
        Service(
            address=service_address(settings.CONTAINER_PREFIX, row.address),
            port=ports.get((row.app_id, row.process_type), DEFAULT_PORT),
            targets=tuple(targets[row.app_id, row.process_type][:MOST_OF_A_TYPE]),
        )
        for row in ServiceAddress.objects.filter(app__tenant=tenant)
    )
