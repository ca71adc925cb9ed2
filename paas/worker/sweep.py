"""Level-triggered: rows that want work although no message says so. Run by the agent every few seconds."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

from django.db.models import F, Q
from django.utils import timezone

from paas.queue import wake
from paas.worker import engine, exports, isolation, registry, tenants, upkeep, volumes
from paas.worker.builds import requeue_interrupted
from paas.worker.plan import slots
from paas.worker.plan import upkeep as upkeep_of
from paas.worker.reconcile import LIVE, ended_but_there, long_ago, past_lives
from paas.worker.runs import is_due
from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.inspections.models import Inspection
from tenants.releases import serial
from tenants.releases.models import Build, Release
from tenants.runs.models import Run

LOST_AFTER = timedelta(seconds=20)  # a message older than this is taken for lost


def sweep() -> None:
    """Wake the worker for each app and build that is not as it should be."""
    for app_id in sorted(unsettled_apps() | ended_unnoticed() | below_formation() | uncleared()):
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


def unsettled_apps() -> set[str]:
    """Apps with a release under way, a destroy asked for, or a container that belongs to no serving release."""
    waiting = Q(releases__status__in=(Release.Status.PENDING, Release.Status.STARTING))
    asked = App.objects.filter(waiting | Q(destroyed_at__isnull=False)).values_list("pk", flat=True)
    strays = Container.objects.filter(kind=Container.Kind.PROCESS, status__in=LIVE)
    strays = strays.exclude(release_id=F("app__serving_release_id"))
    return set(asked) | set(strays.values_list("app_id", flat=True))


def ended_unnoticed() -> set[str]:
    """Apps with a container that ended without a word: its conmon was killed, or the host restarted."""
    rows = Container.objects.filter(kind=Container.Kind.PROCESS, status__in=LIVE).values_list("pk", "app_id")
    return {app_id for pk, app_id in rows if engine.runtime().state(pk).status in ("stopped", "absent")}


def below_formation() -> set[str]:
    """Apps whose serving release lacks a container that is due to start now."""
    live: dict[str, dict[str, tuple[str, int]]] = defaultdict(dict)
    for pk, release_id, name, index in Container.objects.filter(
        kind=Container.Kind.PROCESS, status__in=LIVE
    ).values_list("pk", "release_id", "process_type", "index"):
        live[release_id or ""][pk] = (name, index)
    found = set()
    serving = Release.objects.filter(
        pk__in=App.objects.exclude(serving_release_id="").values("serving_release_id")
    )
    for release in serving.only("pk", "app_id", "processes"):
        wanted = slots(serial.processes(release))
        if set(wanted) == set(live[release.pk].values()):
            continue
        todo = upkeep_of(wanted, live[release.pk], past_lives(release), timezone.now())
        if todo.start or todo.stop:
            found.add(release.app_id)
    return found


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
    strays = [pk for pk in there if pk not in known]
    for pk in strays:
        engine.runtime().delete(pk)
    engine.network().disconnect_all_of(connected - known)
    ended_but_there().filter(pk__in=strays).update(address=None)
    return strays
