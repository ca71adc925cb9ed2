"""One-off commands: started, left alone, and looked at again when something happened to them.

No worker waits for one, so they outlive every restart of the control plane. `settle` takes a run on from
whatever is true of it; the agent wakes it for an exit, an action for a cancel, the sweep for all else.
"""

from __future__ import annotations

import time
from dataclasses import replace

import structlog
from django.conf import settings

from paas.builder.procfile import shell
from paas.errors import BerthError, Refused, StepFailed
from paas.logs import older
from paas.worker import commands, launch, lock
from tenants.containers import observations as containers
from tenants.containers.models import Container
from tenants.runs import observations
from tenants.runs.models import GOING, Run

log = structlog.get_logger()
GRACE_SECONDS = 10.0
KEPT = 50  # ended runs of an app, with their logs
_STATUS: dict[commands.EndedBy, Run.Status] = {
    "itself": Run.Status.EXITED,
    "cancel": Run.Status.CANCELLED,
    "time limit": Run.Status.TIMED_OUT,
}
_EARLY = (Container.Status.CREATING, Container.Status.CREATED)
INTERRUPTED = StepFailed(
    "the command was not started: Berth's worker ended in the middle of it",
    hint="run it again; nothing of it is left, and it is never started twice",
)
LOST = StepFailed(
    "the command ended without a trace (the host may have restarted)",
    hint="look at what it did before you run it again",
)


def settle(run_id: str) -> None:
    """A message that finds the lock taken may be dropped: the holder looks once more after it let go."""
    while (run := _going(run_id)) is not None and is_due(run):
        with lock.held(f"run-{run_id}") as mine:
            if not mine or not _step(run_id):
                return


def is_due(run: Run) -> bool:
    """Whether there is something to do for a run that has not ended."""
    row = run.container
    return (
        row is None
        or row.status != Container.Status.RUNNING
        or run.deadline is None
        or run.cancel_asked_at is not None
        or _overdue(run)
        or launch.observe(row).status != "running"
    )


def _going(run_id: str) -> Run | None:
    related = ("app__tenant", "release", "container__tenant")
    return Run.objects.select_related(*related).filter(pk=run_id, status__in=GOING).first()


def _step(run_id: str) -> bool:
    """What the run needs next, as it is now that its lock is ours. False if that is nothing."""
    run = _going(run_id)
    if run is None:
        return False
    if run.status == Run.Status.QUEUED:
        return _start(run)
    return _look(run)


def _start(run: Run) -> bool:
    args = shell(run.command) if isinstance(run.command, str) else run.command
    wanted = commands.process(run.release, "run", args)
    try:
        row = observations.claim(run, process_type=wanted.name, memory_limit=wanted.memory_bytes)
    except Refused as error:
        return observations.refused(run, error.as_dict())
    if row is None:
        return False
    try:
        launch.bring_up(row, replace(commands.spec(row, run.release, wanted), may_spend_reserve=True))
    except BerthError as error:
        observations.failed(run, error.as_dict())
        return True
    return observations.started(run, deadline=_now() + run.time_limit)


def _look(run: Run) -> bool:
    """Adopted if a worker before us started it, recorded if it ended, ended if it may not go on."""
    row = run.container
    if row is None:
        return observations.failed(run, LOST.as_dict())
    if row.status in _EARLY and not _adopt(row):
        return observations.failed(run, INTERRUPTED.as_dict())
    cancelled, overdue = run.cancel_asked_at is not None, _overdue(run)
    if row.status == Container.Status.STOPPED:  # a worker before us died between the two records
        return _record(run, row, "cancel" if cancelled else "time limit" if overdue else "itself")
    end = commands.look(row, cancelled=cancelled, overdue=overdue, grace=GRACE_SECONDS)
    if end is None:
        return run.deadline is None and observations.started(run, deadline=_now() + run.time_limit)
    launch.record_end(row, end.state, reason=launch.describe_end(end.state))
    return _record(run, row, end.by)


def _adopt(row: Container) -> bool:
    """Whether it was begun before its worker ended. What may have begun is never begun again, so that what
    has not is cleared away. We hold the run's lock: nobody is about to start it."""
    if launch.observe(row).status in ("running", "stopped"):
        return containers.started(row)
    launch.take_down(row, reason="its start was interrupted")
    return False


def _record(run: Run, row: Container, by: commands.EndedBy) -> bool:
    row.refresh_from_db()  # whoever recorded the container's end first has the truth
    lost = row.exit_code is None and by == "itself"
    if lost:
        done = observations.failed(run, LOST.as_dict())
    else:
        done = observations.ended(run, _STATUS[by], exit_code=row.exit_code, reason=row.reason)
    _forget_the_oldest(run)
    return done


def _forget_the_oldest(run: Run) -> None:
    for old in observations.beyond_history(run.app, KEPT):
        if old.container_id:
            path = settings.PATHS.container_log(old.container_id)
            for file in (path, older(path)):
                file.unlink(missing_ok=True)
        observations.forget(old)
        (settings.PATHS.locks / f"run-{old.pk}").unlink(missing_ok=True)


def _overdue(run: Run) -> bool:
    return run.deadline is not None and _now() > run.deadline


def _now() -> float:
    """Seconds since this host started, sleep included (clock_gettime(2)): as every process on it sees them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
