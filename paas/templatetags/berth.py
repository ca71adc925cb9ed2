"""Numbers as people read them, and the colour that a status has."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import template
from django.forms import BoundField, Select

from paas.idle_time import as_written

register = template.Library()
MIB = 1024 * 1024
_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")

_TONES = {
    "app": {
        "running": "ok",
        "building": "busy",
        "deploying": "busy",
        "degraded": "warn",
        "crashed": "bad",
        "failed": "bad",
    },
    "build": {"succeeded": "ok", "queued": "busy", "running": "busy", "failed": "bad"},
    "release": {"live": "ok", "pending": "busy", "starting": "busy", "failed": "bad"},
    "run": {"queued": "busy", "running": "busy", "failed": "bad", "timed-out": "bad"},
    "push": {"done": "ok", "queued": "busy", "running": "busy", "failed": "bad"},
    "change": {"added": "ok", "changed": "warn", "removed": "bad"},
    "container": {"running": "ok", "sleeping": "idle", "creating": "busy", "created": "busy"},
}


@register.filter
def tone(status: str, kind: str) -> str:
    """ok, busy, warn, bad or idle."""
    return _TONES[kind].get(status, "idle")


@register.filter
def size(value: int | None) -> str:
    """Bytes in binary units: 512 MiB, 1.5 GiB."""
    amount = float(value or 0)
    if amount < MIB:
        return f"{amount / 1024:.0f} KiB" if amount >= 1024 else f"{amount:.0f} B"
    if amount < 1024 * MIB:
        return f"{amount / MIB:.0f} MiB"
    return f"{amount / (1024 * MIB):.1f} GiB".replace(".0 ", " ")


@register.filter
def size_to(before: int, after: int) -> str:
    """How a size changed: in bytes where that does not show otherwise."""
    if size(before) != size(after):
        return f"{size(before)} → {size(after)}"
    return size(after) if before == after else f"{before:,} → {after:,} bytes"


# As in berth_cli.output: what breaks a line, turns the direction of what follows, or cannot be shown.
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


@register.filter(is_safe=True)
def visible(value: Any, keep: str = "") -> str:
    """A name, path or other value of one line, with what is not seen escaped as the command line tool does:
    \\n, \\x1b, \\u202e."""
    return "".join(
        c if c in keep or unicodedata.category(c) not in _UNSEEN else _escaped(c) for c in str(value)
    )


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte of a file's name that is no UTF-8, see os.fsdecode
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


@register.filter(is_safe=True)
def visible_text(line: str) -> str:
    """A line of a text, where tabs are seen."""
    return visible(line, "\t")


@register.filter
def short_digests(text: str) -> str:
    """With of each digest what is enough to tell it from others."""
    return _DIGEST.sub(r"\1…", text)


@register.filter
def at(found: Mapping[str, object], key: str) -> object:
    return found.get(key)


@register.filter
def mbits(rate: int | None) -> str:
    """Bytes a second as networks are sold: 10 Mbit/s."""
    return f"{(rate or 0) * 8 / 1_000_000:g} Mbit/s" if rate else "no limit"


@register.filter
def cores(millis: int | None) -> str:
    """Thousandths of a core: 0.25, 2."""
    return f"{(millis or 0) / 1000:.2f}".rstrip("0").rstrip(".")


@register.filter
def permille(value: int | None) -> str:
    """Thousandths of the time, in whole percent."""
    return f"{round((value or 0) / 10)}%"


WAITS = {"stalled_cpu": "cpu", "throttled": "its limit", "stalled_memory": "memory", "stalled_io": "disk"}


@register.filter
def waits(row: dict[str, int | None]) -> list[str]:
    """What a row of the ledger waited for, most first: "16% cpu"; nothing of what rounds to nothing."""
    parts = sorted(((row[key] or 0, name) for key, name in WAITS.items()), key=lambda part: -part[0])
    return [f"{permille(share)} {name}" for share, name in parts if share >= 5]


@register.filter
def amount(value: int | None, unit: str) -> str:
    """Of a limit: 512 MiB, 1 MiB/s, 1.5 cores, 2,048; None is no limit. Of idle time: 15m, never, default."""
    if unit == "idle seconds":
        return "default" if value is None else as_written(value)
    if value is None:
        return "no limit"
    if unit == "bytes sent a second":
        return mbits(value)
    if unit == "cpu":
        return f"{cores(value)} core{'' if value == 1000 else 's'}"
    text = size(value) if unit.startswith("bytes") else f"{value:,}"
    return f"{text}/s" if unit.endswith("a second") else text


@register.filter
def percent_of(part: int | None, whole: int | None) -> int:
    """For a bar: 0 to 100."""
    return min(100, round(100 * (part or 0) / whole)) if whole else 0


@register.filter
def span(value: timedelta | None) -> str:
    """A time span: 0.8 s, 42 s, 3 min 5 s, 2 h 10 min."""
    if value is None:
        return ""
    seconds = value.total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = int(seconds) // 60
    return f"{minutes} min {int(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@register.filter
def brief(usec: int) -> str:
    """Microseconds: 0.4 ms, 12 ms, 1.2 s."""
    if usec >= 1_000_000:
        return f"{usec / 1_000_000:.1f} s"
    return f"{usec / 1000:.0f} ms" if usec >= 10_000 else f"{usec / 1000:.1f} ms"


@register.filter
def seconds(value: int) -> str:
    """A limit: 45 s, 5 min, 1 h, 1 h 30 min."""
    hours, minutes, rest = value // 3600, value // 60 % 60, value % 60
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


@register.filter
def sentence(text: str) -> str:
    """Errors are written in lower case, to be joined; a page shows sentences."""
    name_first = any(character in text.split(" ", 1)[0] for character in "._/0123456789") if text else False
    return clause(text if name_first else text[:1].upper() + text[1:])


@register.filter
def clause(text: str) -> str:
    """An error after a colon; it may hold a name that a tenant chose."""
    text = visible(text)
    return text if not text or text[-1] in ".?!…" else f"{text}."


@register.filter
def log_lines(error: dict[str, Any]) -> list[str]:
    """What the worker kept of a failed container's log, or of a release command's output."""
    details = error.get("details") or {}
    lines: list[str] = details.get("log") or details.get("output") or []
    return lines


@register.filter
def bare(address: str) -> str:
    """Without its scheme, as people say an address."""
    return address.split("//", 1)[-1]


@register.filter
def series(index: int) -> str:
    """The colour of the nth part of a stacked bar, from 1."""
    return f"series-{index}" if index <= 6 else "series-rest"


@register.filter
def ecosystem(key: str) -> str:
    """Whose package it is."""
    return {"deb": "Debian", "pypi": "Python", "npm": "Node"}.get(key, key)


@register.filter
def difference_line(line: str) -> str:
    """The class of a line in a unified difference."""
    return {"+": "line-added", "-": "line-removed", "@": "line-place"}.get(line[:1], "")


@register.filter
def control(field: BoundField) -> str:
    """The field's widget with Tabler's class for its kind; Django adds the aria attributes."""
    widget = field.field.widget
    kind = "form-select" if isinstance(widget, Select) else "form-control"
    return field.as_widget(attrs={"class": f"{kind} {widget.attrs.get('class', '')}".strip()})


@register.filter
def took(build: Any) -> timedelta:
    """How long a build that has ended ran."""
    span: timedelta = build.finished_at - build.started_at
    return span


@register.filter
def memory_used(machine: Any) -> int:
    used: int = machine.memory_bytes - machine.memory_available_bytes
    return used


@register.filter
def disk_used(machine: Any) -> int:
    used: int = machine.disk_bytes - machine.disk_free_bytes
    return used


@register.filter
def cpu_capacity(machine: Any) -> int:
    """Thousandths of a core, as usage is counted."""
    return 1000 * int(machine.cores)
