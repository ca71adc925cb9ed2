"""Volumes through releases, commands and restarts, on the real kernel; and who is inside the fences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from paas.linux import mounts
from paas.linux.cgroups import Cgroup
from paas.worker import commands, engine, launch, quota, runs, volumes
from paas.worker.reconcile import reconcile
from paas.worker.sandbox import BuildSandbox
from tenants.accounts.in_force import APPLYING
from tenants.apps.actions import destroy_app
from tenants.containers.models import Container
from tenants.releases import actions
from tenants.releases.models import Build, Release
from tenants.runs.actions import start_run
from tenants.runs.logs import read_run_log
from tenants.volumes.actions import delete_volume
from tenants.volumes.models import Volume
from tests.runtime.conftest import BASE
from tests.web.cast import make_build
from tests.worker.host import MIB, Host

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
WRITES = "echo $BERTH_RELEASE >> /srv/data/file; sleep 60"


@pytest.fixture
def writer(host: Host) -> Host:
    """Its one process writes the release's name into its volume."""
    process = {"name": "worker", "args": ["sh", "-c", WRITES], "memory_bytes": 32 * MIB, "count": 1}
    host.cast.app.releases.update(processes=[process], volumes=[["data", "/srv/data"]])
    roll_out(host)
    return host


def roll_out(host: Host, **changes: Any) -> Release:
    release = actions.restart(actor=host.cast.owner, app=host.cast.app)
    Release.objects.filter(pk=release.pk).update(**changes)
    reconcile(host.cast.app.pk)
    release.refresh_from_db()
    assert release.status == Release.Status.LIVE, release.error
    return release


def folder(host: Host) -> Path:
    place: Path = settings.PATHS.disks / host.cast.tenant.pk / "volumes" / Volume.objects.get().pk
    return place


def test_it_outlives_releases_commands_and_the_host(writer: Host) -> None:
    app = writer.cast.app
    roll_out(writer)
    assert (folder(writer) / "file").read_text() == "v2\nv3\n"
    run = start_run(
        actor=writer.cast.developer, app=app, command="echo run >> /srv/data/file; cat /srv/data/file"
    )
    runs.settle(run.pk)
    run.refresh_from_db()
    engine.runtime().wait(run.container_id or "", 20)
    assert [line.text for line in read_run_log(run, "").lines] == ["v2", "v3", "run"]
    for pk in engine.runtime().list():
        engine.runtime().delete(pk)
    for view in (settings.PATHS.disk_views, settings.PATHS.disks):
        mounts.unmount(view / writer.cast.tenant.pk)
    assert not folder(writer).exists()
    reconcile(app.pk)  # as after a restart of the host
    volumes.measure(writer.cast.tenant.pk)
    assert (folder(writer) / "file").read_text() == "v2\nv3\nrun\nv3\n"
    assert 4096 <= (Volume.objects.get().size_bytes or 0) < MIB


def test_it_goes_when_asked_to_and_nothing_has_it_any_more(writer: Host) -> None:
    old = list(writer.cast.app.containers.filter(status="running"))
    there = folder(writer)
    roll_out(writer, volumes=[])
    Container.objects.filter(pk=old[0].pk).update(status="running", address=99)  # as one that drains
    volume = Volume.objects.get()
    delete_volume(actor=writer.cast.owner, volume=volume, confirm="data")
    volumes.settle(volume.pk)
    assert (there / "file").exists() and volumes.waiting() == [volume.pk]
    Container.objects.filter(pk=old[0].pk).update(status="stopped", address=None)
    volumes.settle(volume.pk)
    volumes.settle(volume.pk)
    assert not there.exists() and volumes.waiting() == []


def test_it_goes_with_its_app(writer: Host) -> None:
    there = folder(writer)
    assert (there / "file").exists()
    destroy_app(actor=writer.cast.owner, app=writer.cast.app, confirm="shop")
    reconcile(writer.cast.app.pk)
    assert not there.exists() and not Volume.objects.exists()


def test_what_runs_for_a_tenant_runs_in_its_slice_and_on_its_disk(writer: Host) -> None:
    """One of each: a process, a one-off command, a release command, a build's step."""
    app, seen = writer.cast.app, set[str]()

    def look(row: Container) -> None:
        slice_ = Cgroup(f"{settings.CGROUP_ROOT}/{app.tenant_id}")
        assert engine.runtime().state(row.pk).pid in slice_.pids()
        upper, _ = engine.runtime().written(row.pk)
        assert upper.is_relative_to(settings.PATHS.disks / app.tenant_id)
        seen.add(row.process_type)

    def look_at_newest(_: bytes) -> None:
        look(Container.objects.filter(status="running").latest("created_at"))

    look(app.containers.get(status="running"))
    run = start_run(actor=writer.cast.developer, app=app, command="sleep 60")
    runs.settle(run.pk)
    run.refresh_from_db()
    assert run.container is not None
    look(run.container)
    launch.take_down(run.container, reason="seen")
    release = app.releases.latest("version")
    row = Container.objects.create(
        tenant=app.tenant,
        app=app,
        release=release,
        kind="command",
        process_type="release",
        memory_limit=1,
        address=77,
    )
    wanted = commands.process(release, "release", ("sh", "-c", "echo here; sleep 1"))
    spec = commands.spec(row, release, wanted)

    def looks() -> bool:
        """Asked again and again while it runs."""
        if engine.runtime().state(row.pk).pid:
            look(row)
        return False

    with commands.finished(row, spec, log=lambda _: None, cancelled=looks):
        pass
    build = make_build(app, writer.cast.owner)
    Build.objects.filter(pk=build.pk).update(status=Build.Status.RUNNING)
    step = BuildSandbox(build, cancelled=lambda: False).run(
        (BASE,),
        args=("sh", "-c", "echo here; ls /srv; sleep 1"),
        env={},
        workdir="/",
        user="0:0",
        mounts=(),
        network=False,
        log=look_at_newest,
    )
    with step as result:
        assert not (result.upper / "srv").exists(), "a build sees no volume"
    assert seen == {"worker", "run", "release", "build"}


def test_a_drift_is_seen_told_and_mended(writer: Host) -> None:
    tenant = writer.cast.tenant
    row = writer.cast.app.containers.get(status="running")
    slice_ = Cgroup(f"{settings.CGROUP_ROOT}/{tenant.pk}")
    own = Cgroup(f"{slice_.name}/{row.pk}")
    assert quota.look_at(tenant) == []
    row.refresh_from_db()
    assert (row.limits["memory_bytes"], row.limits["pids"]) == (32 * MIB, 256)
    for cgroup in (slice_, own):
        (cgroup.folder("pids") / "pids.max").write_text("max")
    assert quota.look_at(tenant) == ["pids", "worker.1"]
    tenant.refresh_from_db()
    assert tenant.in_force["pids"] == {"value": None, "used": None, "why": quota.DRIFTED}
    tenant.quota_set_at = timezone.now()
    assert quota.look_at(tenant) and tenant.in_force["pids"]["why"] == APPLYING
    quota.apply_quota(tenant.pk)
    tenant.refresh_from_db()
    assert quota.look_at(tenant) == [] and tenant.in_force["pids"]["value"] == tenant.pids
