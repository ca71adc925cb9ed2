"""What a container of a build prints, as it comes: conmon writes into a pipe that is read here.

Who prints faster than it is read waits (the pipe is full), so nothing is lost on the way. The work that it
makes us is bounded by bytes: of what is more than MOST only the end is looked at, and that once.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread

from paas.logs import READ_SIZE, LineReader, LogLine
from paas.runtime.conmon import OUR_DESCRIPTORS
from paas.specs import MIB

MOST = 16 * MIB  # of one container: no build's log keeps more
END = 4 * MIB  # of what is more the last, as conmon wrote it: a short line is ten times as long there
LOOK_MILLIS = 200
SILENCE_SECONDS = 5.0  # after the container's end, where conmon's is not to be seen
_RECORD = len("2026-01-01T00:00:00.000000000+00:00 stdout F ")


class Printed:
    """Passes conmon's records to `log` as text: the first MOST bytes at once, the last at the end."""

    def __init__(self, log: Callable[[bytes], None]) -> None:
        self._log, self._reader = log, LineReader()
        self._left, self._left_out = MOST, 0
        self._end: deque[bytes] = deque()
        self._held = 0

    def feed(self, data: bytes) -> None:
        if self._left > 0:
            self._pass(self._reader.feed(data))
            return
        self._end.append(data)
        self._held += len(data)
        while self._held - len(self._end[0]) >= END:
            gone = self._end.popleft()
            self._held -= len(gone)
            self._left_out += max(0, len(gone) - _RECORD * gone.count(b"\n"))

    def finish(self) -> None:
        end = b"".join(self._end)
        self._end.clear()
        if self._left_out:
            self._pass(self._reader.rest())
            self._reader = LineReader()
            torn, _, end = end.partition(b"\n")
            self._left_out += max(0, len(torn) + 1 - _RECORD)
            lost = f"{self._left_out:,} bytes of what this step printed"
            self._log(f"\nAbout {lost} are left out here: it is too much.\n".encode())
        self._pass([*self._reader.feed(end), *self._reader.rest()])

    def _pass(self, lines: Sequence[LogLine]) -> None:
        text = as_text(lines)
        self._left -= len(text)
        if text:
            self._log(text)


def as_text(lines: Sequence[LogLine]) -> bytes:
    return "".join([f"{line.text}{_cut(line)}\n" for line in lines]).encode()


def _cut(line: LogLine) -> str:
    return f" … {line.cut:,} more characters" if line.cut else ""


class Pipe:
    """Used in a `with` statement: what is written to `path` meanwhile goes to `log`, in a thread of its own, so
    that conmon can end whatever we wait for. `log` must not ask the database."""

    def __init__(self, log: Callable[[bytes], None]) -> None:
        self._printed, self._ended = Printed(log), Event()
        self._error: Exception | None = None
        self._thread = Thread(target=self._run, name="output", daemon=True)

    def __enter__(self) -> Pipe:
        self._reading, self._writing = os.pipe()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()

    @property
    def path(self) -> Path:
        return OUR_DESCRIPTORS / str(self._writing)

    def finish(self) -> None:
        """Call when the container has ended: all that it printed has been passed on then. Raises what `log`
        did."""
        self._close()
        if self._error is not None:
            raise self._error

    def _close(self) -> None:
        if not self._ended.is_set():
            self._ended.set()
            os.close(self._writing)
            self._thread.join()

    def _run(self) -> None:
        try:
            while data := self._next():
                self._printed.feed(data)
            self._printed.finish()
        except Exception as error:  # for the thread that waits
            self._error = error
        finally:
            os.close(self._reading)  # whoever still writes is refused, and waits for nobody

    def _next(self) -> bytes:
        """Nothing at the end."""
        poll, silent = select.poll(), 0.0
        poll.register(self._reading, select.POLLIN)
        while not poll.poll(LOOK_MILLIS):
            if self._ended.is_set():
                silent += LOOK_MILLIS / 1000
            if silent >= SILENCE_SECONDS:
                return b""
        return os.read(self._reading, READ_SIZE)
