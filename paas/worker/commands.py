"""One command in a container under the same contract: a release command, a build step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings

from paas.errors import StepFailed
from paas.logs import Follower
from paas.specs import ContainerSpec, ContainerState, ProcessSpec
from paas.worker import engine, launch
from paas.worker.translate import process_container
from tenants.apps.models import App
from tenants.containers import observations
from tenants.containers.models import Container
from tenants.releases import serial
from tenants.releases.models import Release

COMMAND_SECONDS = 1800.0
POLL_SECONDS = 0.05


@contextmanager
def finished(
    row: Container, spec: ContainerSpec, *, log: Callable[[bytes], None], cancelled: Callable[[], bool]
) -> Iterator[ContainerState]:
    """Run `spec` to its end, passing its output to `log`; its changes can be read until the block ends."""
    launch.bring_up(row, spec)
    reason = "finished"
    try:
        state = _until_ended(row, log, cancelled)
        reason = launch.describe_end(state)
        yield state
    finally:
        launch.take_down(row, reason=reason)


def _until_ended(row: Container, log: Callable[[bytes], None], cancelled: Callable[[], bool]) -> ContainerState:
    """Poll its log and its state; a cancel kills it, the time limit is an error."""
    output = Follower(settings.PATHS.container_log(row.pk), from_start=True)
    deadline = time.monotonic() + COMMAND_SECONDS
    while True:
        state = launch.observe(row)
        for line in output.read():
            log(line.text.encode() + b"\n")
        if state.status in ("stopped", "absent"):
            return state
        if cancelled():
            engine.runtime().stop(row.pk, timeout=0)
            return launch.observe(row)
        if time.monotonic() > deadline:
            raise StepFailed(
                f"the command ran for more than {COMMAND_SECONDS / 60:g} minutes and was ended",
                hint="make it shorter, or run the work in a worker process",
            )
        time.sleep(POLL_SECONDS)


def run_command(app: App, release: Release) -> None:
    """The release command, before any container of the release starts; StepFailed if it fails."""
    image = serial.image(release)
    process = ProcessSpec(name="release", args=tuple(release.release_command))
    row = observations.new_container(
        app=app,
        release=release,
        build=None,
        kind=Container.Kind.COMMAND,
        process_type="release",
        index=1,
        memory_limit=process.memory_bytes,
    )
    output: list[bytes] = []
    with finished(
        row, process_container(row, release, image, process), log=output.append, cancelled=lambda: False
    ) as state:
        if state.exit_code != 0:
            raise StepFailed(
                f"the release command {launch.describe_end(state)}",
                hint="no container of this release was started; the release before it goes on serving",
                details={"output": [line.decode(errors="replace").rstrip() for line in output[-40:]]},
            )
