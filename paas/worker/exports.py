"""Releases' images as files to download. A file is there only while its row says so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import BinaryIO, cast

from django.conf import settings

from paas.errors import BerthError, HostProblem, Refused
from paas.images.durable import room_for
from paas.worker import disk, engine, lock
from tenants.registries import observations
from tenants.registries.models import GOING, Export, Push

MOST_ATTEMPTS = 3


def settle(export_id: str) -> None:
    """Write what was asked. A second message for it finds it claimed and does nothing."""
    with lock.held(f"export-{export_id}") as mine:
        export = observations.claim_export(export_id) if mine else None
        if export is not None:
            _export(export)
    (settings.PATHS.locks / f"export-{export_id}").unlink(missing_ok=True)


def requeue_interrupted() -> list[str]:
    """Waiting exports whose message may be lost, and running ones whose worker died."""
    again = []
    for export in Export.objects.filter(status__in=GOING).select_related("app__tenant"):
        if export.status == Push.Status.QUEUED:
            again.append(export.pk)
        elif lock.is_free(f"export-{export.pk}"):
            if export.attempts >= MOST_ATTEMPTS:
                error = HostProblem("the export was interrupted again and again", hint="export it again")
                observations.failed(export, error.as_dict())
            elif observations.interrupted(export):
                again.append(export.pk)
    return again


def clear() -> None:
    """Files that no export has (any more): it was kept long enough, made room, or went with its app."""
    observations.forget_exports()
    folder: Path = settings.PATHS.exports
    there = list(folder.iterdir()) if folder.is_dir() else []
    if not there:
        return
    wanted = set(Export.objects.exclude(status=Push.Status.FAILED).values_list("pk", flat=True))
    for path in there:
        if path.name.removeprefix(".") not in wanted:
            path.unlink(missing_ok=True)


def _export(export: Export) -> None:
    try:
        observations.exported(export, _write(export))
    except BerthError as error:
        observations.failed(export, error.as_dict())
    except Exception:
        ours = HostProblem("the export failed inside Berth", hint="export it again")
        observations.failed(export, ours.as_dict())
        raise


def _write(export: Export) -> int:
    """Its size. Under its own name only when it is whole."""
    disk.demand_room("the export")
    app, part = export.app, settings.PATHS.exports / f".{export.pk}"
    name = f"{app.tenant.slug}/{app.name}:{export.release}"
    try:
        with room_for("the export"), part.open("wb") as file:
            os.fchmod(file.fileno(), 0o640)
            shutil.chown(part, group=settings.GROUP)
            target = _Limited(cast(BinaryIO, file), app.tenant.disk_bytes)
            engine.store().save_archive(export.release.image["digest"], cast(BinaryIO, target), name=name)
            file.flush()
            os.fsync(file.fileno())
        part.rename(settings.PATHS.exports / export.pk)
    finally:
        part.unlink(missing_ok=True)
    return target.size


class _Limited:
    """A file that takes so many bytes: it is on the host's disk, which is not the tenant's to fill."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most, self.size = file, most, 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        if self.size > self._most:
            raise Refused(
                "the image is larger than the tenant's disk",
                hint="push it to a registry, or ask an administrator for a larger disk",
            )
        return self._file.write(data)
