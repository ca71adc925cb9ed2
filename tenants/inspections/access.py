"""Inspections of an app that access to was already granted; one of another app is not found. And what its
releases are compared with: those of the tenant's apps."""

from __future__ import annotations

from paas.errors import NotFound
from tenants.accounts.access import Person
from tenants.apps.access import app_for, apps_of
from tenants.apps.models import App
from tenants.inspections.models import Inspection
from tenants.releases.access import release_for
from tenants.releases.models import Release

MOST_RELEASES = 50  # to choose from: of the app, and of its neighbours together


def inspection_for(app: App, inspection_id: str) -> Inspection:
    related = ("release__build", "before__app", "container__release")
    found = app.inspections.select_related(*related).filter(pk=inspection_id).first()
    if found is None:
        raise NotFound(f"{app} has no inspection {inspection_id!r}", hint="Ask again: answers are kept a day.")
    return found


def release_beside(user: Person, app: App, name: str, version: int) -> Release:
    """The other side of a comparison: a release of the app itself, or of its tenant's app of this name."""
    other = app_for(user, app.tenant.slug, name) if name else app
    return release_for(other, version)


def releases_beside(user: Person, app: App, release_id: str) -> list[Release]:
    """What a release can be compared with: those of its app, then its tenant's other apps' newest, by app."""
    found = Release.objects.select_related("app").filter(committed_from="").only("app__name", "version", "note")
    own = found.filter(app=app).exclude(pk=release_id)
    neighbours = apps_of(user).filter(tenant=app.tenant).exclude(pk=app.pk)
    theirs = found.filter(app__in=neighbours).order_by("-created_at")[:MOST_RELEASES]
    return [*own[:MOST_RELEASES], *sorted(theirs, key=lambda release: (release.app.name, -release.version))]
