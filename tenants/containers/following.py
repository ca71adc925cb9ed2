"""An app's log as it grows: each container's from a place of its own, so that no line is missed or told twice.

By time alone that cannot be done: two containers write in the same instant, and one's line may reach its file
after a later line of the other was told.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from paas.log_places import Piece, read_end, read_on
from tenants.apps.models import App
from tenants.containers.logs import AppLine, shown
from tenants.containers.models import Container
from tenants.containers.selectors import LIVE, containers_to_read, logged

# A container's end is written down a little after it. Those that ended longer ago and were read are forgotten.
REMEMBERED = timedelta(minutes=2)
MOST_ROWS = 200
LOOK_EVERY = 2.0  # seconds between looks at the database; files are looked at each time
_MARK = re.compile(r"(\d{13})((?:~[0-9a-f]{12}\.(?:\d{1,12}@[0-9a-f]{16})?)*)")


@dataclass
class Following:
    """`since`: containers that had ended by then are done with. `places`: by container, where to read on."""

    app: App
    process: str  # "" for all
    since: datetime
    places: dict[str, str] = field(default_factory=dict)
    _known: list[Container] = field(default_factory=list)
    _looked: float = -LOOK_EVERY
    _seen: dict[str, tuple[object, ...]] = field(default_factory=dict)

    @classmethod
    def resume(cls, app: App, process: str, mark: str) -> Following | None:
        """As it was when `mark` was made; None if it is not a mark."""
        known = _MARK.fullmatch(mark)
        if known is None:
            return None
        since = datetime.fromtimestamp(int(known[1]) / 1000, UTC)
        return cls(app, process, since, dict(entry.split(".", 1) for entry in known[2].split("~")[1:]))

    @classmethod
    def begin(cls, app: App, process: str, lines: int) -> tuple[Following, list[AppLine]]:
        """From now on, with the last `lines` lines of all containers together. `lines` 0 gives none."""
        made = cls(app, process, timezone.now() - REMEMBERED)
        found: list[AppLine] = []
        for row in {row.pk: row for row in [*made._rows(), *made._last_words()]}.values():
            piece = read_end(settings.PATHS.container_log(row.pk), lines)
            made.places[row.pk] = piece.next
            found += _lines(row, piece)
        return made, sorted(found, key=lambda line: line.at)[-lines:] if lines else []

    @property
    def mark(self) -> str:
        """For `resume`: digits, letters, "~", "." and "@" only."""
        places = "".join(f"~{pk}.{place}" for pk, place in self.places.items())
        return f"{int(self.since.timestamp() * 1000)}{places}"

    def read(self) -> tuple[list[AppLine], bool, bool]:
        """New lines in the order of time; whether some before them are not kept any more; whether more wait.

        Reads the database and files.
        """
        found: list[AppLine] = []
        skipped = more = False
        now, done = timezone.now(), set[str]()
        for row in self._look():
            piece = self._read(row)
            found += _lines(row, piece)
            skipped, more = skipped or piece.skipped, more or piece.more
            if row.stopped_at and row.stopped_at < now - REMEMBERED and not piece.more:
                done.add(row.pk)
        self._forget(done, now, all_read=not more)
        return sorted(found, key=lambda line: line.at), skipped, more

    def _read(self, row: Container) -> Piece:
        """A file that is as it was is not opened."""
        path, place = settings.PATHS.container_log(row.pk), self.places.get(row.pk, "")
        ended = row.status == Container.Status.STOPPED
        now = (*_look_of(path), ended)
        if self._seen.get(row.pk) == now:
            return Piece([], place)
        piece = read_on(path, place, ended=ended)
        self.places[row.pk] = piece.next
        if not piece.more:
            self._seen[row.pk] = now
        return piece

    def _look(self) -> list[Container]:
        if time.monotonic() - self._looked >= LOOK_EVERY:
            self._known, self._looked = self._rows(), time.monotonic()
        return self._known

    def _forget(self, done: set[str], now: datetime, *, all_read: bool) -> None:
        if all_read:
            self.since = max(self.since, now - REMEMBERED)
            self.places = {pk: place for pk, place in self.places.items() if pk not in done}
            self._known = [row for row in self._known if row.pk not in done]

    def _rows(self) -> list[Container]:
        """Live ones, and those that ended meanwhile, also if they lived between two looks."""
        rows = logged(self.app).filter(Q(status__in=LIVE) | Q(stopped_at__gte=self.since))
        if self.process:
            rows = rows.filter(process_type=self.process)
        return list(rows.order_by("-created_at")[:MOST_ROWS])

    def _last_words(self) -> list[Container]:
        rows = containers_to_read(self.app)
        return [row for row in rows if self.process in ("", row.process_type)]


def _look_of(path: Path) -> tuple[int, int]:
    """Changes whenever the file does, also when it is rotated."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0, 0
    return stat.st_ino, stat.st_size


def _lines(row: Container, piece: Piece) -> list[AppLine]:
    return [AppLine(line.at, str(row), line.stream, shown(line)) for line in piece.lines]
