"""Asking what is inside. What cannot change is looked at once: the answer that is there is given again."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from paas.errors import Conflict, NotFound
from paas.queue import wake
from tenants.accounts.models import Tenant, User
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.inspections.models import Inspection
from tenants.releases.models import Release
from tenants.releases.own_image import demand_own_image

MOST_WAITING = 20  # of a tenant
Kind, Status = Inspection.Kind, Inspection.Status


def look_inside(*, actor: User, app: App, release: Release) -> Inspection:
    return _ask(actor, app, kind=Kind.IMAGE, release=release)


def list_layer(*, actor: User, app: App, release: Release, layer: str) -> Inspection:
    """`layer` is a DiffID of the release's image; NotFound for any other."""
    if layer not in release.image["layers"]:
        raise NotFound(f"{release} has no layer {layer[:80]!r}", hint="Look at the layers of its image.")
    return _ask(actor, app, kind=Kind.LAYER, release=release, layer=layer)


def compare(*, actor: User, app: App, before: Release, release: Release) -> Inspection:
    return _ask(actor, app, kind=Kind.RELEASES, release=release, before=before)


def has_base(release: Release) -> bool:
    """Whether it is known what its image stands on: of what was built, and of a container's changes."""
    return bool(release.commit or (release.build and release.build.base))


def compare_with_base(*, actor: User, app: App, release: Release) -> Inspection:
    if not has_base(release):
        raise NotFound(
            f"{release}: nothing is known of an image that its own stands on",
            hint="Compare it with another release.",
        )
    return _ask(actor, app, kind=Kind.BASE, release=release)


def changes_of(*, actor: User, app: App, container: Container) -> Inspection:
    """A fresh look each time; Conflict when its files are gone."""
    if container.status not in (Container.Status.RUNNING, Container.Status.SLEEPING):
        raise Conflict(f"{container} does not run", hint="What a container changed goes with it.")
    return _ask(actor, app, kind=Kind.CONTAINER, release=container.release, container=container)


@transaction.atomic
def _ask(actor: User, app: App, **question: Any) -> Inspection:
    for release in (question.get("before"), question.get("release")):
        if release is not None:
            demand_own_image(release)
    asked = Inspection.objects.filter(app=app, **question)
    known = [Status.QUEUED] if question["kind"] == Kind.CONTAINER else [Status.QUEUED, Status.ANSWERED]
    found = asked.filter(status__in=known).first()
    if found is not None:
        return found
    Tenant.objects.select_for_update().get(pk=app.tenant_id)  # two at once are counted one by one
    waiting = Inspection.objects.filter(app__tenant_id=app.tenant_id, status=Status.QUEUED).count()
    if waiting >= MOST_WAITING:
        raise Conflict(f"{waiting} inspections wait already", hint="Try again when some of them are answered.")
    inspection = Inspection.objects.create(app=app, created_by=actor, **question)
    wake("inspect", inspection.pk)
    return inspection
