"""The image store's upkeep: what is kept, what of it belongs to whom, pruning, and mending."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db.models import Min
from django.utils import timezone

from paas.errors import BerthError, HostProblem
from paas.images import Damage, PruneReport, Store
from paas.images.usage import Owner, Share, shares
from paas.worker import disk, engine, jobs, lock
from paas.worker import kept as held
from tenants.accounts.models import User
from tenants.containers.models import Container
from tenants.releases import observations as releases
from tenants.releases.actions import build_again
from tenants.releases.kept import kept_of_all
from tenants.releases.models import Build, Release
from tenants.store import observations
from tenants.store.actions import ask_by_itself
from tenants.store.models import GOING, Upkeep, Use

log = structlog.get_logger()
# A build or a pull that is under way has made layers that no row names yet, and ends within its own time limit.
GRACE_SECONDS = 2 * 3600.0
STEP_SECONDS = 7 * 86400.0
# Beside its time limit: until a build that is under way has ended and its release's row is there.
_ENDS_WITHIN = 600.0
BASES = "*"  # owns the layers of base images, so that they are unique to nobody
AGAIN = timedelta(hours=20)
AGAIN_WHEN_FULL = timedelta(hours=1)
_OURS = HostProblem("it failed inside Berth", hint="look at the worker's log")
_KINDS = {1: Use.Kind.TENANT, 2: Use.Kind.APP, 3: Use.Kind.RELEASE}


@dataclass(frozen=True, slots=True)
class Kept:
    """Images by digest and layers by DiffID that must stay."""

    images: frozenset[str]
    layers: frozenset[str]


def kept() -> Kept:
    """What a release that may run again, or a container that runs now, needs."""
    rows = [release for _, found in kept_of_all() for release in found]
    running = Container.objects.exclude(status=Container.Status.STOPPED).exclude(release=None)
    rows += Release.objects.filter(pk__in=running.values("release_id")).only("pk", "image")
    layers = (layer for row in rows for layer in row.image["layers"])
    return Kept(frozenset(row.image["digest"] for row in rows), frozenset(layers))


def to_be_whole() -> frozenset[str]:
    """Images of which nothing may be missing: of what serves, and of releases that may run again. One whose
    layers are lost was told of once."""
    rows = [(app, row) for app, found in kept_of_all() for row in found]
    return frozenset(
        row.image["digest"] for app, row in rows if row.pk == app.serving_release_id or not row.image_gone
    )


def owned_layers() -> dict[Owner, Iterable[str]]:
    """Of each release that is kept, by (tenant, app, release)."""
    return {
        (app.tenant_id, app.pk, row.pk): row.image["layers"] for app, found in kept_of_all() for row in found
    }


def observe() -> None:
    """Sizes, shares and which images are gone into rows, for pages."""
    store = engine.store()
    releases.images_seen(_gone(store))
    sizes = store.sizes()
    owned = owned_layers()
    unshared = sum(sizes.layers.get(layer, 0) for found in owned.values() for layer in found)
    for name, digest in store.tags().items():
        if store.is_complete(digest):
            owned[BASES, BASES, name] = store.image(digest).layers
    found = shares(owned, sizes.layers)
    observations.seen(
        {
            "layers": len(sizes.layers),
            "layer_bytes": sum(sizes.layers.values()),
            "blobs": sizes.blobs,
            "blob_bytes": sizes.blob_bytes,
            "unshared_bytes": unshared,
        },
        [_use(owner, share) for owner, share in found.items() if owner[0] != BASES],
    )


def _gone(store: Store) -> set[str]:
    """Releases whose image has a layer that is not here."""
    images = dict(Release.objects.values_list("pk", "image__layers"))
    gone = {layer for layer in {d for layers in images.values() for d in layers} if not store.has_layer(layer)}
    return {pk for pk, layers in images.items() if not gone.isdisjoint(layers)}


def _use(owner: tuple[str, ...], share: Share) -> Use:
    kind = _KINDS[len(owner)]
    return Use(kind=kind, owner_id=owner[-1], bytes=share.bytes, unique_bytes=share.unique)


# --- what is asked for
def settle(upkeep_id: str) -> None:
    """Do what was asked. A second message for it finds it claimed and does nothing."""
    with jobs.claimed("upkeep", upkeep_id, observations.claim) as row:
        if row is not None:
            with jobs.told(partial(observations.failed, row), _OURS):
                observations.done(row, _report(row))


def requeue_interrupted() -> list[str]:
    """Waiting rows whose message may be lost, and running ones whose worker died."""
    again = []
    for row in Upkeep.objects.filter(status__in=GOING):
        if row.status == Upkeep.Status.QUEUED or (
            lock.is_free(f"upkeep-{row.pk}") and observations.interrupted(row)
        ):
            again.append(row.pk)
    return again


def _report(row: Upkeep) -> dict[str, Any]:
    if row.kind in (Upkeep.Kind.LOOK, Upkeep.Kind.PRUNE):
        report = prune(dry_run=row.kind == Upkeep.Kind.LOOK)
    else:
        report = check(mend=row.kind == Upkeep.Kind.MEND, actor=row.created_by)
    observe()
    return report


def prune(*, dry_run: bool) -> dict[str, Any]:
    """On a disk that is almost full, nothing stays but what is needed and what builds under way have made."""
    needed, (step_age, grace) = kept(), _ages()
    report = engine.store().prune(
        needed.images,
        keep_layers=needed.layers,
        dry_run=dry_run,
        step_age=step_age,
        grace=grace,
        hurried=held.hurried(),
    )
    return {**_numbers(report), "kept_images": len(needed.images)}


def _ages() -> tuple[float, float]:
    """In seconds: how long a build step stays that nobody uses, and what nothing refers to."""
    if not disk.is_almost_full():
        return STEP_SECONDS, GRACE_SECONDS
    # A clock that was set on makes what a build under way made older than any build can be: so is the build.
    first = Build.objects.filter(status=Build.Status.RUNNING).aggregate(at=Min("started_at"))["at"]
    age = (timezone.now() - first).total_seconds() if first else 0.0
    short = max(settings.BUILD_SECONDS, age) + _ENDS_WITHIN
    return short, short


def _numbers(report: PruneReport) -> dict[str, Any]:
    found = asdict(report)
    return {**found, "layers": len(report.layers), "blobs": len(report.blobs)}


def check(*, mend: bool, actor: User | None) -> dict[str, Any]:
    """Apps that serve what is lost are built again in the name of who asked, if that person is still known."""
    damage = engine.store().fsck(to_be_whole(), mend=mend)
    lost = [one for one in damage if one.outcome == "removed"]
    return {
        "damage": [describe(one) for one in damage],
        "mended": sum(one.outcome in ("rebuilt", "fetched") for one in damage),
        "lost": len(lost),
        "building": _built_again(lost, actor) if actor else [],
    }


def _built_again(lost: Iterable[Damage], actor: User) -> list[str]:
    """The releases whose source is being built, as "tenant/app v3". Whoever has none, or a commit in its image,
    is told of the damage."""
    serving = {row.pk: row for one in lost for row in _concerned(one) if row.status == Release.Status.LIVE}
    begun = []
    for release in serving.values():
        with suppress(BerthError):
            build_again(actor=actor, release=release)
            begun.append(f"{release.app} {release}")
    return begun


def describe(damage: Damage) -> dict[str, Any]:
    """With the releases that have the layer or the image, as "tenant/app v3"."""
    return {**asdict(damage), "releases": [f"{row.app} {row}" for row in _concerned(damage)]}


def _concerned(damage: Damage) -> list[Release]:
    rows = Release.objects.select_related("app__tenant").defer("config").order_by("app_id", "-version")
    return [
        row
        for row in rows
        if row.image["digest"] in (damage.id, *damage.images) or damage.id in row.image["layers"]
    ]


# --- by itself
def at_night(now: datetime, disk_used: float) -> None:
    """Ask for a prune when the disk, or what a tenant may keep, is filling up; `disk_used` in percent."""
    last = Upkeep.objects.filter(kind=Upkeep.Kind.PRUNE).order_by("-created_at").first()
    since = now - last.created_at if last else None
    full = bool(held.almost_full()) and (since is None or since >= AGAIN_WHEN_FULL)
    if (full or is_due(now, disk_used, since)) and ask_by_itself():
        log.info("store.prune_by_itself", disk_used=round(disk_used))


def is_due(now: datetime, disk_used: float, since: timedelta | None) -> bool:
    """Pure. In the hour of the night above the threshold, once; at any hour when the disk is almost full.

    `since` is the time since the last prune; a clock that was set back makes it negative, which is recent.
    """
    if disk_used >= disk.ALMOST_FULL:
        return since is None or since >= AGAIN_WHEN_FULL
    is_night = now.hour == settings.PRUNE_HOUR
    return is_night and disk_used >= settings.PRUNE_ABOVE and (since is None or since >= AGAIN)
