"""On a disk that is full or almost: builds, exports and commits are refused, prune frees, what runs goes on."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F

from paas import builder
from paas.errors import HostProblem
from paas.oci.config import History, ImageConfig
from paas.paths import Paths
from paas.worker import commits, disk, engine, exports, runs, upkeep
from paas.worker.reconcile import reconcile
from tenants.registries import actions as registries
from tenants.releases import actions
from tenants.releases.actions import scale, start_build, upload_source
from tenants.releases.models import Build, Release
from tenants.runs.actions import start_run
from tenants.runs.models import Run
from tests.images.foreign import packed
from tests.images.test_store import KEY, OTHER_KEY, age
from tests.web.cast import Cast
from tests.worker.host import MIB, Host
from tests.worker.test_builds import queued, run
from tests.worker.test_upkeep import layer
from tests.worker.workbench import source_of

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
FULL = re.compile(
    r"no room for [a-z.' 0-9]+: the tenant's disk is full \([\d.]+ of [\d.]+ MiB, [\d,]+ of [\d,]+ files\)"
)
SMALL = 4 * 1024 * 1024


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB and 1000 files."""
    folder = tmp_path / "small"
    folder.mkdir()
    options = f"size={SMALL},nr_inodes=1000"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def small_state(small: Path, settings: Any) -> Iterator[Path]:
    """Which has the state folder."""
    settings.PATHS = Paths(state=small, run=small.with_name("run"))
    settings.GROUP = "root"
    engine.store.cache_clear()
    yield small
    engine.store.cache_clear()


def fill(folder: Path, share: float = 1.0) -> None:
    with (folder / "filling").open("wb", buffering=0) as file:
        while file.tell() < share * SMALL:
            file.write(bytes(4096))


@pytest.mark.parametrize("kind", ["bytes", "files"])
def test_fullness_is_that_of_bytes_or_of_files(small_state: Path, kind: str) -> None:
    assert disk.used() < 10
    if kind == "bytes":
        fill(small_state, 0.96)
    else:
        for number in range(960):
            (small_state / str(number)).touch()
    assert disk.is_almost_full() and 95 < disk.used() < 98


def refused(build: Build) -> str:
    build.refresh_from_db()
    assert build.status == "failed" and build.error is not None
    assert "prune" in build.error["hint"]
    return str(build.error["summary"])


def test_a_build_does_not_begin_on_a_disk_almost_full(cast: Cast, small_state: Path) -> None:
    fill(small_state, 0.96)
    build = queued(cast.app, cast.owner)
    run()
    said = refused(build)
    assert said.startswith("no room for a build: this machine's disk is 96 % full")
    assert said in settings.PATHS.build_log(build.pk).read_text()


def test_a_disk_that_fills_up_in_a_build_is_told_and_not_called_our_own_mistake(
    host: Host, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "build", lambda *args, **named: fill(small, 2))  # as a neighbour's build would
    build = queued(host.cast.app, host.cast.owner)
    run()
    assert refused(build) == "no room for the build: this machine's disk is full"
    assert not source_of(build).exists()


def test_a_source_that_does_not_fit_on_its_tenants_disk_is_told(host: Host) -> None:
    cast = host.cast
    archive = gzip.compress(packed({f"{n}": os.urandom(MIB) for n in range(60)}).read(), 1)  # of 48 MiB
    made = upload_source(actor=cast.owner, app=cast.app, kind="tar.gz", name="x", chunks=[archive])
    build = start_build(actor=cast.owner, app=cast.app, source=made)
    run()
    build.refresh_from_db()
    assert build.status == "failed" and build.error is not None
    assert FULL.fullmatch(build.error["summary"]) and "room for the source" in build.error["summary"]
    assert not source_of(build).exists()


@pytest.fixture(params=["bytes", "files"])
def full(host: Host, request: pytest.FixtureRequest) -> Path:
    """A folder on its tenant's disk that has filled it while the app's one process runs."""
    process = {"name": "worker", "args": ["sleep", "600"], "memory_bytes": 32 * MIB, "count": 1}
    host.cast.app.releases.update(processes=[process])
    reconcile(host.cast.app.pk)
    filling = Path(settings.PATHS.disks, host.cast.tenant.pk, "volumes", "filling")
    filling.mkdir()
    with pytest.raises(OSError, match="No space left"):
        for number in range(100_000):
            with (filling / str(number)).open("wb", buffering=0) as file:
                if request.param == "bytes":
                    os.posix_fallocate(file.fileno(), 0, max(8 * MIB >> number // 4, 4096))
    return filling


def test_on_a_full_disk_a_release_fails_and_the_one_before_serves_on(host: Host, full: Path) -> None:
    app = host.cast.app
    release = actions.restart(actor=host.cast.owner, app=app)
    reconcile(app.pk)
    release.refresh_from_db()
    assert release.status == Release.Status.FAILED and release.error is not None
    assert FULL.fullmatch(release.error["summary"]) and "larger disk" in release.error["hint"]
    assert [row.status for row in app.containers.order_by("created_at")] == ["running", "stopped"]
    shutil.rmtree(full)
    again = actions.restart(actor=host.cast.owner, app=app)
    reconcile(app.pk)
    again.refresh_from_db()
    assert again.status == Release.Status.LIVE, again.error


def test_on_a_full_disk_what_ended_is_tried_again_less_and_less_often(host: Host, full: Path) -> None:
    rows = host.cast.app.containers.order_by("created_at")
    engine.runtime().stop(rows.get().pk, timeout=0)

    def reconciled(*, seconds_later: int) -> int:
        rows.update(stopped_at=F("stopped_at") - timedelta(seconds=seconds_later))
        reconcile(host.cast.app.pk)
        return rows.count()

    assert [reconciled(seconds_later=after) for after in (0, 11, 5, 16, 20, 21)] == [1, 2, 2, 3, 3, 4]
    latest = rows.reverse()[0]
    assert latest.status == "stopped" and FULL.fullmatch(latest.reason.removeprefix("could not start: "))
    shutil.rmtree(full)
    assert reconciled(seconds_later=300) == 5 and rows.reverse()[0].status == "running"


def test_on_a_full_disk_a_command_and_a_build_are_told_whose_it_is(host: Host, full: Path) -> None:
    cast = host.cast
    command = start_run(actor=cast.developer, app=cast.app, command="true")
    runs.settle(command.pk)
    command.refresh_from_db()
    assert command.status == "failed" and command.error and FULL.fullmatch(command.error["summary"])
    build = queued(cast.app, cast.owner)
    run()
    build.refresh_from_db()
    assert build.error is not None and FULL.search(build.error["summary"]), build.error


def test_a_full_disk_whose_app_is_scaled_to_nothing_has_room_for_a_command_again_and_again(
    host: Host, full: Path
) -> None:
    cast = host.cast

    def ran(command: str) -> Run:
        command_run = start_run(actor=cast.developer, app=cast.app, command=command)
        runs.settle(command_run.pk)
        command_run.refresh_from_db()
        if command_run.container:
            engine.runtime().wait(command_run.container.pk, 20)
            runs.settle(command_run.pk)
        command_run.refresh_from_db()
        return command_run

    assert ran("true").status == "failed", "what runs would take the reserve away"
    scale(actor=cast.owner, app=cast.app, formation={"worker": 0})
    reconcile(cast.app.pk)
    assert not cast.app.containers.filter(status="running").exists()
    for number in range(100_000):  # what the app's own files took
        try:
            with (full / f"more-{number}").open("wb", buffering=0) as file:
                os.posix_fallocate(file.fileno(), 0, max(MIB >> number, 4096))
        except OSError:
            break
    for _ in range(2):
        done = ran("true")
        assert (done.status, done.exit_code) == ("exited", 0), done.error
    scale(actor=cast.owner, app=cast.app, formation={"worker": 1})
    reconcile(cast.app.pk)
    assert not cast.app.containers.filter(status="running").exists(), "an app gets none of the reserve"
    assert ran("true").status == "exited"


def test_a_mistake_of_ours_fails_the_release_and_leaves_no_row(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    app = host.cast.app
    reconcile(app.pk)
    containers = Path(settings.PATHS.disks, host.cast.tenant.pk, "containers")
    containers.rename(containers.with_name("elsewhere"))
    containers.touch()  # no folder can be made below it
    release = actions.restart(actor=host.cast.owner, app=app)
    reconcile(app.pk)
    release.refresh_from_db()
    assert release.status == Release.Status.FAILED and release.error is not None
    assert release.error["summary"] == "the start of web.1 failed inside Berth"
    assert not app.containers.filter(status__in=("creating", "created")).exists()
    said = capsys.readouterr().out
    assert "NotADirectoryError" in said and "blue" not in said, "config vars are in no log"
    containers.unlink()
    containers.with_name("elsewhere").rename(containers)
    odd = actions.restart(actor=host.cast.owner, app=app)
    Release.objects.filter(pk=odd.pk).update(image={})
    with pytest.raises(TypeError):
        reconcile(app.pk)
    odd.refresh_from_db()
    assert odd.error is not None and odd.error["summary"] == "the release failed inside Berth"


def test_what_runs_goes_on_while_exports_and_commits_are_refused(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "ALMOST_FULL", 0)
    export = registries.export(actor=host.cast.owner, app=host.cast.app, release=host.release)
    exports.settle(export.pk)
    export.refresh_from_db()
    assert export.error and export.error["summary"].startswith("no room for the export")
    with pytest.raises(HostProblem, match="no room for the commit"):
        commits.make_image(host.release)
    host.cast.app.releases.update(processes=[])
    release = actions.restart(actor=host.cast.owner, app=host.cast.app)
    reconcile(host.cast.app.pk)
    release.refresh_from_db()
    assert release.status == Release.Status.LIVE, release.error


def test_a_prune_of_a_disk_almost_full_keeps_no_step_that_nobody_uses(
    cast: Cast, small_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = engine.store()
    old, young = layer(store, "old"), layer(store, "young")
    store.remember_step(KEY, old)
    store.put_image(ImageConfig(cmd=("run",)).with_layer(old, History("step")))
    age(store, settings.BUILD_SECONDS + 700)
    store.remember_step(OTHER_KEY, young)
    os.utime(store.root / "layers-meta" / f"{young.removeprefix('sha256:')}.json")
    upkeep.prune(dry_run=False)
    assert store.has_layer(old)
    fill(small_state, 0.96)
    told = upkeep.prune(dry_run=True)
    assert (told["steps"], told["layers"], told["blobs"]) == (1, 1, 2)
    upkeep.prune(dry_run=False)
    assert not store.has_layer(old) and store.cached_step(OTHER_KEY) == young
