"""The build log: lines of text for its owner. What steps print goes through as it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_TAIL_LINES = 20
_RECENT_LINES = 200  # npm prints its usage after its reason
_TAIL_LINE_BYTES = 500
_LONGEST_HELD = 64 * 1024
_MASK = b"****"
_SHORTEST_SECRET = 4  # a log without the letter "a" would tell more than one with it


class BuildLog:
    """Writes to a callable that takes bytes; keeps a step's last lines for its error.

    Secrets that were named to `mask` are in neither: from then on, lines go out when they are whole.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._tail: deque[bytes] = deque(maxlen=_RECENT_LINES)
        self._partial = b""
        self._held = b""
        self._secrets: tuple[bytes, ...] = ()

    def mask(self, secret: str) -> None:
        """One of several lines by its lines: the log is made of lines."""
        found = {part.strip() for part in secret.splitlines()}
        new = {part.encode() for part in found if len(part) >= _SHORTEST_SECRET}
        # The longest first: one may be a part of another.
        self._secrets = tuple(sorted({*self._secrets, *new}, key=len, reverse=True))

    def masked(self, text: str) -> str:
        return self._masked(text.encode("utf-8", "replace")).decode()

    def line(self, text: str) -> None:
        """A line of Berth's own; what a file's name could do to a terminal is taken out."""
        self.end_step()
        if self._partial:
            self._write(b"\n")
            self._partial = b""
        clean = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
        self._write(self._masked(clean.encode("utf-8", "replace")) + b"\n")

    def begin_step(self) -> None:
        self.end_step()
        self._tail.clear()

    def output(self, data: bytes) -> None:
        """What a step printed, in pieces of any size."""
        if not self._secrets:
            self._put(data)
            return
        whole, newline, self._held = (self._held + data).rpartition(b"\n")
        if len(self._held) > _LONGEST_HELD:
            whole, newline, self._held = whole + newline + self._held, b"", b""
        self._put(self._masked(whole + newline))

    def end_step(self) -> None:
        """The step prints no more."""
        held, self._held = self._held, b""
        if held:
            self._put(self._masked(held))

    def _put(self, data: bytes) -> None:
        self._write(data)
        *whole, self._partial = (self._partial + data).split(b"\n")
        self._tail.extend(line[:_TAIL_LINE_BYTES] for line in whole)
        self._partial = self._partial[:_TAIL_LINE_BYTES]

    def _masked(self, data: bytes) -> bytes:
        for secret in self._secrets:
            data = data.replace(secret, _MASK)
        return data

    @property
    def tail(self) -> list[str]:
        """The last lines that the step printed."""
        return self.recent[-_TAIL_LINES:]

    @property
    def recent(self) -> list[str]:
        """More of them, to look for the reason in."""
        lines = [*self._tail, self._partial] if self._partial else list(self._tail)
        return [line.decode(errors="replace") for line in lines[-_RECENT_LINES:]]


def amount(size: int) -> str:
    """Bytes for a reader: "34.1 MB"."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def short(text: str, most: int = 120) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def files_and_folders(number: int) -> str:
    return {0: "nothing changed", 1: "1 file or folder"}.get(number, f"{number:,} files and folders")
