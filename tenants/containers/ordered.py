"""What came of an order to sleep, for who gave it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.containers.selectors import live_containers
from tenants.releases.selectors import may_sleep

TOLD = timedelta(minutes=1)  # on the app's page


@dataclass(frozen=True, slots=True)
class Slept:
    """By name ("web.1"), of what serves and something could wake. `going_on`: no worker is done with the order
    yet; after that, what is still awake is in use."""

    going_on: bool
    asleep: tuple[str, ...]
    awake: tuple[str, ...]


def slept(app: App) -> Slept:
    serving = live_containers(app).filter(release=app.serving_release_id)
    rows = [row for row in serving if _may(row) and not _came_since(row, app.sleep_ordered_at)]
    asleep = tuple(str(row) for row in rows if row.status == Container.Status.SLEEPING)
    awake = tuple(str(row) for row in rows if row.status != Container.Status.SLEEPING)
    return Slept(app.sleep_order == App.Order.SLEEP, asleep, awake)


def slept_lately(app: App) -> Slept | None:
    """None where nobody ordered that a moment ago."""
    at = app.sleep_ordered_at
    return slept(app) if at and (app.sleep_order or at > timezone.now() - TOLD) else None


def _came_since(row: Container, ordered_at: datetime | None) -> bool:
    """It was woken or started after the order: that is no answer to it."""
    times = (row.woken_at, row.started_at)
    return ordered_at is not None and any(at is not None and at > ordered_at for at in times)


def _may(row: Container) -> bool:
    return row.release is not None and row.process_type in may_sleep(row.release)
