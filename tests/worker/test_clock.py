"""The wall clock jumps an hour, either way: nothing expires, nothing is lost, nothing runs twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from paas.specs import ProcessSpec
from paas.worker import disk, engine, launch, reconcile, roll_out, runs, sweep, upkeep
from tenants.releases.actions import start_build, upload_source
from tenants.releases.models import Build
from tenants.runs.actions import start_run
from tests.web.cast import GZIP
from tests.worker.host import Host

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
Jump = Callable[[float], None]


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Jump:
    """The kernel has one CLOCK_REALTIME for all: here what Berth asks for the time is set instead."""
    now, seconds = timezone.now, time.time

    def by(hours: float) -> None:
        monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(hours=hours))
        monkeypatch.setattr(time, "time", lambda: seconds() + hours * 3600)

    return by


@pytest.mark.parametrize("hours", [1, -1])
def test_what_runs_goes_on_and_what_waits_is_found(host: Host, jump: Jump, hours: float) -> None:
    cast = host.cast
    process = ProcessSpec(name="web", args=("/bin/sh", "-c", "sleep 60"), memory_bytes=64 << 20)
    row = roll_out.start_process(cast.app, host.release, process, 1)
    run = start_run(actor=cast.developer, app=cast.app, command=["sleep", "60"], time_limit=50)
    runs.settle(run.pk)
    source = upload_source(actor=cast.developer, app=cast.app, kind="tar.gz", name="x", chunks=[GZIP])
    waiting, running = (start_build(actor=cast.developer, app=cast.app, source=source) for _ in range(2))
    Build.objects.filter(pk=running.pk).update(status="running", started_at=timezone.now())
    assert sweep.forgotten_builds() == [], "its message may still be on its way"

    jump(hours)
    assert sweep.forgotten_builds() == [waiting.pk]
    assert sweep.all_unlike_their_rows() == set() == sweep.uncleared()
    assert sweep.due_runs() == []
    runs.settle(run.pk)
    reconcile.reconcile(cast.app.pk)
    run.refresh_from_db()
    assert (run.status, launch.observe(row).status) == ("running", "running")
    assert len(engine.runtime().list()) == 2


@pytest.mark.parametrize("hours", [1, -1])
def test_a_process_that_is_up_is_taken_for_steady(host: Host, jump: Jump, hours: float) -> None:
    process = ProcessSpec(name="worker", args=("/bin/sh", "-c", "sleep 60"), memory_bytes=64 << 20)
    row = roll_out.start_process(host.cast.app, host.release, process, 1)
    row.refresh_from_db()
    assert roll_out._look(row, host.release) == "just started"
    jump(hours)
    assert roll_out._look(row, host.release) is None
    launch.take_down(row, reason="seen")


def test_a_prune_of_a_full_disk_spares_what_a_build_has_just_made(
    host: Host, jump: Jump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "is_almost_full", lambda: True)
    cast = host.cast
    source = upload_source(actor=cast.developer, app=cast.app, kind="tar.gz", name="x", chunks=[GZIP])
    build = start_build(actor=cast.developer, app=cast.app, source=source)
    Build.objects.filter(pk=build.pk).update(status="running", started_at=timezone.now())
    jump(1)
    assert min(upkeep._ages()) > 3600
