"""Builds as the worker makes them: whose turn it is, how long they may take, what is kept of them."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as conf

from paas.linux.cgroups import UNIFIED, host_tree
from paas.worker import build_log, builds, engine, history
from tenants.accounts.models import User
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.releases.actions import cancel_build, start_build, upload_source
from tenants.releases.models import Build, Release
from tests.worker.host import CGROUP_ROOT, Host
from tests.worker.workbench import Workbench

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]


def source(dockerfile: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in (("Dockerfile", dockerfile), ("file", "content")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(out.getvalue(), mtime=0)  # the same bytes, whenever that is


def queued(app: App, actor: User, dockerfile: str = 'FROM scratch\nCOPY . /\nCMD ["/file"]\n') -> Build:
    made = upload_source(actor=actor, app=app, kind="tar.gz", name="x", chunks=[source(dockerfile)])
    return start_build(actor=actor, app=app, source=made)


@pytest.fixture(autouse=True)
def none_waits(host: Host) -> None:
    Build.objects.all().delete()


def run(times: int = 1) -> list[Build]:
    """What was built, in the order in which it began."""
    for _ in range(times):
        builds.run_next()
    return list(Build.objects.exclude(started_at=None).order_by("started_at"))


def test_tenants_take_turns_whoever_asked_first(host: Host) -> None:
    cast = host.cast
    mine = [queued(cast.app, cast.owner) for _ in range(3)]
    theirs = queued(cast.others_app, cast.stranger)
    made = run(times=5)
    assert [build.pk for build in made] == [mine[0].pk, theirs.pk, mine[1].pk, mine[2].pk]
    assert {build.status for build in made} == {"succeeded"}


def test_a_tenant_at_its_limit_waits(host: Host) -> None:
    cast = host.cast
    first, second = (queued(cast.app, cast.owner) for _ in range(2))
    Build.objects.filter(pk=first.pk).update(status="running")
    assert run() == []
    Build.objects.filter(pk=first.pk).update(status="failed")
    assert [build.pk for build in run()] == [second.pk]


def test_a_build_that_takes_too_long_is_ended_and_says_so(host: Host, settings: Any) -> None:
    settings.BUILD_SECONDS = 0
    build = queued(host.cast.app, host.cast.owner)
    run()
    build.refresh_from_db()
    assert build.status == "failed" and build.error is not None
    assert build.error["summary"] == "the build took longer than 0 seconds and was ended"
    assert "took longer" in settings.PATHS.build_log(build.pk).read_text()


def traces(container_id: str) -> set[str]:
    """What there is of a container on this host."""
    places = {
        "mount": Path("/proc/self/mountinfo").read_text().splitlines(),
        "cgroup": [
            str(path)
            for root in (*host_tree().folders, UNIFIED)
            for path in root.glob(f"{CGROUP_ROOT.removeprefix('/')}/**/{container_id}")
        ],
        "container": engine.runtime().list(),
        "file": [str(path) for path in conf.PATHS.run.rglob("*")],
    }
    return {place for place, found in places.items() if any(container_id in name for name in found)}


def test_a_build_can_be_cancelled_while_its_step_runs(bench: Workbench) -> None:
    cast = bench.host.cast
    build = queued(cast.app, cast.owner, 'FROM debian:12\nRUN echo begun >/begun; sleep 1000\nCMD ["x"]\n')
    store = set(conf.PATHS.store.rglob("*"))
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(run)
        try:
            row = begun(build)
            meanwhile = traces(row.pk)
        finally:
            cancel_build(actor=cast.owner, build=build)
        working.result(timeout=60)
    assert meanwhile == {"cgroup", "container", "file"}  # what is mounted is so in its own namespace alone
    build.refresh_from_db()
    assert build.status == "cancelled"
    assert conf.PATHS.build_log(build.pk).read_text().endswith("\nCancelled.\n")
    assert traces(row.pk) == set()
    assert set(conf.PATHS.store.rglob("*")) == store


def begun(build: Build) -> Container:
    """The container of its step, whose command has written a file."""
    end = time.monotonic() + 30
    while True:
        row = build.containers.filter(status=Container.Status.RUNNING).first()
        if row is not None and (engine.runtime().written(row.pk)[0] / "begun").exists():
            return row
        assert time.monotonic() < end, conf.PATHS.build_log(build.pk).read_text()
        time.sleep(0.05)


def test_a_log_has_an_end(host: Host, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_log, "LOG_MAX", 200)
    monkeypatch.setattr(build_log, "END_MAX", 100)
    build = queued(host.cast.app, host.cast.owner)
    run()
    text = settings.PATHS.build_log(build.pk).read_text()
    assert "\nThe log is long: what follows is shown when the build has ended.\n" in text
    assert text.splitlines()[-1].startswith("Built sha256:")


def test_the_last_builds_are_kept_with_log_and_source(
    host: Host, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "BUILDS", 2)
    made = []
    for _ in range(3):
        made.append(queued(host.cast.app, host.cast.owner))
        run()
        Release.objects.filter(build=made[-1]).update(status=Release.Status.SUPERSEDED)
    assert set(Build.objects.values_list("pk", flat=True)) == {build.pk for build in made[1:]}
    for build, kept in zip(made, (False, True, True), strict=True):
        assert settings.PATHS.build_log(build.pk).exists() is kept
        assert (settings.PATHS.sources / build.source_id).exists() is kept
    assert host.cast.app.releases.filter(build=None, version__gt=1).count() == 1
