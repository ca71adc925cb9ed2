"""Containers' sleep, from rows to the kernel and back. Who sleeps is decided in paas.worker.idle,
who wakes by packets (paas.sleep.waker); here it is done, and noted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

from django.conf import settings
from django.utils import timezone

from paas.errors import Conflict, HostProblem, NotFound
from paas.network import address_of
from paas.network.asleep import Sleeper
from paas.queue import wake
from paas.worker import engine, lock
from paas.worker.routes import upstream
from tenants.apps.models import App
from tenants.containers import observations
from tenants.containers.models import Container
from tenants.containers.selectors import serving_containers
from tenants.containers.sleep_time import sleep_time
from tenants.fleet import readings
from tenants.fleet.readings import Taken
from tenants.releases.selectors import may_sleep

QUIET_SECONDS = 2.0  # of one that a person puts to sleep
ORDER_SECONDS = 6.0  # for it to be that: most people look at an app before they order
AGAIN_SECONDS = 0.25
SETTLING = timedelta(seconds=15)  # whoever works on a sleeper for longer has died
# All who run are looked at together: whole rows of a thousand, with their releases' images, are 20 MiB.
_NEEDED = (
    "kind", "process_type", "index", "address", "status", "ready", "started_at", "memory_bytes",
    "tenant_id", "release__processes", "app__sleep_after", "app__tenant__sleep_after",
)  # fmt: skip


def put_to_sleep(row: Container, quiet: float) -> bool:
    """Whether it sleeps now. It does not where somebody works on it, where it is not ready, or where it was
    used in the last `quiet` seconds. Errors: HostProblem, OSError; it runs then."""
    try:
        with lock.turn(_lock(row), _busy):
            row.refresh_from_db()
            if row.status != Container.Status.RUNNING or not row.ready or row.address is None:
                return False
            cgroup = engine.runtime().cgroup_of(row.pk)
            used, since = cgroup.usage().memory_bytes, time.time()
            sleeper = Sleeper(row.pk, str(_address(row)), cgroup.name, since, used)
            if not engine.bed().lay(sleeper, quiet):
                return False
            engine.runtime().page_out_helpers(row.pk)
            return _fell_asleep(row, sleeper)
    except (Conflict, NotFound):
        return False


def watch(row: Container) -> None:
    """One that has started: see paas.sleep.beds. Its helpers have nothing more to do until it ends, but to pass
    on what it writes: they go to swap, and what of them is needed comes back."""
    with suppress(NotFound):
        if engine.bed().watch(_address(row), engine.runtime().cgroup_of(row.pk)):
            engine.runtime().page_out_helpers(row.pk)


@contextmanager
def awake(row: Container) -> Iterator[None]:
    """Wake it if it sleeps, and keep it from falling asleep meanwhile. One that is gone is fine."""
    if row.kind != Container.Kind.PROCESS or row.address is None:
        yield
        return
    with lock.turn(_lock(row), lambda: None):
        sleeper = engine.bed().asleep.read(_address(row))
        if sleeper and sleeper.container_id == row.pk:
            engine.bed().rouse(sleeper)
        yield


@contextmanager
def undisturbed(row: Container) -> Iterator[None]:
    """Neither falls asleep nor is woken by a worker meanwhile: v1 writes it to swap by a limit of its own.
    Conflict when somebody does so now."""
    with lock.turn(_lock(row), _busy):
        yield


def who_may(**which: object) -> list[Container]:
    """What serves and has something to be woken by. Of those that sleep already nothing is read where `which`
    leaves them out."""
    rows = list(serving_containers().filter(**which).select_related("release", "app__tenant").only(*_NEEDED))
    wakeable = {row.release_id: may_sleep(row.release) for row in rows}
    return [row for row in rows if row.process_type in wakeable[row.release_id]]


def after(row: Container) -> float:
    """Idle seconds that make it sleep by itself, 0 for never."""
    found = sleep_time(row)
    return float(found.seconds) if found else 0.0


def answering() -> set[str]:
    """Upstreams from which a visitor waits for an answer."""
    try:
        return {name for name, requests in engine.caddy().requests_in_flight().items() if requests}
    except HostProblem:  # without an ingress there is no visitor
        return set()


def obey(app_id: str) -> None:
    """What a person ordered, once."""
    app = App.objects.filter(pk=app_id, destroyed_at=None).exclude(sleep_order="").first()
    if app is None:
        return
    if app.sleep_order == App.Order.WAKE:
        for row in who_may(app=app):
            with awake(row):
                pass
    else:
        _put_all_to_sleep(app)
    App.objects.filter(pk=app.pk, sleep_order=app.sleep_order).update(sleep_order="")


def _put_all_to_sleep(app: App) -> None:
    """As they get quiet, and until another order comes."""
    end, waiting = time.monotonic() + ORDER_SECONDS, who_may(app=app)
    while waiting:
        waited_for, awaited = answering(), engine.bed().asleep.awaited()
        waiting = [
            row
            for row in waiting
            if upstream(row) in waited_for
            or _address(row) in awaited
            or (not put_to_sleep(row, QUIET_SECONDS) and row.ready)
        ]
        if time.monotonic() >= end or not App.objects.filter(pk=app.pk, sleep_order=app.sleep_order).exists():
            return
        if waiting:
            time.sleep(AGAIN_SECONDS)


def note_wakes() -> None:
    """Into the rows what waker and workers told of."""
    for file, woken in engine.bed().told():
        row = Container.objects.filter(pk=woken.container_id).first()
        if row is not None:
            observations.woke(row, at=_moment(woken.at), usec=round(woken.seconds * 1_000_000))
        file.unlink(missing_ok=True)


def settle() -> None:
    """Level-triggered: rows say what is so, whoever died in the middle and whichever note came first."""
    for app_id in ordered():
        wake("sleep", app_id)  # its message may be lost
    bed = engine.bed()
    # Compared by address, which no two have: what else a file says is read of those that differ.
    there, laid = bed.asleep.addresses(), bed.asleep.laid()
    said = asleep()
    for row in Container.objects.filter(pk__in=[said[address] for address in said.keys() - there]):
        observations.runs_again(row)
    # What is not laid was woken by one that died before it told of it.
    for address in there - said.keys() | there - laid:
        sleeper = bed.asleep.read(address)
        if sleeper and _moment(sleeper.since) < timezone.now() - SETTLING:
            _settle(sleeper)


def ordered() -> list[str]:
    """Apps whose order nobody has obeyed yet."""
    apps = App.objects.filter(destroyed_at=None).exclude(sleep_order="")
    return list(apps.order_by().values_list("pk", flat=True))


def asleep() -> dict[IPv4Address, str]:
    """As the rows say, by address."""
    rows = Container.objects.filter(status=Container.Status.SLEEPING, address__isnull=False).order_by()
    return {
        address_of(settings.CONTAINER_PREFIX, address): pk
        for pk, address in rows.values_list("pk", "address")
        if address is not None
    }


def _settle(sleeper: Sleeper) -> None:
    row = Container.objects.filter(pk=sleeper.container_id).first()
    if row is None:
        return
    try:
        with lock.turn(_lock(row), _busy):
            if engine.bed().settle(sleeper):
                _fell_asleep(row, sleeper)
    except Conflict:
        pass


def _fell_asleep(row: Container, sleeper: Sleeper) -> bool:
    """Into the rows, the ledger's as well: nobody reads it again before it wakes. OSError: it is gone."""
    runtime, where = engine.runtime(), (row.tenant_id, row.app_id, row.pk)
    seen, weight = runtime.reading(*where), runtime.weigh(*where)
    left = runtime.usage(row.pk).memory_bytes
    used = max(sleeper.before, left + seen.swap)  # it did not touch all of it since its last wake
    if not observations.fell_asleep(row, since=_moment(sleeper.since), used=used, left=left):
        return False
    readings.keep([Taken(row, seen)])
    readings.weighed(row.pk, weight)
    return True


def _busy() -> None:
    raise Conflict("somebody else works on the container")


def _lock(row: Container) -> str:
    return f"sleep-{row.pk}"


def _address(row: Container) -> IPv4Address:
    assert row.address is not None
    return address_of(settings.CONTAINER_PREFIX, row.address)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
