"""What is true of builds and releases now. Only the worker writes here, each time on a condition: a row that
moved on meanwhile is left alone and the answer is False (or None)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from paas.errors import NotFound
from paas.live import changed
from paas.specs import BuildReport, ImageSpec
from tenants.apps.models import App
from tenants.releases import config_vars
from tenants.releases import next as following
from tenants.releases.kept import kept_releases
from tenants.releases.models import Build, Release
from tenants.releases.serial import to_json

_UNDER_WAY = (Release.Status.PENDING, Release.Status.STARTING)


# --- builds
@transaction.atomic
def claim_build(build_id: str, claim: str) -> Build | None:
    """queued -> running, for one worker only. None if it is another's, was cancelled, or its app is gone."""
    wanted = Exists(App.objects.filter(pk=OuterRef("app_id"), destroyed_at=None))
    queued = Build.objects.filter(wanted, pk=build_id, status=Build.Status.QUEUED, cancel_asked_at=None)
    claimed = {"status": Build.Status.RUNNING, "claim": claim, "started_at": timezone.now()}
    if not queued.update(**claimed, attempts=F("attempts") + 1):
        return None
    build = Build.objects.select_related("app__tenant", "source", "created_by").get(pk=build_id)
    changed(build.app.tenant_id, build.app_id, "build")
    return build


def requeue(build: Build) -> bool:
    """A running build whose worker died is queued again; cancelled if that was asked for."""
    if build.cancel_asked_at is not None:
        build_cancelled(build)
        return False
    return _end_claim(build, status=Build.Status.QUEUED, claim="", started_at=None)


def build_failed(build: Build, error: dict[str, Any]) -> bool:
    return _end_claim(build, status=Build.Status.FAILED, error=error, finished_at=timezone.now())


def build_cancelled(build: Build) -> bool:
    return _end_claim(build, status=Build.Status.CANCELLED, finished_at=timezone.now())


def cancelled_while_queued(build: Build) -> bool:
    queued = Build.objects.filter(pk=build.pk, status=Build.Status.QUEUED)
    return bool(queued.update(status=Build.Status.CANCELLED, finished_at=timezone.now()))


@transaction.atomic
def build_succeeded(build: Build, report: BuildReport, *, key: str = "") -> Release | None:
    """running -> succeeded, and the app's next release. With a `key`, later builds may be answered by this one.

    None if the claim was lost, the app is gone, or a build that was asked for later has a release already:
    of two deploys at once the later wins, whichever is built faster.
    """
    try:
        app = following.lock(build.app)
    except NotFound:
        return None
    done = _made(report, key)
    if not _end_claim(build, status=Build.Status.SUCCEEDED, finished_at=timezone.now(), **done):
        return None
    if app.releases.filter(build__created_at__gt=build.created_at, cause=Release.Cause.DEPLOY).exists():
        return None
    return release_built(app, build, report)


def answered(report: BuildReport, key: str) -> dict[str, Any]:
    """Columns of a build that no worker has to make: its release is made in the same transaction."""
    now = timezone.now()
    at = dict.fromkeys(("created_at", "started_at", "finished_at"), now)
    return {"status": Build.Status.SUCCEEDED, **at, **_made(report, key)}


def _made(report: BuildReport, key: str) -> dict[str, Any]:
    """Columns of its build."""
    names = ("builder", "builder_version", "base", "steps_total", "steps_cached", "unchanged_since")
    made = {name: getattr(report, name) for name in names}
    return {
        **made,
        "bases": [list(pair) for pair in report.bases],
        "recipe": to_json(report.recipe) if report.recipe else None,
        **({"key": key} if report.is_repeatable else {}),
    }


def release_built(app: App, build: Build, report: BuildReport) -> Release:
    """In the caller's transaction and under `lock(app)`."""
    defaults = dict(report.env)
    return following.release(
        app,
        actor=build.created_by,
        cause=Release.Cause.DEPLOY,
        note=f"Deploy {build.source.name or build.source.digest[:19]}",
        build=build,
        image=to_json(report.image),
        processes=following.counted([to_json(p) for p in report.processes], app.formation),
        health=to_json(report.health),
        release_command=list(report.release_command),
        volumes=[list(volume) for volume in report.volumes],
        defaults=defaults,
        config=following.config_of(app, defaults),
    )


@transaction.atomic
def _end_claim(build: Build, **columns: Any) -> bool:
    """Only the worker that holds the claim may end it."""
    mine = Build.objects.filter(pk=build.pk, status=Build.Status.RUNNING, claim=build.claim)
    if not mine.update(**columns):
        return False
    for name, value in columns.items():
        setattr(build, name, value)
    changed(build.app.tenant_id, build.app_id, "build")
    return True


def builds_beyond_history(app: App, kept: int) -> QuerySet[Build]:
    """Builds of the app that ended and that its history has no room for: the oldest, but none that a release
    which may run again comes from."""
    needed = {release.build_id for release in kept_releases(app)} - {None}
    past = app.builds.exclude(status__in=(Build.Status.QUEUED, Build.Status.RUNNING))
    beyond = past.order_by("-created_at", "pk").values_list("pk", flat=True)[kept:]
    return app.builds.filter(pk__in=set(beyond) - needed).select_related("source")


@transaction.atomic
def forget_build(build: Build) -> bool:
    """Its row, and its source's where no other build has it; True if the source went. Releases stay."""
    source = build.source
    build.delete()
    if source.builds.exists():
        return False
    source.delete()
    return True


# --- releases
@transaction.atomic
def release_starting(app: App, release: Release) -> bool:
    """pending -> starting; releases before it that were never live will not be."""
    older = app.releases.filter(status__in=_UNDER_WAY, version__lt=release.version)
    if older.update(status=Release.Status.SUPERSEDED):
        changed(app.tenant_id, app.pk, "release")
    return _move(release, (Release.Status.PENDING,), status=Release.Status.STARTING)


@transaction.atomic
def release_serving(release: Release) -> bool:
    """Traffic is about to go to it; it is live once the router has taken that."""
    app = App.objects.select_for_update(no_key=True).filter(pk=release.app_id, destroyed_at=None).first()
    if app is None or not app.releases.filter(pk=release.pk, status__in=_UNDER_WAY).exists():
        return False
    _serve(app, release)
    return True


@transaction.atomic
def release_live(release: Release) -> bool:
    """starting -> live: traffic goes to it from now on, and the one before is retired.

    A rollback brings its config vars now: while it could fail, the app's were those of what serves.
    """
    brings_config = release.brings_config
    app = App.objects.select_for_update(no_key=True).filter(pk=release.app_id, destroyed_at=None).first()
    if app is None or app.releases.filter(status=Release.Status.LIVE, version__gt=release.version).exists():
        return False
    live = {"status": Release.Status.LIVE, "live_at": timezone.now(), "error": None, "brings_config": False}
    if not _move(release, _UNDER_WAY, **live):
        return False
    if brings_config:
        config_vars.put(app, config_vars.of_release(release))
    app.releases.filter(status=Release.Status.LIVE).exclude(pk=release.pk).update(status=Release.Status.RETIRED)
    _serve(app, release)
    return True


def _serve(app: App, release: Release) -> None:
    private = any(process["name"] == "web" and process.get("private", False) for process in release.processes)
    App.objects.filter(pk=app.pk).update(serving_release_id=release.pk, is_private=private)


@transaction.atomic
def release_committed(release: Release, image: ImageSpec) -> bool:
    """The image of a release that a container's changes were to become.

    Under the app's lock: a release based on this one takes either the image, or the container to commit.
    """
    App.objects.select_for_update(no_key=True).filter(pk=release.app_id).first()
    return _move(release, _UNDER_WAY, image=to_json(image), committed_from="")


def release_failed(release: Release, error: dict[str, Any]) -> bool:
    return _move(release, _UNDER_WAY, status=Release.Status.FAILED, error=error, brings_config=False)


def image_seen(release: Release, *, here: bool) -> None:
    """Of each release with that image, of this app."""
    same = release.app.releases.filter(image__digest=release.image["digest"], image_gone=here)
    if same.exists():  # seldom: most roll-outs need not wait here for another who writes
        with transaction.atomic():
            same.update(image_gone=not here)
            changed(release.app.tenant_id, release.app_id, "release")


@transaction.atomic
def images_seen(gone: Collection[str]) -> None:
    """Of every release: `gone` has the ids of those whose image is not here."""
    known = set(Release.objects.filter(image_gone=True).values_list("pk", flat=True))
    news = known.symmetric_difference(gone)
    for release in Release.objects.select_related("app").filter(pk__in=news).only("app__tenant_id", "app_id"):
        Release.objects.filter(pk=release.pk).update(image_gone=release.pk in gone)
        changed(release.app.tenant_id, release.app_id, "release")


@transaction.atomic
def _move(release: Release, expected: tuple[Release.Status, ...], **columns: Any) -> bool:
    if not Release.objects.filter(pk=release.pk, status__in=expected).update(**columns):
        return False
    for name, value in columns.items():
        setattr(release, name, value)
    changed(release.app.tenant_id, release.app_id, "release")
    return True
