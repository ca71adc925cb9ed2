"""Deploying an image from a registry, pushing a release's image to one or writing it to a file, and who a
tenant is there."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from paas.errors import BadInput, Conflict, Refused
from paas.live import changed
from paas.oci.reference import Reference, is_host, parse_reference
from paas.queue import wake
from tenants.accounts.models import Tenant, User
from tenants.apps.models import App
from tenants.audit.actions import record
from tenants.checks import bad_field, one_line
from tenants.registries import observations
from tenants.registries.models import GOING, Export, Login, Push
from tenants.releases import next as following
from tenants.releases.actions import start_build
from tenants.releases.models import LONGEST_NAME, Build, Release, Source
from tenants.releases.own_image import demand_own_image

MOST_AT_ONCE = 4  # pushes of one tenant that wait or run
MOST_EXPORTS = 2  # of one tenant that wait, run or are kept: each is a file on the host's disk


def checked(name: str) -> Reference:
    """BadInput with the field, or Refused when the machine's administrators allow other registries only."""
    try:
        reference = parse_reference(name)
    except BadInput as error:
        raise bad_field("image", error.summary, hint=error.hint) from None
    if len(str(reference)) > LONGEST_NAME:
        raise bad_field("image", f"the name has {len(str(reference))} characters, and {LONGEST_NAME} are taken")
    _demand_allowed(reference.host)
    return reference


def _demand_allowed(host: str) -> None:
    if settings.REGISTRIES and host not in settings.REGISTRIES:
        raise Refused(
            f"images of {host} are not allowed on this machine",
            hint=f"Use one of {', '.join(settings.REGISTRIES)}, or ask an administrator.",
        )


@transaction.atomic
def deploy_image(*, actor: User, app: App, image: str) -> Build:
    """A build that pulls instead: its log, its cancel and its release are those of any other."""
    reference = checked(image)
    app = following.lock(app)
    source = Source.objects.create(
        app=app, kind=Source.Kind.IMAGE, name=str(reference), digest="", size=0, created_by=actor
    )
    return start_build(actor=actor, app=app, source=source)


@transaction.atomic
def push(*, actor: User, app: App, release: Release, image: str) -> Push:
    reference = checked(image)
    demand_own_image(release)
    _demand_its_own_digest(reference, release)
    app = following.lock(app)
    _lock(app.tenant)
    if Push.objects.filter(app__tenant=app.tenant, status__in=GOING).count() >= MOST_AT_ONCE:
        raise Refused(f"{MOST_AT_ONCE} pushes are under way already", hint="Wait until one has ended.")
    made = Push.objects.create(app=app, release=release, reference=str(reference), created_by=actor)
    record(
        "release.push",
        actor=actor,
        tenant_id=app.tenant_id,
        app_id=app.pk,
        version=release.version,
        reference=str(reference),
    )
    wake("push", made.pk)
    changed(app.tenant_id, app.pk, "push")
    return made


def _demand_its_own_digest(reference: Reference, release: Release) -> None:
    """A registry takes under a digest only what has it."""
    own = release.image["digest"]
    if reference.digest and reference.digest != own:
        raise bad_field(
            "image",
            f"the image of {release} has another digest, {own}",
            hint=f"Write {reference.host}/{reference.path}@{own}, or name a tag.",
        )


@transaction.atomic
def export(*, actor: User, app: App, release: Release) -> Export:
    """The one that is there or on its way, else a new one; the tenant's oldest make room for it."""
    demand_own_image(release)
    app = following.lock(app)
    _lock(app.tenant)
    wanted = app.exports.filter(cancel_asked_at=None, status__in=(*GOING, Push.Status.DONE))
    same = wanted.filter(release=release).first()
    if same is not None:
        return same
    others = Export.objects.filter(app__tenant=app.tenant)
    if others.filter(status__in=GOING).count() >= MOST_EXPORTS:
        raise Refused(f"{MOST_EXPORTS} exports are under way already", hint="Wait until one has ended.")
    ended = others.exclude(status__in=GOING).values_list("pk", flat=True)
    room = MOST_EXPORTS - 1 - others.filter(status__in=GOING).count()
    Export.objects.filter(pk__in=list(ended[max(room, 0) :])).delete()
    made = Export.objects.create(app=app, release=release, created_by=actor)
    record("release.export", actor=actor, tenant_id=app.tenant_id, app_id=app.pk, version=release.version)
    wake("export", made.pk)
    changed(app.tenant_id, app.pk, "push")
    return made


def cancel_push(*, actor: User, push: Push) -> None:
    """One that waits ends at once, one that runs soon after; Conflict when it has ended. What the registry has
    of it already stays there."""
    _cancel(actor, push, "push")


def cancel_export(*, actor: User, export: Export) -> None:
    _cancel(actor, export, "export")


@transaction.atomic
def _cancel(actor: User, job: Push | Export, kind: str) -> None:
    going = type(job).objects.filter(pk=job.pk, status__in=GOING)
    if not going.update(cancel_asked_at=timezone.now()):
        job.refresh_from_db()
        how = {Push.Status.FAILED: "it failed", Push.Status.CANCELLED: "it was cancelled"}
        told = how.get(Push.Status(job.status), "it is done")
        raise Conflict(f"this {kind} has ended already: {told}", hint="Look at the app's pushes and exports.")
    observations.cancelled_while_queued(job)
    job.refresh_from_db()
    app = job.app
    record(f"{kind}.cancel", actor=actor, tenant_id=app.tenant_id, app_id=app.pk, **{kind: job.pk})
    changed(app.tenant_id, app.pk, "push")


def _lock(tenant: Tenant) -> None:
    """Those of two of its apps are counted one by one."""
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)


@transaction.atomic
def sign_in(*, actor: User, tenant: Tenant, host: str, username: str, password: str) -> Login:
    if not is_host(host):
        raise bad_field("host", f"{host[:100]!r} is not a registry's host", hint="Like registry.example:5000.")
    _demand_allowed(host)
    name = one_line("username", username, 200)
    if not name or ":" in name:
        raise bad_field("username", "a name at a registry is not empty and has no colon")
    if not password or len(password) > 8192:
        raise bad_field("password", "the password is empty or too long")
    login, _ = Login.objects.update_or_create(
        tenant=tenant, host=host, defaults={"username": name, "password": password}
    )
    record("registry.sign-in", actor=actor, tenant_id=tenant.pk, host=host, username=name)
    return login


@transaction.atomic
def sign_out(*, actor: User, tenant: Tenant, host: str) -> bool:
    gone, _ = Login.objects.filter(tenant=tenant, host=host).delete()
    if gone:
        record("registry.sign-out", actor=actor, tenant_id=tenant.pk, host=host)
    return bool(gone)
