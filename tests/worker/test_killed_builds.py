"""Builds whose worker is killed: what is left of them, who clears it away, and what becomes of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as conf
from django.db import connections

from paas.builder import copying
from paas.runtime import confined
from paas.worker import builds, engine, left_behind, lock, sweep
from paas.worker.translate import tenant_spec
from tenants.containers import observations as containers
from tenants.containers.models import Container
from tenants.ids import new_id
from tenants.releases import observations
from tenants.releases.models import Build
from tests.worker.host import CGROUP_ROOT, Host
from tests.worker.test_build_steps import wait_until
from tests.worker.test_builds import begun, queued, traces
from tests.worker.workbench import Workbench, source_of

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
# Without an end at first, and at once when it is tried again.
ENDLESS_ONCE = (
    "RUN --mount=type=cache,target=/c [ -e /c/tried ] || { >/c/tried; echo begun >/begun; sleep 1000; }\n"
)


@contextmanager
def a_worker(work: Callable[[], object]) -> Iterator[None]:
    """A process of its own, killed at the end of the block if it has not ended by then."""
    connections.close_all()  # SQLite's must not be taken along
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def left(build: Build) -> set[str]:
    """What there is of a build beside its containers: source, mounts, files on its tenant's disk, a cgroup."""
    copies = [*conf.PATHS.rootfs.glob("*"), *conf.PATHS.disks.glob("*/containers/*")]
    return {
        *(["work"] if source_of(build).exists() else []),
        *(path.parent.name for path in copies),
        *("cgroup" for name, _ in confined.left(CGROUP_ROOT) if name == build.pk),
    }


def swept(build: Build) -> bool:
    """Whether a sweep leaves nothing of it, and had it queued again."""
    sweep.sweep()
    build.refresh_from_db()
    return build.status == Build.Status.QUEUED and not left(build)


def interrupted(build: Build) -> tuple[Container, Path]:
    """As a worker leaves it that dies in a step: claimed, unpacked, with a container."""
    claimed = observations.claim_build(build.pk, new_id())
    assert claimed is not None
    engine.runtime().prepare_tenant(tenant_spec(claimed.app.tenant))
    folder = source_of(claimed) / "source"
    folder.mkdir(parents=True)
    (folder / "file").touch()
    row = containers.new_container(
        app=claimed.app, release=None, build=claimed, kind=Container.Kind.BUILD,
        process_type="build", index=1, memory_limit=1,
    )  # fmt: skip
    return row, folder.parent


def test_one_that_was_interrupted_three_times_has_failed(host: Host) -> None:
    build = queued(host.cast.app, host.cast.owner)
    for again in ([build.pk], [build.pk], []):
        row, folder = interrupted(build)
        assert builds.requeue_interrupted() == again
        row.refresh_from_db()
        assert row.status == "stopped"
        left_behind.clear()
        assert not folder.exists()
    build.refresh_from_db()
    assert (build.status, build.attempts) == ("failed", 3) and build.error is not None
    assert build.error["summary"] == "the build was interrupted 3 times"
    assert "ask the administrator for the worker's log" in build.error["hint"]
    assert builds.requeue_interrupted() == []


def test_what_nobody_owns_any_more_is_swept_and_what_somebody_has_is_not(host: Host) -> None:
    gone, going = (queued(host.cast.app, host.cast.owner) for _ in range(2))
    row, folder = interrupted(gone)
    others_row, others = interrupted(going)
    passwords = [conf.PATHS.transfers / pk for pk in ("0" * 12, row.pk, others_row.pk)]
    for place in passwords:
        place.mkdir(parents=True)
    Build.objects.filter(pk=gone.pk).delete()  # as with its app; the container's row stays a little longer
    with lock.held(f"build-{going.pk}"):
        sweep.sweep()
        assert not folder.exists() and others.exists()
        assert [place.exists() for place in passwords] == [False, False, True]
    Build.objects.filter(pk=going.pk).delete()
    sweep.sweep()
    assert not others.exists()


def test_one_killed_in_a_run_is_made_by_the_next_worker(bench: Workbench) -> None:
    cast = bench.host.cast
    build = queued(cast.app, cast.owner, f'FROM debian:12\n{ENDLESS_ONCE}CMD ["x"]\n')
    with a_worker(builds.run_next):
        row = begun(build)
    assert traces(row.pk) == {"cgroup", "container", "file"}
    assert left(build) == {"work", "rootfs", "containers"}
    sweep.sweep()
    assert traces(row.pk) == set() and left(build) == set()
    row.refresh_from_db()
    build.refresh_from_db()
    assert (row.status, row.reason, build.status) == ("stopped", "its build was interrupted", "queued")
    builds.run_next()
    build.refresh_from_db()
    assert (build.status, build.attempts) == ("succeeded", 2), conf.PATHS.build_log(build.pk).read_text()
    assert left(build) == set()


@pytest.mark.parametrize(("instruction", "place"), [("COPY", set()), ("ADD", {"cgroup"})])
def test_one_killed_in_a_copy_leaves_no_mount_and_no_file(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, instruction: str, place: set[str]
) -> None:
    """ADD may unpack: it is carried out in the tenant's cgroup."""
    cast = bench.host.cast
    build = queued(cast.app, cast.owner, f'FROM debian:12\n{instruction} . /srv/\nCMD ["x"]\n')
    copy = copying.copy

    def and_stay(*arguments: Any) -> int:
        newest = copy(*arguments)
        signal.pause()
        return newest

    with monkeypatch.context() as patched:
        patched.setattr(copying, "copy", and_stay)
        with a_worker(builds.run_next):
            wait_until(lambda: any(conf.PATHS.disks.glob("*/containers/copy-*/upper/srv/file")))
            sweep.sweep()  # it is at it
            assert left(build) == {"work", "rootfs", "containers"} | place
    wait_until(lambda: swept(build))  # its child, which had its locks, ends with it
    assert "copy-" not in Path("/proc/self/mountinfo").read_text()
    builds.run_next()
    build.refresh_from_db()
    assert (build.status, build.attempts) == ("succeeded", 2)
