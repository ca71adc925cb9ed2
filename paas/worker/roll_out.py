"""A release goes live: started beside the one before, checked from the host, switched to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import structlog
from django.conf import settings

from paas.errors import BerthError, NotFound, Refused, StepFailed
from paas.linux.command import Completed
from paas.logs import read_tail
from paas.network import address_of
from paas.specs import MIB, HealthCheck, ProcessSpec
from paas.worker import commits, drain, endings, engine, launch, names, room, routes
from paas.worker.commands import run_command
from paas.worker.plan import slots
from paas.worker.readiness import answers, pause, succeeds, until_it_listens
from paas.worker.translate import port_of, process_container
from tenants.apps.models import App
from tenants.containers import observations as containers
from tenants.containers.models import Container
from tenants.containers.selectors import LIVE
from tenants.releases import limits, observations, serial
from tenants.releases.models import Release
from tenants.releases.room import check_formation_fits
from tenants.volumes import observations as volumes

log = structlog.get_logger()
STEADY_SECONDS = 1.0  # a process that serves no port counts as started after this long without an exit
STOP_SECONDS = 10.0
LOG_LINES = 40
HEALTH_OUTPUT_MAX = 4096  # bytes, as Docker keeps


class Superseded(Exception):
    """A later intent came; this release's work ends here."""


def roll_out(app: App, release: Release) -> None:
    """Take `release` to live or failed. Repeating it after a crash goes on where it stood."""
    begun = release.status != Release.Status.PENDING
    observations.release_starting(app, release)
    if app.serving_release_id == release.pk:  # a worker died between the switch and its record
        finish(app, release)
        return
    started: list[Container] = []
    try:
        demand_image(release)
        if begun:
            _stop_leftovers(app, release)
        _check_quota(app, release)
        if release.volumes:
            volumes.wanted(app, release.volumes)
        if release.committed_from:
            commits.make_image(release)
        names.prepare(app, release)
        if release.release_command:
            run_command(app, release)
        for process, index in _slots(app, release):
            started.append(start_process(app, release, process, index))
        wait_until_ready(app, release, started)
    except Superseded:
        _stop(started, "superseded by a later release")
        return
    except BerthError as error:
        error.details["log"] = _last_lines(started)
        observations.release_failed(release, error.as_dict())
        _stop(started, "its release did not become ready")
        return
    if observations.release_serving(release):
        finish(app, release)


def finish(app: App, release: Release) -> None:
    """The switch: whoever reads "live" finds the new release answering."""
    routes.sync(app.tenant)
    observations.release_live(release)
    _drain(app, release)


def start_process(app: App, release: Release, process: ProcessSpec, index: int) -> Container:
    """A container row and its container, running but not yet checked."""
    image = serial.image(release)
    with room.found(app, process):
        row = containers.new_container(
            app=app,
            release=release,
            build=None,
            kind=Container.Kind.PROCESS,
            process_type=process.name,
            index=index,
            memory_limit=process.memory_bytes,
        )
    launch.bring_up(row, process_container(row, release, image, process))
    return row


def wait_until_ready(app: App, release: Release, rows: Sequence[Container]) -> None:
    """Return when all are ready; StepFailed with the reason when one is not, Superseded on a later intent."""
    check = serial.health(release)
    began = time.monotonic()
    waiting = list(rows)
    while waiting:
        _fence(app)
        for row in list(waiting):
            seen = _look(row, release)
            if seen is None:
                containers.ready(row)
                waiting.remove(row)
            elif time.monotonic() - began > check.timeout:
                launch.take_down(row, reason=f"not ready within {check.timeout:g} s: {seen}")
                raise StepFailed(f"{row} was not ready within {check.timeout:g} s: {seen}", hint=_hint(check))
        if waiting:
            _pause(waiting, release, pause(time.monotonic() - began, check))


def _hint(check: HealthCheck) -> str:
    if check.command or check.path:
        return "read its log for why the check fails, or give it longer: [health] timeout in berth.toml"
    return "listen on 0.0.0.0 and the port in $PORT, or set [health] in berth.toml"


def _pause(waiting: Sequence[Container], release: Release, seconds: float) -> None:
    web = [row.address for row in waiting if row.process_type == "web" and row.address is not None]
    if not web:
        time.sleep(seconds)
        return
    until_it_listens(address_of(settings.CONTAINER_PREFIX, web[0]), port_of(release, "web"), seconds)


def _look(row: Container, release: Release) -> str | None:
    """None if ready, else what is missing; StepFailed if it has ended."""
    state = launch.observe(row)
    if state.status in ("stopped", "absent"):
        launch.record_end(row, state, reason=launch.describe_end(state))
        raise StepFailed(
            f"{row} {launch.describe_end(state)} before it was ready",
            hint=endings.hint(state.exit_code, _lines_of(row)),
        )
    if row.process_type != "web":
        age = time.time() - row.started_at.timestamp() if row.started_at else 0.0
        return "just started" if 0 <= age < STEADY_SECONDS else None  # below 0: the clock was set back
    assert row.address is not None
    address = address_of(settings.CONTAINER_PREFIX, row.address)
    check = serial.health(release)
    ready, seen = answers(address, port_of(release, "web"), check, state.pid or 0)
    if ready and check.command:  # asked of what listens only: a process for nothing costs more than a packet
        ready, seen = succeeds(lambda check: _executed(row, release, check), check)
    return None if ready else seen


def _executed(row: Container, release: Release, check: HealthCheck) -> Completed:
    """In the container of a process, as its user and with its variables."""
    (process,) = (p for p in serial.processes(release) if p.name == row.process_type)
    return engine.runtime().exec(
        process_container(row, release, serial.image(release), process),
        check.command,
        timeout=check.attempt_timeout,
        keep=HEALTH_OUTPUT_MAX,
    )


def _slots(app: App, release: Release) -> list[tuple[ProcessSpec, int]]:
    """What to start; what a worker before us started for this release and is up is not started twice."""
    processes = {p.name: p for p in limits.in_force(app, release)}
    return [(replace(processes[name], count=1), index) for name, index in slots(processes.values())]


def demand_image(release: Release) -> None:
    """Of an old release it may have been pruned, or taken out of use because it was damaged. A prune that read
    the rows before this release was one of them finds it young."""
    here = engine.store().use_image(serial.image(release))
    observations.image_seen(release, here=here)
    if not here:
        raise NotFound(
            "its image is no longer kept on this machine",
            hint=f"deploy the code again; the last {settings.KEPT_IMAGES} images of an app are kept",
        )


def _check_quota(app: App, release: Release) -> None:
    """A single container that may use more memory than its tenant has is a mistake; many together are not."""
    check_formation_fits(app, sum(process.count for process in serial.processes(release)))
    quota = app.tenant.memory_bytes
    for process in limits.in_force(app, release):
        if process.count and process.memory_bytes > quota:
            limit, most = (f"{amount // MIB:,} MiB" for amount in (process.memory_bytes, quota))
            raise Refused(
                f"cannot start {process.name}: memory limit {limit} is above the tenant's quota of {most}",
                hint=f"ask an administrator for more, or lower memory in [processes.{process.name}]",
            )


def _stop_leftovers(app: App, release: Release) -> None:
    """Containers of this very release from a worker that died in the middle: started afresh."""
    running = app.containers.filter(release=release, status__in=LIVE)
    _stop(list(running.select_related("tenant")), "its start was interrupted")


def _fence(app: App) -> None:
    if not App.objects.filter(pk=app.pk, generation=app.generation, destroyed_at=None).exists():
        raise Superseded


def _drain(app: App, release: Release) -> None:
    """New requests go to the new release; the old containers finish what they have and stop."""
    running = app.containers.filter(kind=Container.Kind.PROCESS, status__in=("running", "sleeping"))
    old = list(running.exclude(release=release).select_related("tenant", "release"))
    drain.until_idle(old)
    _stop(old, f"replaced by {release}", grace=STOP_SECONDS)


def _stop(rows: Sequence[Container], reason: str, grace: float = 2.0) -> None:
    for row in rows:
        row.refresh_from_db()
        if row.status != Container.Status.STOPPED:
            launch.take_down(row, reason=reason, grace=grace)


def _last_lines(rows: Sequence[Container]) -> list[str]:
    """The end of the failed container's log, for the owner's page."""
    for row in rows:
        row.refresh_from_db()
    for row in sorted(rows, key=lambda r: r.status != Container.Status.STOPPED):
        if lines := _lines_of(row):
            return lines
    return []


def _lines_of(row: Container) -> list[str]:
    path = settings.PATHS.container_log(row.pk)
    return [line.text for line in read_tail(path, LOG_LINES)] if path.exists() else []
