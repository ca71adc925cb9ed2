"""An app's config vars, and those that a release was made with."""

from __future__ import annotations

from collections.abc import Mapping

from paas.live import changed
from tenants.apps.models import App, ConfigVar
from tenants.releases.config import Changes
from tenants.releases.models import Release


def of_app(app: App) -> dict[str, str]:
    return {var.key: var.value for var in app.config_vars.all()}


def of_release(release: Release) -> dict[str, str]:
    """Its config but for the env defaults of berth.toml."""
    return {key: value for key, value in release.config.items() if release.defaults.get(key) != value}


def with_changes(values: Mapping[str, str], changes: Changes) -> dict[str, str]:
    return {key: value for key, value in {**values, **changes}.items() if value is not None}


def put(app: App, wanted: Mapping[str, str]) -> None:
    """Make them the app's, and no others. Call it under the app's lock."""
    before = of_app(app)
    app.config_vars.exclude(key__in=wanted).delete()
    for key, value in wanted.items():
        if before.get(key) != value:
            ConfigVar.objects.update_or_create(app=app, key=key, defaults={"value": value})
    changed(app.tenant_id, app.pk, "config")
