"""Releases without an image of their own: until its commit is made, its row has that of the one below."""

from __future__ import annotations

from paas.errors import Conflict
from tenants.releases.models import Release

_WHY = {
    Release.Status.FAILED: (
        "has no image: its commit failed",
        "Its error says why. Choose an earlier release, or commit a container that runs.",
    ),
    Release.Status.SUPERSEDED: (
        "has no image: a later release came before its commit was made",
        "Choose the later one.",
    ),
}
_UNDER_WAY = ("has no image yet: its commit is under way", "Wait until it is live.")


def has_own_image(release: Release) -> bool:
    return not release.committed_from


def demand_own_image(release: Release) -> None:
    """Conflict where it has none: what the row holds is the image of another release, without the commit."""
    if not has_own_image(release):
        what, hint = _WHY.get(Release.Status(release.status), _UNDER_WAY)
        raise Conflict(f"{release} {what}", hint=hint)
