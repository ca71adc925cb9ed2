"""The image store for pages and the API."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import QuerySet

from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.releases.kept import kept_releases
from tenants.store.models import GOING, Size, Upkeep, Use


def size() -> Size | None:
    """None until the worker has looked once."""
    return Size.objects.first()


def latest(kinds: Iterable[Upkeep.Kind]) -> Upkeep | None:
    """The last of these that came to an end."""
    return Upkeep.objects.filter(kind__in=kinds).exclude(status__in=GOING).select_related("created_by").first()


def going() -> list[Upkeep]:
    return list(Upkeep.objects.filter(status__in=GOING))


def history(limit: int = 20) -> QuerySet[Upkeep]:
    return Upkeep.objects.select_related("created_by")[:limit]


def use_of(app: App) -> Use | None:
    return Use.objects.filter(kind=Use.Kind.APP, owner_id=app.pk).first()


def kept_of(app: App) -> list[tuple[int, Use | None]]:
    """(version, use) of the releases whose images are kept, newest first; None until the worker has looked."""
    unseen: dict[int, Use | None] = {release.version: None for release in kept_releases(app)}
    return sorted((unseen | dict(releases_of(app))).items(), reverse=True)


def releases_of(app: App) -> list[tuple[int, Use]]:
    """(version, use) of the releases whose images were kept when the worker looked, newest first."""
    versions = dict(app.releases.values_list("pk", "version"))
    rows = Use.objects.filter(kind=Use.Kind.RELEASE, owner_id__in=versions)
    return sorted(((versions[row.owner_id], row) for row in rows), key=lambda found: -found[0])


def largest(limit: int = 10) -> list[tuple[Tenant, Use]]:
    """Tenants by what only they have: what a prune of theirs could free."""
    rows = list(
        Use.objects.filter(kind=Use.Kind.TENANT).order_by("-unique_bytes", "-bytes", "owner_id")[:limit]
    )
    tenants = Tenant.objects.in_bulk([row.owner_id for row in rows])
    return [(tenants[row.owner_id], row) for row in rows if row.owner_id in tenants]
