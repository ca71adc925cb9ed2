"""What is true of containers now. Only worker and agent write here; the row passed in follows its columns."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import redis
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone

from paas import usage
from paas.errors import HostProblem, Refused
from paas.live import changed
from paas.specs import Effective
from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.containers.models import Container, ServiceAddress
from tenants.containers.selectors import LIVE, used_by
from tenants.releases.models import Build, Release
from tenants.releases.room import demand_room

FIRST_ADDRESS = 16  # below it the host's own: gateway, resolver
MOST_SERVICES = 1000  # of a tenant: their addresses are everybody's
_ADDRESS_TRIES = 20
_SAMPLED = (
    "UPDATE containers_container SET memory_bytes = %s, cpu_millis = %s, pids = %s, sampled_at = %s "
    "WHERE id = %s"
)


def new_container(
    *,
    app: App,
    release: Release | None,
    build: Build | None,
    kind: Container.Kind,
    process_type: str,
    index: int,
    memory_limit: int,
) -> Container:
    """A row in `creating` with the lowest free address; the unique constraint decides between two that race.

    Refused when the tenant has as many containers as it may have at once. A build's steps are not counted: it
    runs one after the other.
    """
    tenant = Tenant.objects.get(pk=app.tenant_id)  # as it is now: a build may have read the app an hour ago
    for _ in range(_ADDRESS_TRIES):
        row = Container(
            tenant=tenant,
            app=app,
            release=release,
            build=build,
            kind=kind,
            process_type=process_type,
            index=index,
            memory_limit=memory_limit,
            address=_lowest_free_of_containers(),
        )
        try:
            with transaction.atomic():
                if kind != Container.Kind.BUILD:
                    _demand_room(row)
                row.save(force_insert=True)
        except IntegrityError:
            continue
        _tell(row)
        return row
    raise HostProblem("no address could be allocated: too many containers start at once", retryable=True)


def _demand_room(row: Container) -> None:
    """The tenant's row is the lock. One that takes the place of another (of the release before, in a roll-out)
    counts once with it."""
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=row.tenant_id)
    live = Container.objects.filter(tenant=tenant, status__in=LIVE).exclude(kind=Container.Kind.BUILD)
    taken = {
        (app, kind, name, index) if kind == Container.Kind.PROCESS else (pk,)
        for pk, app, kind, name, index in live.values_list("pk", "app_id", "kind", "process_type", "index")
    }
    taken.discard((row.app_id, row.kind, row.process_type, row.index))
    hint = "scale an app of the tenant to fewer, wait for a command to end"
    demand_room(tenant, 1, len(taken), what=f"start {row} of {row.app.name}", hint=hint)


@transaction.atomic
def allot_services(app: App, process_types: Collection[str], keep: Collection[str] = ()) -> bool:
    """Give each of the process types an address, and take it from those that are neither in this nor in
    `keep`. False if nothing changed."""
    rows = app.service_addresses.all()
    gone = rows.exclude(process_type__in={*process_types, *keep})
    changes = bool(gone.delete()[0])
    missing = sorted(set(process_types) - set(rows.values_list("process_type", flat=True)))
    if not missing:
        return changes
    has = ServiceAddress.objects.filter(app__tenant=app.tenant_id).count()
    if has + len(missing) > MOST_SERVICES:
        raise Refused(
            f"{app} needs {len(missing)} more internal names, and its tenant has {has} of {MOST_SERVICES}",
            hint="Every process type of every app has one: merge some, or destroy an app.",
        )
    for process_type in missing:
        _allot(app, process_type)
    return True


def _allot(app: App, process_type: str) -> None:
    for _ in range(_ADDRESS_TRIES):
        address = _lowest_free_of_services()
        row = ServiceAddress(app=app, process_type=process_type, address=address)
        with suppress(IntegrityError), transaction.atomic():
            row.save(force_insert=True)
            return
    raise HostProblem("no address could be allocated: too many apps start at once", retryable=True)


def _lowest_free_of_containers() -> int:
    taken = Container.objects.filter(address__gte=FIRST_ADDRESS).order_by("address")
    return _lowest_free(taken.values_list("address", flat=True), range(FIRST_ADDRESS, _services_begin()))


def _lowest_free_of_services() -> int:
    taken = ServiceAddress.objects.order_by("address").values_list("address", flat=True)
    return _lowest_free(taken, range(_services_begin(), settings.CONTAINER_PREFIX.num_addresses - 1))


def _services_begin() -> int:
    """The last quarter of the prefix is theirs, see paas.network.addresses."""
    return int(settings.CONTAINER_PREFIX.num_addresses) // 4 * 3


def _lowest_free(taken: Iterable[int | None], places: range) -> int:
    """Offset into the container prefix."""
    free = places.start
    for address in taken:
        if address != free:
            break
        free += 1
    if free not in places:
        raise HostProblem(
            f"all addresses of {settings.CONTAINER_PREFIX} are in use",
            hint="Ask the administrator for a larger BERTH_CONTAINER_PREFIX.",
            retryable=True,
        )
    return free


def created(row: Container) -> bool:
    return _move(row, (Container.Status.CREATING,), status=Container.Status.CREATED)


def started(row: Container) -> bool:
    early = (Container.Status.CREATING, Container.Status.CREATED)
    return _move(row, early, status=Container.Status.RUNNING, started_at=timezone.now())


def ready(row: Container) -> bool:
    return _move(row, (Container.Status.RUNNING,), ready=True)


def fell_asleep(row: Container, *, since: datetime, used: int, left: int) -> bool:
    """Bytes of memory that it would have if it had never slept, and has now: nobody samples it meanwhile, so
    its app's charts get a point."""
    slept = _move(
        row,
        (Container.Status.RUNNING,),
        status=Container.Status.SLEEPING,
        slept_at=since,
        awake_bytes=used,
        memory_bytes=left,
        cpu_millis=0,
    )
    if slept:
        with suppress(redis.RedisError):  # a chart does without
            usage.remember(time.time(), used_by([row.app_id]))
    return slept


def runs_again(row: Container) -> bool:
    """Nobody knows since when."""
    return _move(row, (Container.Status.SLEEPING,), status=Container.Status.RUNNING, slept_at=None)


@transaction.atomic
def woke(row: Container, *, at: datetime, usec: int) -> None:
    """It may have been counted as running all the while: what was seen of its sleep may come after."""
    runs_again(row)
    wakes = {"woken_at": at, "wake_usec": usec, "wakes": F("wakes") + 1}
    if Container.objects.filter(pk=row.pk).update(**wakes):
        _tell(row)


def stopped(
    row: Container, *, exit_code: int | None, exit_signal: int | None, oom_killed: bool, reason: str
) -> bool:
    """The first report of an end counts. The address stays its own until `released`."""
    return _move(
        row,
        [status for status in Container.Status if status != Container.Status.STOPPED],
        status=Container.Status.STOPPED,
        ready=False,
        stopped_at=timezone.now(),
        exit_code=exit_code,
        exit_signal=exit_signal,
        oom_killed=oom_killed,
        reason=reason[:200],
        memory_bytes=0,
        cpu_millis=0,
        pids=0,
        slept_at=None,
    )


def released(row: Container) -> bool:
    """The host has no trace of its address any more, so another container may have it."""
    return _move(row, (Container.Status.STOPPED,), address=None)


def sampled(rows: Sequence[Container]) -> None:
    """Write the usage columns of `rows`, and no others: a status that changed meanwhile stays. One prepared
    statement: what Django makes of so many rows takes ten times as long to put together."""
    if not rows:
        return
    convert = Container._meta.get_field("sampled_at").get_db_prep_value
    values = [
        (row.memory_bytes, row.cpu_millis, row.pids, convert(row.sampled_at, connection), row.pk)
        for row in rows
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(_SAMPLED, values)


def processes_killed(row: Container, oom_kills: int) -> bool:
    """For want of memory: so many since it started. False if that was known."""
    now, fewer = timezone.now(), Container.objects.filter(pk=row.pk, oom_kills__lt=oom_kills)
    if not fewer.update(oom_kills=oom_kills, oom_killed_at=now):
        return False
    row.oom_kills, row.oom_killed_at = oom_kills, now
    _tell(row)
    return True


def held_to(row: Container, memory_limit: int) -> None:
    """What it may have from now on."""
    row.memory_limit = memory_limit
    Container.objects.filter(pk=row.pk).update(memory_limit=memory_limit)
    _tell(row)


def limits_seen(row: Container, found: Effective) -> None:
    """What the kernel holds it to now."""
    names = ("memory_bytes", "swap_bytes", "cpu_millis", "pids", "io_bytes", "io_operations")
    limits = {name: getattr(found, name) for name in names}
    if row.limits != limits:
        row.limits = limits
        Container.objects.filter(pk=row.pk).update(limits=limits)


@transaction.atomic
def log_dropped(dropped: Mapping[str, int]) -> None:
    """Add to the count of output bytes that were not kept, by container id."""
    for container_id, lost in dropped.items():
        Container.objects.filter(pk=container_id).update(log_dropped_bytes=F("log_dropped_bytes") + lost)


@transaction.atomic
def _move(row: Container, expected: Iterable[Container.Status], **columns: Any) -> bool:
    if not Container.objects.filter(pk=row.pk, status__in=list(expected)).update(**columns):
        return False
    for name, value in columns.items():
        setattr(row, name, value)
    _tell(row)
    return True


def _tell(row: Container) -> None:
    changed(row.tenant_id, row.app_id, "containers")
