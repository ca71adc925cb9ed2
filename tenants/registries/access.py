from __future__ import annotations

from paas.errors import NotFound
from tenants.apps.models import App
from tenants.registries.models import Export, Push


def push_for(app: App, push_id: str) -> Push:
    """Of an app that access to was already granted."""
    found = app.pushes.select_related("release", "created_by").filter(pk=push_id).first()
    if found is None:
        raise NotFound(f"{app} has no push {push_id[:40]!r}", hint="Look at the list of its pushes.")
    return found


def export_for(app: App, export_id: str) -> Export:
    """Of an app that access to was already granted."""
    found = app.exports.select_related("release", "created_by").filter(pk=export_id).first()
    if found is None:
        raise NotFound(
            f"{app} has no export {export_id[:40]!r}", hint="Exports are kept an hour: export it again."
        )
    return found
