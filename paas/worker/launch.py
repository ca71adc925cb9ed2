"""One container on the host: brought up, looked at, taken down. Each step can be repeated."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError

from paas.errors import BerthError, Conflict, HostProblem, Refused
from paas.images.durable import room_for
from paas.linux import cgroups
from paas.logs import older
from paas.network import address_of
from paas.specs import ContainerSpec, ContainerState
from paas.worker import engine, fences, sleep
from tenants.accounts.models import Tenant
from tenants.containers import observations
from tenants.containers.models import Container

log = structlog.get_logger()
NOT_STARTED = "could not start: "  # begins the reason of a row whose container could not be brought up
_LEAST_PROCESSES = 4  # its init, its program, and what that starts at once
_OURS = "try again; if it happens again, tell the administrator when it did"


def bring_up(row: Container, spec: ContainerSpec, pipe: Path | None = None) -> None:
    """Create, wire and start; its output goes to `pipe`, or else to its log. On any error the host is as if
    never tried, and the row says why. Whatever it is but the database's is a BerthError: who waits for the
    container is told, and nobody tries for ever."""
    cgroups.expect_moves()
    try:
        with room_for(str(row), tenants_disk=settings.PATHS.disks / spec.tenant.id):
            _start(row, spec, pipe)
    except BerthError as error:
        take_down(row, reason=f"{NOT_STARTED}{error.summary}")
        raise
    except (OperationalError, InterfaceError):  # it is away, and so is the row: whoever looks next goes on
        raise
    except Exception as error:
        # Not log.exception: that shows what is in variables, and the spec holds the app's secrets.
        log.error("start.failed", container=row.pk, trace=traceback.format_exc())
        ours = HostProblem(f"the start of {row} failed inside Berth", hint=_OURS)
        take_down(row, reason=f"{NOT_STARTED}it failed inside Berth")
        raise ours from error
    if not observations.started(row):
        take_down(row, reason="its app was destroyed")
        raise Conflict(f"{row} was taken down while it started", hint="its app was destroyed")


def _start(row: Container, spec: ContainerSpec, pipe: Path | None) -> None:
    path = pipe or settings.PATHS.container_log(spec.id)
    engine.runtime().prepare_tenant(spec.tenant)
    _demand_processes(row.tenant)
    if pipe is None:
        _open_log(path)
    with _connecting(row, spec) as connect:

        def beside(pid: int) -> None:
            connect(pid)
            observations.created(row)

        engine.runtime().create(spec, path, beside)
    engine.runtime().start(spec.id)


def _demand_processes(tenant: Tenant) -> None:
    """Refused where those that run leave too few for one more container: it would end at once, and could itself
    tell of nothing but a fork that failed."""
    used = engine.runtime().tenant_usage(tenant.pk).pids
    if used + _LEAST_PROCESSES > tenant.pids:
        raise Refused(
            f"no processes left: {used:,} of the tenant's quota of {tenant.pids:,} (threads count) are in use",
            hint="end those that ran away by berth scale web=0, then web=1 (a restart starts the new container "
            "first); berth quota shows how many there are, and an administrator can allow more",
        )


@contextmanager
def _connecting(row: Container, spec: ContainerSpec) -> Iterator[Callable[[int], None]]:
    if not spec.network:
        yield lambda pid: None
        return
    fences.ensure(row.tenant)
    with engine.network().connecting(spec.id, spec.tenant.uid_base, spec.address) as connect:
        yield connect


def _open_log(path: Path) -> None:
    """For the web process to read, from the first line to the last: conmon goes on with a file that is there,
    but makes one for root alone when it must start over. While a container runs, the agent sees to that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(0o640)
    shutil.chown(path, group=settings.GROUP)


def _forget_log(path: Path) -> None:
    """Of a build's step, empty: what it said is in the build's log, with the values of secrets masked."""
    for file in (path, older(path)):
        file.unlink(missing_ok=True)


def observe(row: Container) -> ContainerState:
    return engine.runtime().state(row.pk)


def take_down(row: Container, *, reason: str, grace: float = 0.0) -> ContainerState:
    """Stop it if it runs (SIGTERM, then SIGKILL after `grace` seconds), record its end, clear the host."""
    state = observe(row)
    if state.status in ("creating", "created", "running"):
        with sleep.awake(row):
            engine.runtime().stop(row.pk, timeout=grace)
        state = observe(row)
    record_end(row, state, reason=reason)
    return state


def record_end(row: Container, state: ContainerState, *, reason: str) -> None:
    """Its exit into the row, then everything of it off the host, and its address back."""
    with suppress(OSError):  # no room for a log that was never written to: it reads as an empty one
        _open_log(settings.PATHS.container_log(row.pk))
    observations.stopped(
        row,
        exit_code=state.exit_code,
        exit_signal=state.exit_signal,
        oom_killed=state.oom_killed,
        reason=reason,
    )
    clear(row)


def clear(row: Container) -> None:
    engine.runtime().delete(row.pk)
    if row.address is not None:
        engine.network().disconnect(row.pk, address_of(settings.CONTAINER_PREFIX, row.address))
        observations.released(row)
    if row.kind == Container.Kind.BUILD:
        _forget_log(settings.PATHS.container_log(row.pk))


def describe_end(state: ContainerState) -> str:
    """How a container ended, for its owner."""
    if state.oom_killed:
        return "ran out of memory and was killed"
    if state.exit_signal:
        return f"was ended by signal {state.exit_signal}"
    if state.exit_code is not None:
        return f"exited with status {state.exit_code}"
    return "ended without a trace (the host may have restarted)"
