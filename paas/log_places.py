"""Reading a log on from a place: in order, without a gap, whoever asks and however often.

A place is `<offset>@<mark of the file><mark of what stood before it>`. A log is rotated into one earlier file,
so its files are known by what they begin with, not by their names; one that grew too fast is cut in its middle
(see paas.runtime.log_keeper), so what was read last is looked at, too. Records are conmon's (see paas.logs).
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from paas.logs import LineReader, LogLine, older, read_tail

MOST_BYTES = 256 * 1024  # of the log, in one piece
BEFORE = 64  # bytes before a place that must be as they were
PLACE = re.compile(r"(\d{1,12})@([0-9a-f]{8})([0-9a-f]{8})?")  # without the last, of a Berth before this one
REMARK = b" berth F "


@dataclass(frozen=True, slots=True)
class Piece:
    """`next` is where to go on, "" at the beginning. `more`: there is more to be had at once.

    `skipped`: what stood before these lines is not kept any more, or a part of it.
    """

    lines: list[LogLine]
    next: str
    skipped: bool = False
    more: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the log, the earlier one or the current."""

    file: BinaryIO
    mark: str


def read_on(path: Path, after: str = "", *, ended: bool = False) -> Piece:
    """The next lines after a place, or from the beginning.

    `ended`: nobody writes to the log any more, so that a last line without an end is a line.
    """
    with ExitStack() as files:
        parts = _parts(path, files)
        known = PLACE.fullmatch(after)
        marks = [part.mark for part in parts]
        begin = marks.index(known[2]) if known and known[2] in marks else None
        offset, cut = int(known[1]) if known and begin is not None else 0, False
        if known and known[3] and begin is not None and _before(parts[begin].file, offset) != known[3]:
            offset, cut = _last_remark(parts[begin].file, offset), True
        for number, part in enumerate(parts[begin or 0 :], start=begin or 0):
            last = number == len(parts) - 1
            lines, offset, at_end = _read(part.file, offset, flush=ended or not last)
            if lines or last:
                skipped = cut or (known is not None and begin is None)
                return Piece(lines, _place(part, offset), skipped, more=not (last and at_end))
            offset = 0
    return Piece([], after)


def read_end(path: Path, lines: int) -> Piece:
    """The last `lines` lines that are whole now, and the place after them."""
    with ExitStack() as files:
        parts = _parts(path, files)
        if not parts:
            return Piece([], "")
        end = parts[-1].file.seek(0, os.SEEK_END)
        start = max(0, end - MOST_BYTES)
        parts[-1].file.seek(start)
        start += len(parts[-1].file.readline()) if start else 0  # the record that it fell into
        found, taken = whole_lines(parts[-1].file.read(end - start), flush=False)
        earlier = read_tail(older(path), lines - len(found)) if len(parts) > 1 and len(found) < lines else []
        return Piece([*earlier, *found][-lines:], _place(parts[-1], start + taken))


def _parts(path: Path, files: ExitStack) -> list[Part]:
    """The current file is opened first: when a rotation comes in between it is found twice, never missed."""
    found: list[BinaryIO] = []
    for name in (path, older(path)):
        try:
            file = files.enter_context(name.open("rb"))
        except FileNotFoundError:
            continue
        except PermissionError:  # conmon has started it over just now; the agent opens it within a second
            return []
        if not any(os.path.sameopenfile(file.fileno(), other.fileno()) for other in found):
            found.insert(0, file)
    parts = [Part(file, _mark(file)) for file in found]
    return [part for part in parts if part.mark]


def _mark(file: BinaryIO) -> str:
    """Of the time of the first record, to the nanosecond. Empty until the file has a whole record."""
    at, space, _ = file.readline(1024).partition(b" ")
    return _short(at) if space else ""


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


def _place(part: Part, offset: int) -> str:
    return f"{offset}@{part.mark}{_before(part.file, offset)}"


def _before(file: BinaryIO, offset: int) -> str:
    start = max(0, offset - BEFORE)
    file.seek(start)
    return _short(file.read(offset - start))


def _last_remark(file: BinaryIO, offset: int) -> int:
    """Where the keeper's last remark before `offset` begins: after it comes what the cut left. The next line
    where there is none."""
    size = file.seek(0, os.SEEK_END)
    end = min(offset, size)
    start = max(0, end - MOST_BYTES)
    file.seek(start)
    data = file.read(end - start)
    remark = data.rfind(REMARK)
    return start + data.rfind(b"\n", 0, remark if remark >= 0 else len(data)) + 1


def _read(file: BinaryIO, offset: int, *, flush: bool) -> tuple[list[LogLine], int, bool]:
    """Lines from `offset` on, where they end, and whether that is the end of the file for now."""
    size = file.seek(0, os.SEEK_END)
    file.seek(min(offset, size))
    start = file.tell()
    data = file.read(MOST_BYTES)
    full = len(data) == MOST_BYTES
    lines, taken = whole_lines(data, flush=flush and not full)
    if full and not taken:  # a line longer than all that is read at once: in pieces
        lines, taken = whole_lines(data, flush=True)
    return lines, start + taken, start + len(data) >= size


def whole_lines(data: bytes, *, flush: bool) -> tuple[list[LogLine], int]:
    """Lines of the records, and how many bytes they take. Parts of a line wait for its end, unless `flush`."""
    reader, waiting, at = LineReader(), list[LogLine](), 0
    lines, taken = list[LogLine](), 0
    for record in data.split(b"\n")[:-1]:
        waiting += reader.feed(record + b"\n")
        at += len(record) + 1
        if not reader.mid_line:
            lines += waiting
            waiting, taken = [], at
    if flush and taken < at:
        return [*lines, *waiting, *reader.rest()], at
    return lines, taken
