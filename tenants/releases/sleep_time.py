"""After how long idle what a release has falls asleep by itself, and who says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from django.conf import settings

from paas.idle_time import as_written
from paas.specs import ProcessSpec
from tenants.apps.models import App
from tenants.releases import serial
from tenants.releases.models import Release
from tenants.releases.selectors import has_a_waker

Source: TypeAlias = Literal["app", "release", "tenant", "machine"]
_WHOSE: dict[Source, str] = {
    "app": "set by a person",
    "release": "from berth.toml",
    "tenant": "the tenant's",
    "machine": "this machine's",
}


@dataclass(frozen=True, slots=True)
class SleepTime:
    """`seconds` idle, 0 for never. `source`: a person for the app, berth.toml, an administrator for
    the tenant, or the machine's setting."""

    seconds: int
    source: Source

    def __str__(self) -> str:
        return f"{as_written(self.seconds)}, {_WHOSE[self.source]}"


def sleep_times(app: App, release: Release | None) -> dict[str, SleepTime]:
    """Of the process types of that release that something can wake."""
    return {process.name: decide(app, process) for process in _wakeable(release)}


def told_default(app: App, release: Release | None) -> str:
    """What "default" stands for now: "20s, from berth.toml", of each process type where they differ; empty
    where nothing could be woken. Before there is a release, what none would say."""
    if release is None:
        return str(_default(app))
    told = {process.name: str(_default(app, process)) for process in _wakeable(release)}
    if len(set(told.values())) < 2:
        return next(iter(told.values()), "")
    return "; ".join(f"{name} {time}" for name, time in told.items())


def decide(app: App, process: ProcessSpec) -> SleepTime:
    """Whoever is nearest to the app has the last word."""
    return _default(app, process) if app.sleep_after is None else SleepTime(app.sleep_after, "app")


def _default(app: App, process: ProcessSpec | None = None) -> SleepTime:
    if process is not None and process.sleep_after is not None:
        return SleepTime(process.sleep_after, "release")
    if app.tenant.sleep_after is not None:
        return SleepTime(app.tenant.sleep_after, "tenant")
    return SleepTime(settings.SLEEP_AFTER, "machine")


def _wakeable(release: Release | None) -> list[ProcessSpec]:
    return [process for process in (serial.processes(release) if release else ()) if has_a_waker(process)]
