"""Lines that say what is going on: a running second count on a terminal, one plain line a step elsewhere."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Note = Callable[[str], None]


class Progress:
    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._live = out.isatty()
        self._detail = ""

    @contextmanager
    def step(self, title: str) -> Iterator[Note]:
        """Print `title` with its seconds when it ends, with a cross when it raises.

        The step says what it is doing through what it is given.
        """
        self._detail = ""
        began, ended = time.monotonic(), threading.Event()
        ticker = threading.Thread(target=self._tick, args=(title, began, ended), daemon=True)
        if self._live:
            ticker.start()
        mark = "✗"
        try:
            yield self._note
            mark = "✓"
        finally:
            ended.set()
            if self._live:
                ticker.join()
            self._line(f"  {mark} {title}  {time.monotonic() - began:.1f} s\n")

    def say(self, text: str = "") -> None:
        self._line(text + "\n")

    def _note(self, detail: str) -> None:
        self._detail = detail
        if not self._live:
            self._line(f"    {detail}\n")

    def _tick(self, title: str, began: float, ended: threading.Event) -> None:
        while not ended.wait(0.2):
            detail = f"  ({self._detail})" if self._detail else ""
            line = f"  … {title}  {time.monotonic() - began:.0f} s{detail}"
            self._line(line[: shutil.get_terminal_size().columns - 1])

    def _line(self, text: str) -> None:
        self._out.write(f"\r\033[K{text}" if self._live else text)
        self._out.flush()
