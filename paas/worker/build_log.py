"""A build's log file."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from paas.errors import BerthError, HostProblem
from paas.images.durable import room_for

LOG_MAX = 16 * 1024 * 1024


class BuildLog:
    """The build's log file, unbuffered so that followers see each line; readable by the web process.

    After LOG_MAX bytes no more is kept, but for Berth's own last words; nor what a full disk does not take,
    since a build must be able to end on one. Its row has the error, too.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._left = path, LOG_MAX

    def __enter__(self) -> BuildLog:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("wb", buffering=0)
        shutil.chown(self._path, group=settings.GROUP)
        self._path.chmod(0o640)
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def __call__(self, data: bytes) -> None:
        if self._left <= 0:
            return
        self._write(data[: self._left])
        self._left -= len(data)
        if self._left <= 0:
            self._say(f"\nThe log is longer than {LOG_MAX >> 20} MiB: the rest of it is not kept.\n")

    def error(self, error: BerthError) -> None:
        hint = f"\nHint: {error.hint}" if error.hint else ""
        self._say(f"\nError: {error.summary}{hint}\n")

    def end(self, text: str) -> None:
        self._say(text)

    def _say(self, text: str) -> None:
        self._write(text.encode())

    def _write(self, data: bytes) -> None:
        with suppress(HostProblem), room_for("the log"):
            self._file.write(data)
