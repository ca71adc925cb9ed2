"""What people do to change what runs. Each makes a build or a release; nothing changes a running one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from paas.errors import Conflict, NotFound, Refused
from paas.live import changed
from paas.oci.reference import parse_reference
from paas.queue import wake
from paas.specs import MIB
from paas.templatetags.berth import size
from tenants.accounts.models import Tenant, User
from tenants.apps.models import App
from tenants.audit.actions import record
from tenants.checks import bad_field, one_line
from tenants.ids import new_id
from tenants.releases import config_vars, limits, observations, sources, unchanged
from tenants.releases import next as following
from tenants.releases.access import release_for
from tenants.releases.config import Changes, check_changes, check_total
from tenants.releases.formation import check_formation
from tenants.releases.models import LONGEST_NAME, Build, Release, Source
from tenants.releases.own_image import demand_own_image
from tenants.releases.room import check_formation_fits
from tenants.releases.selectors import serving_release

MOST_WAITING = 10  # builds of one app; each holds a source on the host's disk


@dataclass(frozen=True, slots=True)
class Deployed:
    """The build of what was sent. `serving` is the release that serves just that already: nothing was begun."""

    build: Build
    serving: Release | None = None


def deploy(*, actor: User, app: App, kind: str, name: str, chunks: Iterable[bytes]) -> Deployed:
    """Stream an archive to disk, then make its row and a build of it; either all are there or none. One that
    the app was sent before is not kept twice."""
    with _received(app, kind, name, chunks) as (received, shown):
        with suppress(NotFound):
            return deploy_again(actor=actor, app=app, digest=received.digest, name=shown)
        with _stored(actor, app, kind, shown, received) as source, transaction.atomic():
            _keep(app, source)
            return Deployed(_begin(actor, app, source))


def deploy_again(*, actor: User, app: App, digest: str, name: str | None = None) -> Deployed:
    """A build of a source that this app was sent before; NotFound where it was not, or is not kept. Where rows
    say what it gives, the build has succeeded and its release is there, if that does not serve already.

    Only its own are looked through: what another app was sent must not be had, or told, for a digest. With a
    `name` only one that was called so will do.
    """
    serving = unchanged.serving(app, digest)
    if serving is not None and serving.build is not None:
        return Deployed(serving.build, serving)
    same = app.sources.filter(digest=digest, **({} if name is None else {"name": name}))
    source = same.order_by("-created_at").first()
    if source is None:
        raise _not_here(app)
    with transaction.atomic():
        app = following.lock(app)
        if not sources.is_kept(source.pk):
            raise _not_here(app)
        report = unchanged.by_rows(app, source)
        if report is None:
            _check_queue(app)
            _check_kept(app)
            return Deployed(_begin(actor, app, source))
        answered = observations.answered(report, unchanged.key_of(app, source))
        build = _new_build(actor, app, source, answered)
        observations.release_built(app, build, report)
        return Deployed(build)


def _not_here(app: App) -> NotFound:
    return NotFound(f"{app} keeps no source with this digest", hint="Send the archive itself.")


def upload_source(*, actor: User, app: App, kind: str, name: str, chunks: Iterable[bytes]) -> Source:
    """The archive and its row alone."""
    with (
        _received(app, kind, name, chunks) as (received, shown),
        _stored(actor, app, kind, shown, received) as source,
        transaction.atomic(),
    ):
        _keep(app, source)
    return source


@contextmanager
def _received(
    app: App, kind: str, name: str, chunks: Iterable[bytes]
) -> Iterator[tuple[sources.Received, str]]:
    """An archive that may be kept for the app, and what it is called."""
    if kind not in sources.MAGIC:
        raise bad_field("kind", f"{kind!r} is not a kind of source", hint="Use tar.gz, tar or zip.")
    shown = one_line("name", name, 200) if name else ""
    _check_kept(app)
    with sources.received(Source.Kind(kind), chunks) as received:
        yield received, shown


@contextmanager
def _stored(actor: User, app: App, kind: str, name: str, received: sources.Received) -> Iterator[Source]:
    """A row for an archive that is on disk, and gone again where the block fails to save it."""
    pk = new_id()
    received.keep(pk)
    try:
        yield Source(
            pk=pk, app=app, kind=kind, name=name, digest=received.digest, size=received.size, created_by=actor
        )
    except BaseException:
        sources.remove(pk)
        raise


def _keep(app: App, source: Source) -> None:
    following.lock(app)
    _check_queue(app)
    Tenant.objects.filter(pk=app.tenant_id).update(store_used=F("store_used") + source.size)
    source.save(force_insert=True)


def _check_queue(app: App) -> None:
    waiting = app.builds.filter(status=Build.Status.QUEUED).count()
    if waiting >= MOST_WAITING:
        raise Conflict(f"{waiting} builds of {app} are waiting", hint="Wait for one to begin, or cancel one.")


def _check_kept(app: App) -> None:
    """As the worker saw it last, and what was uploaded since."""
    tenant = app.tenant
    if tenant.store_used >= tenant.store_bytes:
        raise Refused(
            f"{tenant} keeps {size(tenant.store_used)} of images, sources and logs on this machine, and may "
            f"keep {size(tenant.store_bytes)}",
            hint="Destroy an app that is not needed, or ask an administrator to prune the image store or to "
            "raise the quota.",
        )


@transaction.atomic
def start_build(*, actor: User, app: App, source: Source) -> Build:
    following.lock(app)
    return _begin(actor, app, source)


def _begin(actor: User, app: App, source: Source) -> Build:
    build = _new_build(actor, app, source)
    wake("build", build.pk)
    return build


def _new_build(actor: User, app: App, source: Source, observed: dict[str, Any] | None = None) -> Build:
    build = Build.objects.create(app=app, source=source, created_by=actor, **(observed or {}))
    record(
        "build.start", actor=actor, tenant_id=app.tenant_id, app_id=app.pk, build=build.pk, digest=source.digest
    )
    changed(app.tenant_id, app.pk, "build")
    return build


@transaction.atomic
def build_again(*, actor: User, release: Release) -> Build:
    """Of the source that a release was made of, whose image is lost. Conflict where there is none to be had, or
    it gives something else."""
    app, source = following.lock(release.app), release.build.source if release.build else None
    if release.commit:
        raise Conflict(
            f"the image of {app} {release} holds changes of {release.commit}, which no build makes",
            hint="Deploy the app again, and make the changes anew.",
        )
    if source is None or not (source.kind == Source.Kind.IMAGE or sources.is_kept(source.pk)):
        raise Conflict(f"the source of {app} {release} is not kept", hint="Deploy it again.")
    _check_queue(app)
    if source.kind == Source.Kind.IMAGE:
        source = _pinned(actor, app, source, release.image["digest"])
    return _begin(actor, app, source)


def _pinned(actor: User, app: App, source: Source, digest: str) -> Source:
    """The very image that was pulled: its tag, or an index, may mean another by now. A registry gives what has
    the digest, or nothing."""
    name = str(replace(parse_reference(source.name), tag="", digest=digest))
    if len(name) > LONGEST_NAME:
        raise Conflict(f"{source.name} is too long a name to have a digest in it", hint="Deploy it again.")
    return Source.objects.create(app=app, kind=source.kind, name=name, digest="", size=0, created_by=actor)


@transaction.atomic
def cancel_build(*, actor: User, build: Build) -> None:
    """A queued build ends at once, a running one soon after; Conflict when it has ended."""
    going = Build.objects.filter(pk=build.pk, status__in=(Build.Status.QUEUED, Build.Status.RUNNING))
    if not going.update(cancel_asked_at=timezone.now()):
        raise _ended(build)
    observations.cancelled_while_queued(build)
    build.refresh_from_db()
    record("build.cancel", actor=actor, tenant_id=build.app.tenant_id, app_id=build.app_id, build=build.pk)
    changed(build.app.tenant_id, build.app_id, "build")


def _ended(build: Build) -> Conflict:
    build.refresh_from_db()
    how = {Build.Status.FAILED: "it failed", Build.Status.CANCELLED: "it was cancelled"}
    release = build.releases.filter(cause=Release.Cause.DEPLOY).first()
    hint = f"{release} came of it: roll back if you want the one before." if release else "Nothing came of it."
    told = how.get(Build.Status(build.status), "it succeeded")
    return Conflict(f"this build has ended already: {told}", hint=hint)


@transaction.atomic
def rollback(*, actor: User, app: App, version: int) -> Release:
    """A new release with the code, the process types and the config of an older one.

    The config vars become those of that release once the new one is live: one that fails changes none. How
    many of each process run stays as chosen since: that is about today's traffic, not about the code.
    """
    app = following.lock(app)
    target = release_for(app, version)
    serving = following.current(app)
    if serving is not None and serving.pk == target.pk:
        raise Conflict(f"v{version} is the current release", hint="Choose an older one, or restart.")
    demand_own_image(target)
    if target.image_gone:
        raise Conflict(
            f"cannot go back to v{version}: its image is no longer kept on this machine",
            hint=f"Deploy the code again; the last {settings.KEPT_IMAGES} images of an app are kept.",
        )
    return following.release(
        app,
        actor=actor,
        cause=Release.Cause.ROLLBACK,
        note=f"Roll back to v{version}",
        based_on=target,
        processes=following.counted(target.processes, app.formation),
        brings_config=True,
    )


@transaction.atomic
def restart(*, actor: User, app: App) -> Release:
    app = following.lock(app)
    based_on = following.current(app)
    if based_on is None:
        raise Conflict(f"{app} has nothing to restart yet", hint="Deploy it first.")
    return following.release(
        actor=actor, app=app, cause=Release.Cause.RESTART, note="Restart", based_on=based_on
    )


@transaction.atomic
def scale(*, actor: User, app: App, formation: dict[str, int]) -> Release | None:
    """Process type -> count; types not named keep theirs. None if nothing runs yet, or nothing changes."""
    app = following.lock(app)
    based_on = following.current(app)
    check_formation(formation, known=[p["name"] for p in based_on.processes] if based_on else None)
    app.formation = {**app.formation, **formation}
    app.save(update_fields=["formation"])
    if based_on is None:
        note = _counts(formation)
        record("app.formation", actor=actor, tenant_id=app.tenant_id, app_id=app.pk, note=note)
        return None
    processes = following.counted(based_on.processes, formation)
    if processes == based_on.processes:
        return None
    count = sum(process["count"] for process in processes)
    if count > sum(process["count"] for process in based_on.processes):  # to fewer it may go at any time
        check_formation_fits(app, count)
    return following.release(
        app,
        actor=actor,
        cause=Release.Cause.SCALE,
        note=f"Scale {_counts(formation)}",
        based_on=based_on,
        processes=processes,
    )


def _counts(formation: dict[str, int]) -> str:
    return ", ".join(f"{name}={count}" for name, count in sorted(formation.items()))


@transaction.atomic
def right_size(*, actor: User, app: App, process: str, advice: int | None = None) -> limits.Size:
    """Give a process type the limit that is advised; `advice` is the one that the person saw. A worker holds
    what runs to it at once, unless that needs more than it now. Nothing is restarted, so it makes no
    release."""
    app = following.lock(app)
    size = _size_of(app, process)
    if size.advice is None:
        raise Conflict(
            f"there is no better limit for {process} of {app}: {_mib(size.limit)} is about right",
            hint="Advice follows what it was seen to need; look again later.",
        )
    if advice not in (None, size.advice):
        raise Conflict(
            f"the advice for {process} of {app} is another by now: {_mib(size.advice)}",
            hint="Apply that one if you want it.",
        )
    _choose_limit(actor, app, process, size, size.advice)
    return _size_of(app, process)


@transaction.atomic
def undo_right_size(*, actor: User, app: App, process: str) -> limits.Size:
    """Back to the limit that the release asks for."""
    app = following.lock(app)
    size = _size_of(app, process)
    if size.undo is None:
        raise Conflict(f"{process} of {app} has the limit of its release", hint="There is nothing to undo.")
    _choose_limit(actor, app, process, size, None)
    return _size_of(app, process)


def _size_of(app: App, process: str) -> limits.Size:
    found = {size.process: size for size in limits.sizes_of(app, serving_release(app))}
    if process not in found:
        raise NotFound(
            f"no process type {process!r} of {app} runs", hint=f"It has {', '.join(found) or 'none that run'}."
        )
    return found[process]


def _choose_limit(actor: User, app: App, process: str, size: limits.Size, memory: int | None) -> None:
    """None takes the chosen one away."""
    others = {name: own for name, own in app.limits.items() if name != process}
    app.limits = others if memory is None else {**others, process: {"memory": memory, "instead_of": size.asked}}
    App.objects.filter(pk=app.pk).update(limits=app.limits, generation=F("generation") + 1)
    facts = {"process": process, "memory": memory or size.asked, "before": size.limit}
    record("app.limit", actor=actor, tenant_id=app.tenant_id, app_id=app.pk, **facts)
    wake("reconcile", app.pk)
    changed(app.tenant_id, app.pk, "app")


def _mib(amount: int) -> str:
    return f"{amount // MIB:,} MiB"


@transaction.atomic
def set_config(*, actor: User, app: App, changes: Changes) -> Release | None:
    """Set (text) or unset (None) config vars. None if nothing runs yet, or nothing changes.

    While a rollback is under way they change those that it brings, too.
    """
    check_changes(changes)
    app = following.lock(app)
    based_on = following.current(app)
    before = config_vars.of_app(app)
    coming = config_vars.of_release(based_on) if based_on and based_on.brings_config else before
    after, released = (config_vars.with_changes(values, changes) for values in (before, coming))
    if after == before and released == coming:
        return None
    check_total(after)
    check_total(released)
    config_vars.put(app, after)
    note = _config_note(changes)
    if based_on is None:
        record("config.set", actor=actor, tenant_id=app.tenant_id, app_id=app.pk, note=note)
        return None
    return following.release(
        app,
        actor=actor,
        cause=Release.Cause.CONFIG,
        note=note,
        based_on=based_on,
        config={**based_on.defaults, **released},
    )


def _config_note(changes: Changes) -> str:
    """Keys only: notes are shown to people who may not see values."""
    put = [key for key in sorted(changes) if changes[key] is not None]
    gone = [key for key in sorted(changes) if changes[key] is None]
    parts = [f"{verb} {', '.join(keys)}" for verb, keys in (("Set", put), ("Unset", gone)) if keys]
    return "; ".join(parts)[:200]
