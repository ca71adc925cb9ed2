"""A deploy of what was built before: by what, and whether that is so still.

The outcome is that of making it, when every step would be found in the cache. So the former build says what
decided it: the source's bytes and all else that goes into `key_of`, and the images that it is made from, whose
names must mean the same today. One that asked a registry, gave a step a secret, or was itself answered so,
answers none; and none does for longer than a day, so that the cache's steps do not grow old unused. Where that
outcome serves already there is nothing to do at all.

A worker who answers looks whether the image is whole (paas.worker.unchanged). Rows alone may answer where no
prune takes it: should it be damaged, the roll-out fails, a row says so from then on and the next deploy builds.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from paas import __version__
from paas.errors import BadInput
from paas.oci.reference import tag_file
from paas.paths import CODE_DIGEST
from paas.specs import BuildReport
from tenants.apps.models import App
from tenants.releases import serial
from tenants.releases.kept import is_kept
from tenants.releases.models import Build, Release, Source

FRESH = timedelta(days=1)
_UNDER_WAY = (Build.Status.QUEUED, Build.Status.RUNNING)
_READY = {"ready": True, "status__in": ("running", "sleeping")}  # a container of those that serve


def _code() -> str:
    """Which Berth this is, to the byte, where it was installed by bin/up."""
    marker: Path = settings.BASE_DIR / CODE_DIGEST
    return marker.read_text() if marker.exists() else __version__


_CODE = _code()  # now, of what this process runs: it may have been replaced by the time that somebody builds


def key_of(app: App, source: Source) -> str:
    """SHA-256 in hexadecimal of all that decides a build, but the images that it is made from."""
    parts = {
        "code": _CODE,
        "source": [source.kind, source.digest],
        "stage": app.stage,
        "suite": settings.BASE_SUITE,
        "env": [settings.BUILD_ENV, settings.BUILD_CA_BUNDLE],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def former(app: App, key: str) -> Release | None:
    """The release of the app's build that may answer one with this key."""
    now = timezone.now()
    return (
        Release.objects.filter(app=app, cause=Release.Cause.DEPLOY, image_gone=False)
        .filter(build__key=key, build__status=Build.Status.SUCCEEDED, build__unchanged_since=None)
        .filter(build__finished_at__range=(now - FRESH, now))
        .select_related("build")
        .defer("config")
        .first()
    )


def serving(app: App, digest: str) -> Release | None:
    """The newest release, where it serves what a build of a source with this digest would give: then nothing is
    to be done. Whatever a person chose since (a config var, a count, another image) is a release of its own,
    newer than it; a build that is under way may yet become one. One whose containers are not all ready does not
    serve: who deploys it again wants it started."""
    rows = app.releases.select_related("build__source", "build__created_by")
    newest = rows.defer("config", "build__recipe").first()
    if newest is None or newest.status != Release.Status.LIVE or newest.image_gone or newest.commit:
        return None
    made, now = newest.build, timezone.now()
    if made is None or made.finished_at is None or not now - FRESH <= made.finished_at <= now:
        return None
    if made.source.digest != digest or made.key != key_of(app, made.source) or not _stands_on_the_same(made):
        return None
    wanted = sum(process["count"] for process in newest.processes)
    if newest.containers.filter(**_READY).count() < wanted or app.builds.filter(status__in=_UNDER_WAY).exists():
        return None
    return newest


def by_rows(app: App, source: Source) -> BuildReport | None:
    """What a build of the source gives; None where a worker has to look. Under the app's lock, so that no later
    image pushes this one out before its next release is there."""
    release = former(app, key_of(app, source))
    if release is None or release.build is None or not is_kept(release):
        return None
    return report(release) if _stands_on_the_same(release.build) else None


def _stands_on_the_same(build: Build) -> bool:
    return all(_meaning(name) == digest for name, digest in build.bases or ())


def _meaning(name: str) -> str:
    """The digest of the base image that is called so today; "" for none."""
    try:
        return str((settings.PATHS.store_names / tag_file(name)).read_text())
    except (BadInput, OSError):
        return ""


def report(release: Release) -> BuildReport:
    """The same again. Counts are those of the release: what a person chose since is laid over them, as ever."""
    made = release.build
    assert made is not None
    return BuildReport(
        image=serial.image(release),
        processes=serial.processes(release),
        health=serial.health(release),
        env=tuple(release.defaults.items()),
        builder=made.builder,
        builder_version=made.builder_version,
        base=made.base,
        steps_total=made.steps_total,
        steps_cached=made.steps_total,
        release_command=tuple(release.release_command),
        volumes=tuple((name, path) for name, path in release.volumes),
        bases=tuple((name, digest) for name, digest in made.bases or ()),
        is_repeatable=True,
        unchanged_since=release.version,
        recipe=serial.recipe(made),
    )
