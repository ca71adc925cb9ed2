"""Releases and builds of an app that access to was already granted; anything nested elsewhere is not found."""

from __future__ import annotations

from paas.errors import NotFound
from tenants.apps.models import App
from tenants.releases.models import Build, Release

LARGEST_VERSION = 2**31 - 1


def release_for(app: App, version: int) -> Release:
    found = app.releases.filter(version=version).first() if 0 < version <= LARGEST_VERSION else None
    if found is None:
        raise NotFound(f"{app} has no release v{version}", hint="Look at the list of its releases.")
    return found


def build_for(app: App, build_id: str) -> Build:
    found = app.builds.select_related("source", "created_by").filter(pk=build_id).first()
    if found is None:
        raise NotFound(f"{app} has no build {build_id!r}", hint="Look at the list of its builds.")
    return found
