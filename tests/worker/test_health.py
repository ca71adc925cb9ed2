"""An image's HEALTHCHECK, asked in the container from the host."""

from __future__ import annotations

import pytest

from paas.errors import StepFailed
from paas.specs import ProcessSpec
from paas.worker import engine, launch, roll_out
from tenants.containers.models import Container
from tenants.releases import serial
from tenants.releases.models import Release
from tests.worker.host import MIB
from tests.worker.workbench import Workbench

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
# Serves from the first moment on, and calls itself ready a while later.
SERVE = "(sleep 0.5; echo yes > /tmp/ready) & exec busybox httpd -f -p $PORT -h /srv"


def begun(bench: Workbench, healthcheck: str) -> tuple[Release, Container]:
    report = bench.build(f"FROM debian:12\nENV WORD=yes\nEXPOSE 8123\nUSER app\n{healthcheck}")
    release = bench.host.release
    process = ProcessSpec("web", ("sh", "-c", SERVE), memory_bytes=64 * MIB)
    release.image, release.health = serial.to_json(report.image), serial.to_json(report.health)
    release.processes = [serial.to_json(process)]
    release.save()
    app = bench.host.cast.app
    app.refresh_from_db()
    return release, roll_out.start_process(app, release, process, 1)


def test_a_release_is_ready_when_its_check_succeeds(bench: Workbench) -> None:
    check = 'HEALTHCHECK --interval=50ms CMD [ "$(id -u)" = 1000 ] && [ "$(cat /tmp/ready)" = $WORD ]'
    release, row = begun(bench, check)
    try:
        roll_out.wait_until_ready(row.app, release, [row])
        upper, _ = engine.runtime().written(row.pk)
        assert (upper / "tmp/ready").read_text() == "yes\n"
    finally:
        launch.take_down(row, reason="done")


def test_one_that_does_not_succeed_says_what_it_printed(bench: Workbench) -> None:
    release, row = begun(bench, "HEALTHCHECK CMD echo no database >&2; exit 1")
    release.health = {**release.health, "timeout": 0.5}
    release.save()
    with pytest.raises(StepFailed) as caught:
        roll_out.wait_until_ready(row.app, release, [row])
    assert (
        "was not ready within 0.5 s: the image's health check exited with 1: no database"
        in caught.value.summary
    )
    row.refresh_from_db()
    assert row.status == Container.Status.STOPPED


def test_an_attempt_has_its_own_time_limit(bench: Workbench) -> None:
    release, row = begun(bench, "HEALTHCHECK --timeout=100ms CMD sleep 60")
    release.health = {**release.health, "timeout": 0.3}
    release.save()
    with pytest.raises(StepFailed, match=r"the image's health check did not end within 0\.1 s"):
        roll_out.wait_until_ready(row.app, release, [row])
