"""An app's log: the tails of its containers' logs, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge

from django.conf import settings

from paas.logs import LogLine, read_all, read_tail
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.containers.selectors import containers_to_read


@dataclass(frozen=True, slots=True)
class AppLine:
    at: str  # RFC 3339 with nanoseconds, UTC: sorts as text
    container: str  # "web.1"
    stream: str
    text: str


def read_app_log(app: App, lines: int, since: str = "") -> list[AppLine]:
    """The last `lines` lines of all containers together; only those after the time `since`, if given."""
    tails = [_tail(row, lines) for row in containers_to_read(app)]
    return [line for line in merge(*tails, key=lambda line: line.at) if line.at > since][-lines:]


def whole_log(app: App, process: str = "") -> Iterator[str]:
    """Every line that is kept, in the order of time: `<time> <container> <stream> <text>`."""
    rows = [row for row in containers_to_read(app) if process in ("", row.process_type)]
    for line in merge(*[_all(row) for row in rows], key=lambda line: line.at):
        yield f"{line.at} {line.container} {line.stream} {line.text}\n"


def _all(row: Container) -> Iterator[AppLine]:
    for line in read_all(settings.PATHS.container_log(row.pk)):
        yield AppLine(line.at, str(row), line.stream, shown(line))


def _tail(row: Container, lines: int) -> list[AppLine]:
    found = read_tail(settings.PATHS.container_log(row.pk), lines)
    return [AppLine(line.at, str(row), line.stream, shown(line)) for line in found]


def shown(line: LogLine) -> str:
    """Its text, and how much of it was cut off."""
    return f"{line.text} [and {line.cut:,} more characters]" if line.cut else line.text
