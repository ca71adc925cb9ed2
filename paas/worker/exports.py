"""Releases' images as files to download. A file is there only while its row says so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from django.conf import settings

from paas.builder import BuildCancelled, demand_wanted
from paas.errors import HostProblem, Refused
from paas.images.durable import room_for
from paas.worker import disk, engine, jobs
from paas.worker.provenance import said_of
from tenants.registries import observations
from tenants.registries.models import GOING, Export, Push

_OURS = HostProblem("the export failed inside Berth", hint="export it again")


def settle(export_id: str) -> None:
    """Write what was asked. A second message for it finds it claimed and does nothing."""
    with jobs.claimed("export", export_id, observations.claim_export) as export:
        if export is not None:
            with jobs.told(partial(observations.failed, export), _OURS):
                try:
                    observations.exported(export, _write(export))
                except BuildCancelled:
                    observations.cancelled(export)


def requeue_interrupted() -> list[str]:
    going = Export.objects.filter(status__in=GOING).select_related("app__tenant")
    return jobs.requeue_interrupted(
        "export", going, interrupted=observations.interrupted, failed=observations.failed
    )


def clear() -> None:
    """Files that no export has (any more): it was kept long enough, made room, or went with its app."""
    observations.forget_exports()
    folder: Path = settings.PATHS.exports
    there = list(folder.iterdir()) if folder.is_dir() else []
    if not there:
        return
    ended = (Push.Status.FAILED, Push.Status.CANCELLED)
    wanted = set(Export.objects.exclude(status__in=ended).values_list("pk", flat=True))
    for path in there:
        if path.name.removeprefix(".") not in wanted:
            path.unlink(missing_ok=True)


def _write(export: Export) -> int:
    """Its size. Under its own name only when it is whole."""
    disk.demand_room("the export")
    app, part = export.app, settings.PATHS.exports / f".{export.pk}"
    name = f"{app.tenant.slug}/{app.name}:{export.release}"
    try:
        with room_for("the export"), part.open("wb") as file:
            os.fchmod(file.fileno(), 0o640)
            shutil.chown(part, group=settings.GROUP)
            target = _Limited(cast(BinaryIO, file), app.tenant.disk_bytes, jobs.CancelAsked(export))
            said = said_of(export.release)
            digest = export.release.image["digest"]
            engine.store().save_archive(digest, cast(BinaryIO, target), name=name, said=said)
            file.flush()
            os.fsync(file.fileno())
        part.rename(settings.PATHS.exports / export.pk)
    finally:
        part.unlink(missing_ok=True)
    return target.size


class _Limited:
    """A file that takes so many bytes: it is on the host's disk, which is not the tenant's to fill. It takes
    none once it is `cancelled`."""

    def __init__(self, file: BinaryIO, most: int, cancelled: Callable[[], bool]) -> None:
        self._file, self._most, self._cancelled, self.size = file, most, cancelled, 0

    def write(self, data: bytes) -> int:
        demand_wanted(self._cancelled)
        self.size += len(data)
        if self.size > self._most:
            raise Refused(
                "the image is larger than the tenant's disk",
                hint="push it to a registry, or ask an administrator for a larger disk",
            )
        return self._file.write(data)
