"""One build: a source archive to an image and, if that worked, the app's next release."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

import structlog
from django.conf import settings
from django.db import transaction

from paas import builder, live
from paas.errors import BerthError, HostProblem
from paas.images import unpack
from paas.specs import BuildReport
from paas.worker import engine, launch, lock
from paas.worker.sandbox import BuildSandbox
from tenants.containers.models import Container
from tenants.ids import new_id
from tenants.releases import observations
from tenants.releases.models import Build

log = structlog.get_logger()
SOURCE_MAX_UNPACKED = 2 * 1024 * 1024 * 1024
SOURCE_MAX_FILES = 100_000
MOST_ATTEMPTS = 3
CANCEL_LOOK_SECONDS = 0.5


def run_build(build_id: str) -> None:
    """Claim and build; a second message for the same build finds it claimed and does nothing."""
    with lock.held(f"build-{build_id}") as mine:
        if not mine:
            return
        build = observations.claim_build(build_id, new_id())
        if build is not None:
            _build(build)


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


def clear_containers(build: Build) -> None:
    rows = build.containers.exclude(status=Container.Status.STOPPED).select_related("tenant")
    for row in rows:
        launch.take_down(row, reason="its build was interrupted")


def _build(build: Build) -> None:
    folder = settings.PATHS.work / build.pk
    path = settings.PATHS.build_log(build.pk)
    with BuildLog(path) as write:
        try:
            report = _make(build, folder, write)
        except builder.BuildCancelled:
            write(b"\nCancelled.\n")
            observations.build_cancelled(build)
        except BerthError as error:
            write.error(error)
            observations.build_failed(build, error.as_dict())
        except Exception:
            # Anything else is our own mistake: the owner is told so, the log has the trace.
            ours = HostProblem("the build failed inside Berth", hint="tell the administrator the build's id")
            write.error(ours)
            observations.build_failed(build, ours.as_dict())
            raise
        else:
            _succeed(build, report, write)
        finally:
            clear_containers(build)
            shutil.rmtree(folder, ignore_errors=True)
            live.changed(build.app.tenant_id, build.app_id, "build")


@transaction.atomic
def _succeed(build: Build, report: BuildReport, write: BuildLog) -> None:
    """The log's last line is there before anybody can see that the build has ended: followers stop then."""
    release = observations.build_succeeded(build, report)
    outcome = f"released as v{release.version}" if release else "not released: a later deploy came first"
    write(f"Built {report.image.digest[:19]}, {outcome}.\n".encode())


def _make(build: Build, folder: Path, write: BuildLog) -> BuildReport:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started = time.monotonic()
    unpacked = unpack(
        settings.PATHS.sources / build.source_id,
        cast(Literal["tar.gz", "zip"], build.source.kind),
        folder / "source",
        max_bytes=SOURCE_MAX_UNPACKED,
        max_files=SOURCE_MAX_FILES,
    )
    write(f"Source {build.source.digest[:19]}: {unpacked.files} files, {unpacked.bytes:,} bytes.\n".encode())
    cancelled = _cancel_check(build)
    report = builder.build(
        folder / "source",
        tenant_id=build.app.tenant_id,
        stage=build.app.stage,
        store=engine.store(),
        sandbox=BuildSandbox(build, cancelled=cancelled),
        log=write,
        cancelled=cancelled,
        base_image=settings.BASE_IMAGE,
    )
    write(f"Finished in {time.monotonic() - started:.1f} s.\n".encode())
    return report


def _cancel_asked(build: Build) -> bool:
    return Build.objects.filter(pk=build.pk, cancel_asked_at__isnull=False).exists()


def _cancel_check(build: Build) -> Callable[[], bool]:
    """Asks the database at most twice a second."""
    looked, answer = 0.0, False

    def cancelled() -> bool:
        nonlocal looked, answer
        if time.monotonic() - looked > CANCEL_LOOK_SECONDS:
            looked, answer = time.monotonic(), _cancel_asked(build)
        return answer

    return cancelled


class BuildLog:
    """The build's log file, unbuffered so that followers see each line; readable by the web process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> BuildLog:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("wb", buffering=0)
        shutil.chown(self._path, group=settings.GROUP)
        self._path.chmod(0o640)
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def __call__(self, data: bytes) -> None:
        self._file.write(data)

    def error(self, error: BerthError) -> None:
        hint = f"\nHint: {error.hint}" if error.hint else ""
        self(f"\nError: {error.summary}{hint}\n".encode())
