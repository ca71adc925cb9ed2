"""After how long idle a container falls asleep by itself, and how a person writes that."""

from __future__ import annotations

from paas.idle_time import HOW_TO_WRITE, idle_seconds
from paas.templatetags.berth import sentence
from tenants.checks import bad_field
from tenants.containers.models import Container
from tenants.releases import serial
from tenants.releases.selectors import has_a_waker
from tenants.releases.sleep_time import SleepTime, decide


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
