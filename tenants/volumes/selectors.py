"""Volumes for pages, the API and whoever is about to lose some."""

from __future__ import annotations

from dataclasses import dataclass

from paas.errors import NotFound
from tenants.apps.models import App
from tenants.volumes.models import Volume

_PRESENT = ("pending", "starting", "live")


@dataclass(frozen=True, slots=True)
class Shown:
    """`path` is where the present release mounts it, or where the last one did that had it."""

    volume: Volume
    path: str
    mounted: bool


def volumes(app: App) -> list[Shown]:
    """All that the app has, by name; not those that are being deleted."""
    paths = mounted(app)
    rows = app.volumes.filter(delete_asked_at=None)
    return [Shown(row, paths.get(row.name, row.path), row.name in paths) for row in rows]


def mounted(app: App) -> dict[str, str]:
    """Name -> path of what the release that serves, or one on its way there, mounts. Releases are to the right
    of this folder, and asked by the name of their rows."""
    found: dict[str, str] = {}
    for release in app.releases.filter(status__in=_PRESENT).order_by("version").only("volumes"):
        found |= dict(release.volumes)
    return found


def volume_for(app: App, name: str) -> Volume:
    """Of an app that access to was already granted."""
    found = app.volumes.filter(name=name, delete_asked_at=None).first()
    if found is None:
        raise NotFound(f"{app} has no volume {name[:40]!r}", hint="Look at the list of its volumes.")
    return found
