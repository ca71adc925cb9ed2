from __future__ import annotations

from paas.errors import NotFound
from tenants.apps.models import App
from tenants.registries.models import Push


def push_for(app: App, push_id: str) -> Push:
    """Of an app that access to was already granted."""
    found = app.pushes.select_related("release", "created_by").filter(pk=push_id).first()
    if found is None:
        raise NotFound(f"{app} has no push {push_id[:40]!r}", hint="Look at the list of its pushes.")
    return found
