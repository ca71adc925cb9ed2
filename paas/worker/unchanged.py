"""A build of what was built before: its image is there, so nothing is unpacked, planned or looked for.

The outcome is that of making it, when every step would be found in the cache. So the former build says what
decided it: the source's bytes and all else that goes into `key_of`, and the images that it is made from, whose
names must mean the same today. One that asked a registry, gave a step a secret, or was itself answered so,
answers none; and none does for longer than a day, so that the cache's steps do not grow old unused.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from paas import __version__
from paas.errors import BerthError
from paas.images import Store
from paas.paths import CODE_DIGEST
from paas.specs import BuildReport
from paas.worker.sandbox import operator_env
from tenants.releases import serial
from tenants.releases.models import Build, Release

FRESH = timedelta(days=1)


def _code() -> str:
    """Which Berth this is, to the byte, where it was installed by bin/up."""
    marker: Path = settings.BASE_DIR / CODE_DIGEST
    return marker.read_text() if marker.exists() else __version__


_CODE = _code()  # now, of what this process runs: it may have been replaced by the time that somebody builds


def key_of(build: Build) -> str:
    """SHA-256 in hexadecimal of all that decides a build, but the images that it is made from."""
    parts = {
        "code": _CODE,
        "source": [build.source.kind, build.source.digest],
        "stage": build.app.stage,
        "suite": settings.BASE_SUITE,
        "env": operator_env(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def report_of(build: Build, store: Store, key: str) -> tuple[Build, BuildReport] | None:
    """The build of this app that answers this one, and what this one gives then; None if it has to be made."""
    now = timezone.now()
    release = (
        Release.objects.filter(app=build.app_id, cause=Release.Cause.DEPLOY, image_gone=False)
        .filter(build__key=key, build__status=Build.Status.SUCCEEDED)
        .filter(build__finished_at__range=(now - FRESH, now))
        .select_related("build")
        .defer("config")
        .first()
    )
    if release is None or release.build is None or not _stands(store, release):
        return None
    return release.build, _again(release.build, release)


def _stands(store: Store, release: Release) -> bool:
    """Whether its image is here, with all that it needs, and would stand on the same images today."""
    assert release.build is not None
    image = serial.image(release)
    try:
        for name, digest in release.build.bases or ():
            if store.resolve(name) != digest or not store.is_complete(digest):
                return False
        return store.use_image(image) and store.image(image.digest) == image
    except BerthError:  # of a name, a document or a layer: whoever builds it tells what is wrong
        return False


def _again(former: Build, release: Release) -> BuildReport:
    """Counts are those of the release: what a person chose since is laid over them, as ever."""
    return BuildReport(
        image=serial.image(release),
        processes=serial.processes(release),
        health=serial.health(release),
        env=tuple(release.defaults.items()),
        builder=former.builder,
        builder_version=former.builder_version,
        base=former.base,
        steps_total=former.steps_total,
        steps_cached=former.steps_total,
        release_command=tuple(release.release_command),
        volumes=tuple((name, path) for name, path in release.volumes),
    )
