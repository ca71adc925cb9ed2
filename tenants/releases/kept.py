"""Which releases of an app may run again: their images stay, and the builds that tell where those are from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from django.conf import settings

from tenants.apps.models import App
from tenants.releases.models import Release

_UNDER_WAY = (Release.Status.PENDING, Release.Status.STARTING)
_LOOKED_AT = ("pk", "app_id", "version", "image", "image_gone", "status", "live_at", "build_id")


def kept_releases(app: App) -> list[Release]:
    """The serving one, what is under way, the newest, and all that have one of the last images to be live."""
    return _kept(app, app.releases.only(*_LOOKED_AT))


def kept_of_all() -> Iterator[tuple[App, list[Release]]]:
    """The same of every app that has a release, by one query."""
    apps = App.objects.in_bulk()
    rows = Release.objects.order_by("app_id", "-version").only(*_LOOKED_AT).iterator()
    for app_id, of_app in groupby(rows, key=lambda row: row.app_id):
        if app_id in apps:  # otherwise it was made meanwhile
            yield apps[app_id], _kept(apps[app_id], of_app)


def _kept(app: App, newest_first: Iterable[Release]) -> list[Release]:
    found: dict[str, Release] = {}
    images: set[str] = set()
    for number, row in enumerate(newest_first):
        needed = number == 0 or row.pk == app.serving_release_id or row.status in _UNDER_WAY
        digest = row.image["digest"]
        if row.live_at and (digest in images or len(images) < settings.KEPT_IMAGES):
            images.add(digest)
            needed = True
        if needed:
            found[row.pk] = row
    return list(found.values())


def is_kept(release: Release) -> bool:
    """Whether it is among these for its image, without a look at all of them. It was for every prune that began
    since it went live: only images that are live later push it out."""
    if release.live_at is None:
        return False
    later = Release.objects.filter(app=release.app_id, version__gt=release.version).exclude(live_at=None)
    others = later.exclude(image__digest=release.image["digest"]).values("image__digest").distinct()
    return others.count() < settings.KEPT_IMAGES
