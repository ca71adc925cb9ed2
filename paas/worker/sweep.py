"""Level-triggered: rows that want work although no message says so. Run by the agent every few seconds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import structlog
from django.db.models import F, QuerySet
from django.utils import timezone

from paas.errors import BerthError
from paas.queue import wake
from paas.worker import engine, exports, fences, isolation, left_behind, registry, tenants, upkeep, volumes
from paas.worker.builds import requeue_interrupted
from paas.worker.plan import BACK_OFF_MOST, Slot, slots
from paas.worker.plan import upkeep as upkeep_of
from paas.worker.reconcile import LIVE, ended_but_there, long_ago, past_lives
from paas.worker.rounds import Round
from paas.worker.runs import is_due
from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.inspections.models import Inspection
from tenants.releases import serial
from tenants.releases.limits import in_force
from tenants.releases.models import Build, Release
from tenants.runs.models import Run

log = structlog.get_logger()
# So many at each look: an exit tells of itself, and what fits into one look is seen by every one.
_containers, _apps = Round(20), Round(20)
WAITED_FOR = BACK_OFF_MOST + timedelta(minutes=1)
LOST_AFTER = timedelta(seconds=20)  # a message older than this is taken for lost


def sweep() -> None:
    """Wake the worker for each app and build that is not as it should be."""
    for app_id in sorted(unsettled_apps() | unlike_their_rows() | below_formation() | uncleared()):
        wake("reconcile", app_id)
    for build_id in [*requeue_interrupted(), *forgotten_builds()]:
        wake("build", build_id)
    for run_id in [*forgotten_runs(), *due_runs()]:
        wake("run", run_id)
    for inspection_id in forgotten_inspections():
        wake("inspect", inspection_id)
    for report_id in isolation.requeue_interrupted():
        wake("isolation", report_id)
    for tenant_id in forgotten_quotas():
        wake("quota", tenant_id)
    for tenant_id in tenants.ending():
        wake("tenant", tenant_id)
    for volume_id in volumes.waiting():
        wake("volume", volume_id)
    for tenant_id in forgotten_egress():
        wake("egress", tenant_id)
    for push_id in registry.requeue_interrupted():
        wake("push", push_id)
    for export_id in exports.requeue_interrupted():
        wake("export", export_id)
    exports.clear()
    for upkeep_id in upkeep.requeue_interrupted():
        wake("upkeep", upkeep_id)
    left_behind.clear()
    fences.forget_gone()


def unsettled_apps() -> set[str]:
    """Apps with a release under way, or a destroy asked for."""
    going = Release.objects.filter(status__in=(Release.Status.PENDING, Release.Status.STARTING))
    asked = App.objects.filter(destroyed_at__isnull=False)
    return {*going.values_list("app_id", flat=True), *asked.values_list("pk", flat=True)}


def unlike_their_rows() -> set[str]:
    """Of the next containers: apps of those that belong to no serving release, or that ended without a word
    (their conmon was killed)."""
    return _unlike(_containers.next(_placed()))


def all_unlike_their_rows() -> set[str]:
    """Of all containers: the host may have restarted."""
    return _unlike(_placed())


def _placed() -> QuerySet[Container]:
    rows = Container.objects.filter(kind=Container.Kind.PROCESS, status__in=LIVE)
    return rows.annotate(serving=F("app__serving_release_id")).only("pk", "app_id", "release_id")


def _unlike(rows: Iterable[Any]) -> set[str]:
    return {row.app_id for row in rows if row.release_id != row.serving or _has_ended(row.pk)}


def _has_ended(container_id: str) -> bool:
    return engine.runtime().state(container_id).status in ("stopped", "absent")


def below_formation() -> set[str]:
    """Apps whose serving release lacks a container that is due to start now, or has one with another limit than
    it should: of the next ones, and of all that lost one not so long ago that it would still wait."""
    lost = Container.objects.filter(kind=Container.Kind.PROCESS, stopped_at__gte=timezone.now() - WAITED_FOR)
    serving = App.objects.exclude(serving_release_id="").only("pk", "serving_release_id")
    apps = [*serving.filter(pk__in=lost.values("app_id")), *_apps.next(serving)]
    of = {app.serving_release_id for app in apps}
    live: dict[str, dict[str, Slot]] = defaultdict(dict)
    limits: dict[str, set[tuple[str, int]]] = defaultdict(set)
    rows = Container.objects.filter(kind=Container.Kind.PROCESS, status__in=LIVE, release_id__in=of)
    columns = ("pk", "release_id", "process_type", "index", "memory_limit")
    for pk, release_id, name, index, limit in rows.values_list(*columns):
        live[release_id or ""][pk] = (name, index)
        limits[release_id or ""].add((name, limit))
    releases = Release.objects.select_related("app").filter(pk__in=of).only("processes", "app__limits")
    return {
        release.app_id
        for release in releases
        if _has_work(release, live[release.pk]) or _is_held_otherwise(release, limits[release.pk])
    }


def _is_held_otherwise(release: Release, limits: set[tuple[str, int]]) -> bool:
    wanted = {process.name: process.memory_bytes for process in in_force(release.app, release)}
    return any(wanted.get(name, limit) != limit for name, limit in limits)


def _has_work(release: Release, live: dict[str, Slot]) -> bool:
    wanted = slots(serial.processes(release))
    if set(wanted) == set(live.values()):
        return False
    todo = upkeep_of(wanted, live, past_lives(release), timezone.now())
    return bool(todo.start or todo.stop)


def uncleared() -> set[str]:
    """Apps with a container that ended and is still on the host: its worker died while it cleared it away."""
    rows = ended_but_there().filter(long_ago("stopped_at", LOST_AFTER))
    return set(rows.values_list("app_id", flat=True))


def forgotten_builds() -> list[str]:
    queued = Build.objects.filter(long_ago("created_at", LOST_AFTER), status=Build.Status.QUEUED)
    return list(queued.values_list("pk", flat=True))


def forgotten_runs() -> list[str]:
    queued = Run.objects.filter(long_ago("created_at", LOST_AFTER), status=Run.Status.QUEUED)
    return list(queued.values_list("pk", flat=True))


def due_runs() -> list[str]:
    """Commands that ended unnoticed, ran out of time, or whose worker died while it started them."""
    running = Run.objects.filter(status=Run.Status.RUNNING).select_related("container")
    return [run.pk for run in running if is_due(run)]


def forgotten_inspections() -> list[str]:
    queued = Inspection.objects.filter(long_ago("created_at", LOST_AFTER), status=Inspection.Status.QUEUED)
    return list(queued.values_list("pk", flat=True))


def forgotten_quotas() -> list[str]:
    """Quotas that were set and neither applied nor refused."""
    waiting = Tenant.objects.filter(quota_applied_at=None, quota_error="")
    return list(waiting.filter(long_ago("quota_set_at", LOST_AFTER)).values_list("pk", flat=True))


def forgotten_egress() -> list[str]:
    """Policies that were set and neither applied nor refused."""
    waiting = Tenant.objects.filter(egress_applied_at=None, egress_error="")
    return list(waiting.filter(long_ago("egress_set_at", LOST_AFTER)).values_list("pk", flat=True))


def clear_host() -> list[str]:
    """Containers on the host that no row claims: taken down. Run once when the agent starts.

    The host is looked at first: what a worker begins meanwhile has its row before anything is on the host.
    """
    there, connected = engine.runtime().list(), engine.network().connected()
    known = set(Container.objects.exclude(status=Container.Status.STOPPED).values_list("pk", flat=True))
    strays = [pk for pk in there if pk not in known and _deleted(pk)]
    engine.network().disconnect_all_of(connected - known)
    ended_but_there().filter(pk__in=strays).update(address=None)
    return strays


def _deleted(container_id: str) -> bool:
    """What of one cannot be removed keeps nobody from looking after the others."""
    try:
        engine.runtime().delete(container_id)
    except (BerthError, OSError) as error:
        log.warning("sweep.stray_stays", container=container_id, error=str(error))
        return False
    return True
