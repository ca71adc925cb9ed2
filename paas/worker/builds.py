"""One build: a source archive to an image and, if that worked, the app's next release."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import cast

import structlog
from django.conf import settings
from django.db import OperationalError, close_old_connections, transaction
from django.db.models import Max

from paas import builder, live
from paas.builder.log import files_and_folders
from paas.errors import BadInput, BerthError, HostProblem, StepFailed
from paas.images import UnpackReport, unpack
from paas.images.archive import Kind as Archive
from paas.images.durable import room_for, room_on_tenants_disk
from paas.linux import trees
from paas.queue import wake
from paas.runtime.space import BUILDS
from paas.specs import BuildReport
from paas.worker import archived, disk, engine, history, jobs, kept, launch, lock, registry, unchanged
from paas.worker.build_log import BuildLog
from paas.worker.build_queue import Waiting, next_build
from paas.worker.config_vars import ConfigVars
from paas.worker.sandbox import BuildSandbox
from paas.worker.transfer import Transfer
from tenants.accounts.models import Tenant
from tenants.containers.models import Container
from tenants.ids import new_id
from tenants.releases import observations
from tenants.releases.models import Build, Source

log = structlog.get_logger()
MOST_ATTEMPTS = 3


def run_next() -> None:
    """Claim the build that is next and make it. A message says that one waits, not which."""
    with ExitStack() as held:
        build = _claim_next(held)
        if build is None:
            return
        _build(build)
    waiting = Build.objects.filter(status=Build.Status.QUEUED).order_by("created_at").first()
    if waiting is not None:  # its own message may have found its tenant at the limit
        wake("build", waiting.pk)


def wake_waiting(tenant: Tenant) -> None:
    """Of its builds as many as may run by its quota, which may have grown."""
    queued = Build.objects.filter(app__tenant=tenant, status=Build.Status.QUEUED).order_by("created_at")
    for build_id in queued.values_list("pk", flat=True)[: tenant.builds_at_once]:
        wake("build", build_id)


def _claim_next(held: ExitStack) -> Build | None:
    """Its lock is in `held`. One worker chooses at a time, so that a tenant's limit holds."""
    with lock.held("build-queue", wait=True):
        while (build_id := _choose()) is not None:
            if not held.enter_context(lock.held(f"build-{build_id}")):
                return None
            build = observations.claim_build(build_id, new_id())
            if build is not None:
                return build
    return None


def _choose() -> str | None:
    queued = Build.objects.filter(status=Build.Status.QUEUED, cancel_asked_at=None, app__destroyed_at=None)
    rows = list(queued.order_by("created_at").values_list("pk", "app__tenant_id", "created_at"))
    if not rows:
        return None
    running = Build.objects.filter(status=Build.Status.RUNNING).values_list("app__tenant_id", flat=True)
    served = dict(_served()) if len(rows) > 1 else {}  # it only says which of them comes first
    at_once = dict(Tenant.objects.values_list("pk", "builds_at_once"))
    return next_build((Waiting(*row) for row in rows), running, served, at_once=at_once)


def _served() -> Iterable[tuple[str, datetime]]:
    return Build.objects.exclude(started_at=None).values_list("app__tenant_id").annotate(Max("started_at"))


def requeue_interrupted() -> list[str]:
    """Builds whose worker died (nobody holds their lock): queued again, or failed after three attempts."""
    again = []
    for build in Build.objects.filter(status=Build.Status.RUNNING).select_related("app__tenant"):
        with lock.held(f"build-{build.pk}") as mine:
            if not mine:
                continue
            clear_containers(build)
            if build.attempts >= MOST_ATTEMPTS:
                error = HostProblem(
                    f"the build was interrupted {build.attempts} times",
                    hint="deploy again; if it happens again, ask the administrator for the worker's log",
                )
                observations.build_failed(build, error.as_dict())
            elif observations.requeue(build):
                again.append(build.pk)
    return again


def _folder(build: Build) -> Path:
    """Where its source is unpacked: on its tenant's disk."""
    return Path(_disk(build), BUILDS, build.pk)


def _disk(build: Build) -> Path:
    return Path(settings.PATHS.disks, build.app.tenant_id)


def clear_containers(build: Build) -> None:
    rows = build.containers.exclude(status=Container.Status.STOPPED).select_related("tenant")
    for row in rows:
        launch.take_down(row, reason="its build was interrupted")


def _build(build: Build) -> None:
    folder = _folder(build)
    path = settings.PATHS.build_log(build.pk)
    key = unchanged.key_of(build)
    stop = Stop(build)
    with BuildLog(path) as write:
        try:
            with room_for("the build", tenants_disk=_disk(build)):
                report = _answered(build, key, write) or _make(build, folder, write, stop)
        except builder.BuildCancelled:
            _stopped(build, stop, write)
        except BerthError as error:
            write.error(error)
            observations.build_failed(build, error.as_dict())
        except OperationalError:
            # Its row goes on saying that it runs, and nobody holds its lock: the sweep queues it again.
            write.end("\nThe database went away meanwhile. This build will be tried again.\n")
            raise
        except Exception:
            # Anything else is our own mistake: the owner is told so, the log has the trace.
            ours = HostProblem("the build failed inside Berth", hint="tell the administrator the build's id")
            write.error(ours)
            observations.build_failed(build, ours.as_dict())
            raise
        else:
            _succeed(build, report, key, write)
        finally:
            trees.remove(folder)
            clear_containers(build)
            history.forget_builds(build.app)
            live.changed(build.app.tenant_id, build.app_id, "build")


@transaction.atomic
def _succeed(build: Build, report: BuildReport, key: str, write: BuildLog) -> None:
    """The log's last line is there before anybody can see that the build has ended: followers stop then."""
    release = observations.build_succeeded(build, report, key=key)
    outcome = f"released as v{release.version}" if release else "not released: a later deploy came first"
    write.end(f"Built {report.image.digest[:19]}, {outcome}.\n")


def _stopped(build: Build, stop: Stop, write: BuildLog) -> None:
    """It was taken back, or took too long."""
    if not stop.is_late:
        write.end("\nCancelled.\n")
        observations.build_cancelled(build)
        return
    late = StepFailed(
        f"the build took longer than {settings.BUILD_SECONDS:,} seconds and was ended",
        hint="make its slowest step shorter, or ask an administrator to raise BERTH_BUILD_SECONDS",
    )
    write.error(late)
    observations.build_failed(build, late.as_dict())


def _answered(build: Build, key: str, write: BuildLog) -> BuildReport | None:
    """By a build before it, of the same source on the same images."""
    found = unchanged.report_of(build, engine.store(), key)
    if found is None:
        return None
    former, report = found
    at = former.created_at.isoformat(sep=" ", timespec="seconds")
    write(f"Source {build.source.digest[:19]}: unchanged since build {former.pk} of {at}, ".encode())
    write(b"and so are the images that it is made from. Nothing is built.\n")
    return report


def _make(build: Build, folder: Path, write: BuildLog, stop: Stop) -> BuildReport:
    disk.demand_room("a build")
    store = kept.store_for(build.app.tenant, "a build")
    sandbox = BuildSandbox(build, cancelled=stop)
    started = time.monotonic()
    if build.source.kind == Source.Kind.IMAGE:
        return registry.deploy(build, write, stop, sandbox)
    unpacked = _unpacked(build, folder, sandbox)
    amount = files_and_folders(unpacked.files)
    write(f"Source {build.source.digest[:19]}: {amount}, {unpacked.bytes:,} bytes.\n".encode())
    if archived.is_image(folder / "source"):
        loaded = archived.load(build, folder / "source", unpacked, sandbox)
        name = ", ".join(loaded.names) or "without a name"
        write(f"It is an image, {name}: {loaded.digest}. Nothing is built.\n".encode())
        return registry.as_it_is(loaded.digest, "the image")
    transfer = Transfer(build.app, build=build, log=write, cancelled=stop)
    try:
        report = builder.build(
            folder / "source",
            tenant_id=build.app.tenant_id,
            stage=build.app.stage,
            store=store,
            sandbox=sandbox,
            log=write,
            cancelled=stop,
            suite=settings.BASE_SUITE,
            secrets=ConfigVars(build.app),
            pull=lambda name: registry.pull(name, transfer, sandbox),
        )
    finally:
        close_old_connections()  # it may have outlived a restart of the database
    write(f"Finished in {time.monotonic() - started:.1f} s.\n".encode())
    return report


def _unpacked(build: Build, folder: Path, sandbox: BuildSandbox) -> UnpackReport:
    """How large a source is shows when it is unpacked: on the spot, and again in the tenant's fences where that
    is too much. So is one that is wrong, of which nobody knows what it would do."""
    sandbox.prepare()
    trees.remove(folder)
    folder.mkdir(parents=True)
    archive = settings.PATHS.sources / build.source_id

    def unpack_within(most_bytes: int, most_files: int, look: builder.Look) -> UnpackReport:
        with room_on_tenants_disk("the source", _disk(build)):
            return unpack(
                archive,
                cast(Archive, build.source.kind),
                folder / "source",
                max_bytes=most_bytes,
                max_files=most_files,
                look=look,
            )

    if archive.stat().st_size <= trees.SMALL_BYTES:
        small = partial(unpack_within, trees.SMALL_BYTES, trees.SMALL_FILES)
        with suppress(BadInput):
            return sandbox.confined(small, is_light=True)
    whole = partial(unpack_within, settings.SOURCE_MAX_UNPACKED, settings.SOURCE_MAX_FILES)
    return sandbox.confined(whole, is_light=False)


class Stop:
    """Whether a build is to end now: it was taken back, or took too long."""

    def __init__(self, build: Build) -> None:
        self._end = time.monotonic() + settings.BUILD_SECONDS
        self._asked = jobs.CancelAsked(build)

    def __call__(self) -> bool:
        return self._asked() or time.monotonic() > self._end

    @property
    def is_late(self) -> bool:
        return not self._asked.found and time.monotonic() > self._end
