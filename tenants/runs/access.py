"""Runs of an app that access to was already granted; one of another app is not found."""

from __future__ import annotations

from paas.errors import NotFound
from tenants.apps.models import App
from tenants.runs.models import Run


def run_for(app: App, run_id: str) -> Run:
    related = ("release", "created_by", "container")
    found = app.runs.select_related(*related).filter(pk=run_id).first()
    if found is None:
        raise NotFound(f"{app} has no run {run_id!r}", hint="Look at the list of its commands.")
    return found
