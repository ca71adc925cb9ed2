"""Runs for pages and the API: newest first, with who started them."""

from __future__ import annotations

from django.db.models import QuerySet

from tenants.apps.models import App
from tenants.runs.models import Run


def runs(app: App) -> QuerySet[Run]:
    return app.runs.select_related("release", "created_by", "container")
