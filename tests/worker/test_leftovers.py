"""What a worker leaves that is killed between two steps, and who clears it away."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from paas.linux import mounts
from paas.runtime import Runtime
from paas.specs import ProcessSpec
from paas.worker import engine, launch, sweep
from paas.worker.reconcile import reconcile
from paas.worker.roll_out import start_process
from tenants.apps.actions import destroy_app
from tenants.containers import observations
from tenants.containers.models import Container
from tests.worker.host import Host

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
SLEEPER = ProcessSpec(name="worker", args=("sleep", "300"), memory_bytes=32 << 20)


def begun(host: Host) -> Container:
    return start_process(host.cast.app, host.release, SLEEPER, 1)


def half_cleared(host: Host, ago: timedelta = timedelta(0)) -> Container:
    """Its end is recorded, and then its worker was killed."""
    row = begun(host)
    engine.runtime().stop(row.pk, timeout=0)
    observations.stopped(row, exit_code=137, exit_signal=9, oom_killed=False, reason="")
    Container.objects.filter(pk=row.pk).update(stopped_at=timezone.now() - ago)
    return row


def is_gone(row: Container) -> bool:
    row.refresh_from_db()
    return row.address is None and row.pk not in {*engine.runtime().list(), *engine.network().connected()}


def test_a_container_that_was_left_half_cleared_is_found_and_cleared(host: Host) -> None:
    row = half_cleared(host, ago=timedelta(minutes=1))
    assert sweep.uncleared() == {host.cast.app.pk}
    host.cast.app.releases.update(processes=[])
    reconcile(host.cast.app.pk)
    assert is_gone(row)
    assert sweep.uncleared() == set()


def test_one_whose_worker_may_be_at_it_is_left_to_it(host: Host) -> None:
    row = half_cleared(host)
    host.cast.app.releases.update(processes=[])
    assert sweep.uncleared() == set()
    reconcile(host.cast.app.pk)
    assert not is_gone(row)


def test_a_destroy_clears_it_too(host: Host) -> None:
    half_cleared(host)
    destroy_app(actor=host.cast.owner, app=host.cast.app, confirm=host.cast.app.name)
    reconcile(host.cast.app.pk)
    assert host.is_clean()
    assert engine.network().connected() == set()


def test_an_agent_that_starts_clears_what_no_row_claims(host: Host) -> None:
    stray, left, kept = begun(host), half_cleared(host), begun(host)
    Container.objects.filter(pk=stray.pk).delete()
    assert set(sweep.clear_host()) == {stray.pk, left.pk}
    assert engine.runtime().list() == [kept.pk]
    assert engine.network().connected() == {kept.pk}
    assert is_gone(left)
    launch.take_down(kept, reason="")


def test_one_that_cannot_be_cleared_keeps_nobody_from_clearing_the_others(host: Host) -> None:
    stays, stray = begun(host), begun(host)
    Container.objects.filter(pk__in=(stays.pk, stray.pk)).delete()
    busy = settings.PATHS.disks / host.cast.tenant.pk / "containers" / stays.pk / "busy"
    busy.mkdir()
    mounts.mount("tmpfs", busy, "tmpfs")
    assert sweep.clear_host() == [stray.pk]
    assert engine.runtime().list() == [stays.pk] and engine.network().connected() == set()
    mounts.unmount(busy)
    assert sweep.clear_host() == [stays.pk] and engine.runtime().list() == []


def test_an_agent_that_starts_spares_what_a_worker_begins_meanwhile(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Container] = []
    look = Runtime.list

    def while_a_worker_begins_one(runtime: Runtime) -> list[str]:
        if not rows:
            rows.append(begun(host))
        return look(runtime)

    monkeypatch.setattr(Runtime, "list", while_a_worker_begins_one)
    assert sweep.clear_host() == []
    assert launch.observe(rows[0]).status == "running"
    launch.take_down(rows[0], reason="")
