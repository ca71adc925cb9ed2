"""Reading container logs: plain files in conmon's k8s-file form, `<RFC 3339 time> <stream> <P|F> <text>`.

Pure file reading without privileges, for the web process, the CLI and the tests alike. `P` marks a part of
a line that goes on in the next record of the same stream, `F` its end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

LINE_MAX = 16 * 1024  # characters shown of a line; the rest is counted
READ_SIZE = 256 * 1024
OLDER_SUFFIX = ".1"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of output. `cut` counts the characters beyond LINE_MAX that are not in `text`."""

    at: str  # RFC 3339 with nanoseconds, as conmon wrote it
    stream: str  # "stdout", "stderr" or "berth" for the platform's own remarks
    text: str
    cut: int = 0


@dataclass(slots=True)
class LineReader:
    """Turns bytes, fed as they come, into whole lines: joins parts, cuts what is too long."""

    _rest: bytes = b""
    _parts: dict[str, LogLine] = field(default_factory=dict)

    def feed(self, data: bytes) -> list[LogLine]:
        *records, self._rest = (self._rest + data).split(b"\n")
        found = (self._take(record) for record in records)
        return [line for line in found if line is not None]

    @property
    def mid_line(self) -> bool:
        """Whether a line was begun whose end has not come."""
        return bool(self._parts)

    def rest(self) -> list[LogLine]:
        """Lines whose end has not come, as far as they did. None of them is given again."""
        begun, self._parts = list(self._parts.values()), {}
        return sorted(begun, key=lambda line: line.at)

    def _take(self, record: bytes) -> LogLine | None:
        fields = record.decode(errors="replace").split(" ", 3)
        if len(fields) < 4 or fields[2] not in ("P", "F"):
            return None  # a record that was cut through when the file started over
        at, stream, tag, text = fields
        if tag == "F" and stream not in self._parts and len(text) <= LINE_MAX:  # almost all are such
            return LogLine(at, stream, text)
        line = _joined(self._parts.pop(stream, LogLine(at, stream, "")), text)
        if tag == "P":
            self._parts[stream] = line
            return None
        return line


def _joined(line: LogLine, text: str) -> LogLine:
    room = LINE_MAX - len(line.text)
    return replace(line, text=line.text + text[:room], cut=line.cut + max(len(text) - room, 0))


def parse(data: bytes) -> list[LogLine]:
    """Every whole line of a log."""
    return LineReader().feed(data)


def older(path: Path) -> Path:
    """Where the log's earlier part is kept after a rotation."""
    return path.with_name(path.name + OLDER_SUFFIX)


def read_tail(path: Path, lines: int) -> list[LogLine]:
    """The last `lines` lines, from the earlier file too where the current one has fewer. Absent is empty."""
    found: list[LogLine] = []
    for file in (path, older(path)):
        if len(found) < lines:
            found = [*_tail_of(file, lines - len(found)), *found]
    return found


def read_all(path: Path) -> Iterator[LogLine]:
    """Every line that is kept, oldest first, read as it is asked for. Absent is empty."""
    for file in (older(path), path):
        reader = LineReader()
        try:
            with file.open("rb") as opened:
                while data := opened.read(READ_SIZE):
                    yield from reader.feed(data)
        except (FileNotFoundError, PermissionError):  # conmon has started it over just now: see paas.log_places
            continue
        yield from reader.rest()


def _tail_of(path: Path, lines: int) -> list[LogLine]:
    if lines <= 0:
        return []
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            window = READ_SIZE
            while True:
                found = _lines_from(file, max(size - window, 0))
                if len(found) >= lines or window >= size:
                    return found[-lines:]
                window *= 4
    except FileNotFoundError:
        return []


def _lines_from(file: BinaryIO, offset: int) -> list[LogLine]:
    """Lines of the file from `offset` on, less the one that it falls into; the last may have no end."""
    file.seek(offset)
    if offset:
        file.readline()
    reader = LineReader()
    return [*reader.feed(file.read()), *reader.rest()]


def remark(path: Path, text: str) -> None:
    """Add a line of the platform's own to a log that is there, after what conmon wrote last: it may be half a
    record. FileNotFoundError where there is none."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        torn = b"\n" if size and os.pread(fd, 1, size - 1) != b"\n" else b""
        os.write(fd, torn + own_record(text))
    finally:
        os.close(fd)


def own_record(text: str) -> bytes:
    """A line of the platform's own, of now."""
    return as_record(LogLine(datetime.now(UTC).isoformat(), "berth", text))


def as_record(line: LogLine) -> bytes:
    """The line as conmon would write it."""
    return f"{line.at} {line.stream} F {line.text}\n".encode()
