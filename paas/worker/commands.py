"""Commands in containers of their own, under the app's contract: build steps, release commands, one-off runs.

All are brought up by launch.bring_up and judged by `look`. Who waits differs: a build and a roll-out cannot go
on without their command's end and stay with it (`finished`); a run is left alone and looked at again when
something happened to it (paas.worker.runs).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from django.conf import settings
from django.db import close_old_connections

from paas.errors import StepFailed
from paas.logs import read_tail
from paas.specs import ContainerSpec, ContainerState, ProcessSpec
from paas.worker import engine, launch
from paas.worker.step_output import Pipe, as_text
from paas.worker.translate import process_container
from tenants.apps.models import App
from tenants.containers import observations
from tenants.containers.models import Container
from tenants.containers.selectors import RELEASE
from tenants.releases import serial
from tenants.releases.models import Release

COMMAND_SECONDS = 1800.0
POLL_SECONDS = 0.05
LAST_LINES = 40
EndedBy = Literal["itself", "cancel", "time limit"]


@dataclass(frozen=True, slots=True)
class End:
    """How a command's container came to its end, and who ended it."""

    state: ContainerState
    by: EndedBy


def process(release: Release, name: str, args: Sequence[str]) -> ProcessSpec:
    """A command beside the app's own processes, with the limits of its web process (or of its first)."""
    known = sorted(serial.processes(release), key=lambda process: process.name != "web")
    limits = known[0] if known else ProcessSpec(name=name, args=())
    return ProcessSpec(
        name=name, args=tuple(args), memory_bytes=limits.memory_bytes, cpu_millis=limits.cpu_millis
    )


def spec(row: Container, release: Release, process: ProcessSpec) -> ContainerSpec:
    """The release's image and config, in a fresh container that no request is routed to."""
    return process_container(row, release, serial.image(release), process)


def look(row: Container, *, cancelled: bool, overdue: bool, grace: float = 0.0) -> End | None:
    """None while it may go on. One that may not is asked to end, and killed `grace` seconds later."""
    state = launch.observe(row)
    if state.status in ("stopped", "absent"):
        return End(state, "itself")
    if not cancelled and not overdue:
        return None
    engine.runtime().stop(row.pk, timeout=grace)
    return End(launch.observe(row), "cancel" if cancelled else "time limit")


@contextmanager
def finished(
    row: Container, spec: ContainerSpec, *, log: Callable[[bytes], None], cancelled: Callable[[], bool]
) -> Iterator[ContainerState]:
    """Run `spec` to its end; its changes can be read until the block ends.

    `log` gets all that a build's container prints, as it comes: it has no log of its own. Of any other, whose
    log is kept, it gets the last lines at the end.
    """
    if row.kind == Container.Kind.BUILD:
        with Pipe(log) as pipe, _ended(row, spec, cancelled, pipe.finish, pipe=pipe.path) as state:
            yield state
    else:

        def tell() -> None:
            log(as_text(read_tail(settings.PATHS.container_log(row.pk), LAST_LINES)))

        with _ended(row, spec, cancelled, tell) as state:
            yield state


@contextmanager
def _ended(
    row: Container,
    spec: ContainerSpec,
    cancelled: Callable[[], bool],
    at_end: Callable[[], None],
    pipe: Path | None = None,
) -> Iterator[ContainerState]:
    launch.bring_up(row, spec, pipe)
    reason = "finished"
    try:
        state = _until_ended(row, cancelled)
        at_end()
        reason = launch.describe_end(state)
        yield state
    finally:
        close_old_connections()  # the command may have outlived a restart of the database
        launch.take_down(row, reason=reason)


def _until_ended(row: Container, cancelled: Callable[[], bool]) -> ContainerState:
    """Poll its state; a cancel kills it, the time limit is an error."""
    deadline = time.monotonic() + COMMAND_SECONDS
    while (end := look(row, cancelled=cancelled(), overdue=time.monotonic() > deadline)) is None:
        engine.runtime().wait(row.pk, POLL_SECONDS)
    if end.by == "time limit":
        raise StepFailed(
            f"the command ran for more than {COMMAND_SECONDS / 60:g} minutes and was ended",
            hint="make it shorter, or run the work in a worker process",
        )
    return end.state


def run_command(app: App, release: Release) -> None:
    """The release command, before any container of the release starts; StepFailed if it fails."""
    wanted = process(release, RELEASE, release.release_command)
    row = observations.new_container(
        app=app,
        release=release,
        build=None,
        kind=Container.Kind.COMMAND,
        process_type=wanted.name,
        index=1,
        memory_limit=wanted.memory_bytes,
    )
    output: list[bytes] = []
    with finished(row, spec(row, release, wanted), log=output.append, cancelled=lambda: False) as state:
        if state.exit_code != 0:
            raise StepFailed(
                f"the release command {launch.describe_end(state)}",
                hint="no container of this release was started: correct the command and deploy again",
                details={"output": [line.rstrip() for line in b"".join(output).decode().splitlines()]},
            )
