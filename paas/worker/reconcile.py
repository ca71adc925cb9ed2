"""Brings one app from what is true to what is wanted. Called by every task, the sweep and after a restart.

One worker at a time works on an app (a file lock). An intent that arrives meanwhile raises the app's
generation; the holder sees it and starts over, so a message that finds the lock taken may be dropped.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.db import InterfaceError, OperationalError
from django.db.models import Q, QuerySet
from django.utils import timezone

from paas.errors import BerthError, HostProblem
from paas.queue import wake
from paas.specs import ProcessSpec
from paas.worker import destroy, history, launch, limits, lock, routes
from paas.worker.plan import Life, Slot, slots, upkeep
from paas.worker.roll_out import roll_out, start_process, wait_until_ready
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.releases import observations
from tenants.releases.limits import in_force
from tenants.releases.models import Release

log = structlog.get_logger()
LIVE = (
    Container.Status.CREATING,
    Container.Status.CREATED,
    Container.Status.RUNNING,
    Container.Status.SLEEPING,
)
REMEMBERED_LIVES = 12
STARTING_AT_ONCE = 4  # apps of one tenant
_OURS = HostProblem("the release failed inside Berth", hint="try again, or tell the administrator when it did")
CLEARING = timedelta(seconds=15)  # after that long, whoever should have cleared a container away is gone


def reconcile(app_id: str) -> None:
    while True:
        with lock.held(f"app-{app_id}") as mine:
            if not mine:
                return
            generation = _converge(app_id)
        # An intent committed between the last look and the unlock found the lock taken: look once more.
        if generation is None or App.objects.filter(pk=app_id, generation=generation).exists():
            return


def _converge(app_id: str) -> int | None:
    """Work until the app's generation stays as it was; the generation that was settled, None if gone."""
    while True:
        app = App.objects.select_related("tenant").filter(pk=app_id).first()
        if app is None:
            return None
        if app.destroyed_at is not None:
            destroy.destroy(app)
            return None
        release = app.releases.filter(status__in=(Release.Status.PENDING, Release.Status.STARTING)).first()
        if release is None:  # nobody waits
            observe(app)
        # What is to be started may take long to be ready, and the worker has room for so many. Who makes room
        # wakes the next, the sweep whoever is forgotten.
        with lock.one_of(f"starting-{app.tenant_id}", STARTING_AT_ONCE) as room:
            if not room:
                return app.generation
            if release is None:
                keep_running(app)
            else:
                _roll_out(app, release)
        if release is not None:
            wake_next(app)
            observe(app)
        history.forget_logs(app)
        if App.objects.filter(pk=app_id, generation=app.generation).exists():
            return app.generation


def _roll_out(app: App, release: Release) -> None:
    """One that fails for a mistake of Berth's own has failed: it is not begun again at every look. Not so where
    the database went away meanwhile, nor after the switch, when it serves already."""
    try:
        roll_out(app, release)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if not App.objects.filter(pk=app.pk, serving_release_id=release.pk).exists():
            observations.release_failed(release, _OURS.as_dict())
        raise


def wake_next(app: App) -> None:
    """Another app of the tenant that may have found no room to start its release."""
    waiting = App.objects.filter(tenant=app.tenant_id, releases__status=Release.Status.PENDING)
    for pk in waiting.exclude(pk=app.pk).order_by("releases__created_at").values_list("pk", flat=True)[:1]:
        wake("reconcile", pk)


def observe(app: App) -> None:
    """Rows against the host: ends are recorded, half-made containers cleared."""
    changed = False
    for row in app.containers.filter(kind=Container.Kind.PROCESS, status__in=LIVE).select_related("tenant"):
        state = launch.observe(row)
        if state.status in ("stopped", "absent"):
            launch.record_end(row, state, reason=launch.describe_end(state))
            changed = True
        elif row.status in (Container.Status.CREATING, Container.Status.CREATED):
            # We hold the app's lock, so nobody is about to finish it.
            launch.take_down(row, reason="its start was interrupted")
            changed = True
    if changed:
        routes.sync(app.tenant)
    for row in ended_but_there().filter(long_ago("stopped_at", CLEARING), app=app):
        launch.clear(row)


def long_ago(field: str, span: timedelta) -> Q:
    """Longer than that; or yet to come: then the clock was set back, and nobody knows."""
    now = timezone.now()
    return Q(**{f"{field}__lt": now - span}) | Q(**{f"{field}__gt": now})


def ended_but_there() -> QuerySet[Container]:
    """Containers that have ended, and something of which is still on the host. Their worker may be at it."""
    return Container.objects.filter(status=Container.Status.STOPPED, address__isnull=False)


def keep_running(app: App) -> None:
    """The serving release at its formation: restarts with back-off, stops what is too much."""
    release = app.releases.filter(pk=app.serving_release_id).first()
    rows = list(app.containers.filter(kind=Container.Kind.PROCESS, status__in=LIVE).select_related("tenant"))
    processes = {p.name: p for p in in_force(app, release)} if release else {}
    mine = {row.pk: (row.process_type, row.index) for row in rows if release and row.release_id == release.pk}
    wanted = slots(processes.values())
    todo = upkeep(wanted, mine, past_lives(release) if release else {}, timezone.now())
    for row in rows:
        if row.pk not in mine or row.pk in todo.stop:
            launch.take_down(row, reason="not part of the serving release", grace=10.0)
    if release:
        limits.follow((row for row in rows if row.pk in mine and row.pk not in todo.stop), processes)
        for slot in todo.start:
            _restart(app, release, processes[slot[0]], slot)
    if todo.start or todo.stop or len(mine) != len(rows):
        routes.sync(app.tenant)


def _restart(app: App, release: Release, process: ProcessSpec, slot: Slot) -> None:
    try:
        row = start_process(app, release, process, slot[1])
        wait_until_ready(app, release, [row])
        routes.sync(app.tenant)  # now, not after the slots that are still to start
    except BerthError as error:
        log.warning("restart.failed", app=str(app), slot=slot, error=error.summary)


def past_lives(release: Release) -> dict[Slot, list[Life]]:
    lives: dict[Slot, list[Life]] = {}
    past = release.containers.filter(kind=Container.Kind.PROCESS, status=Container.Status.STOPPED)
    for row in past.order_by("-stopped_at")[: REMEMBERED_LIVES * 20]:
        life = Life(started=row.started_at, ended=row.stopped_at or row.created_at, counts=_counts(row))
        lives.setdefault((row.process_type, row.index), []).append(life)
    return lives


def _counts(row: Container) -> bool:
    """Whether an end is the app's own doing: it exited, was killed for memory, or never became ready. So does
    one that could not be brought up, whoever's fault that is: the next try at once would not change it."""
    if row.started_at is None and row.reason.startswith(launch.NOT_STARTED):
        return True
    return row.exit_code is not None or row.exit_signal is not None or row.oom_killed
