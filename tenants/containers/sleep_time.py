"""After how long idle a container falls asleep by itself, and who says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django.conf import settings

from paas.idle_time import HOW_TO_WRITE, idle_seconds
from paas.specs import ProcessSpec
from paas.templatetags.berth import sentence
from tenants.apps.models import App
from tenants.checks import bad_field
from tenants.containers.models import Container
from tenants.releases import serial
from tenants.releases.models import Release
from tenants.releases.selectors import has_a_waker


@dataclass(frozen=True, slots=True)
class SleepTime:
    """`seconds` idle, 0 for never. `source`: a person for the app, berth.toml, an administrator for
    the tenant, or the machine's setting."""

    seconds: int
    source: Literal["app", "release", "tenant", "machine"]


def written_time(field: str, text: str, *, default: str) -> int | None:
    """What a person writes, as in berth.toml: seconds, 0 for "never", None for "default", which stands for
    that. BadInput names the field."""
    if text == "default":
        return None
    seconds = idle_seconds(text)
    if seconds is None:
        hint = f"{sentence(HOW_TO_WRITE)} Or default, for {default}."
        raise bad_field(field, f"{field}={text[:40]} is not a time that is allowed", hint=hint)
    return seconds


def sleep_time(row: Container) -> SleepTime | None:
    """None for what never sleeps: it has no release, or nothing could wake it."""
    process = serial.process(row.release, row.process_type) if row.release else None
    return decide(row.app, process) if process and has_a_waker(process) else None


def sleep_times(app: App, release: Release | None) -> dict[str, SleepTime]:
    """Of the process types of that release that something can wake."""
    found = serial.processes(release) if release else ()
    return {process.name: decide(app, process) for process in found if has_a_waker(process)}


def decide(app: App, process: ProcessSpec) -> SleepTime:
    """Whoever is nearest to the app has the last word."""
    if app.sleep_after is not None:
        return SleepTime(app.sleep_after, "app")
    if process.sleep_after is not None:
        return SleepTime(process.sleep_after, "release")
    if app.tenant.sleep_after is not None:
        return SleepTime(app.tenant.sleep_after, "tenant")
    return SleepTime(settings.SLEEP_AFTER, "machine")
