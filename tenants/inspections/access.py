"""Inspections of an app that access to was already granted; one of another app is not found."""

from __future__ import annotations

from paas.errors import NotFound
from tenants.apps.models import App
from tenants.inspections.models import Inspection


def inspection_for(app: App, inspection_id: str) -> Inspection:
    related = ("release", "before", "container")
    found = app.inspections.select_related(*related).filter(pk=inspection_id).first()
    if found is None:
        raise NotFound(f"{app} has no inspection {inspection_id!r}", hint="Ask again: answers are kept a day.")
    return found
