"""A build's log file."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from paas.errors import BerthError, HostProblem
from paas.images.durable import room_for

LOG_MAX = 16 * 1024 * 1024
END_MAX = 1024 * 1024  # of them for the end, where the cause of a failure stands


class BuildLog:
    """The build's log file, unbuffered so that followers see each line; readable by the web process.

    Of one that is longer than LOG_MAX its beginning is kept, and its end, which is written when the build has
    ended; nothing that a full disk does not take, since a build must be able to end on one. Its row has the
    error, too.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._left = path, LOG_MAX - END_MAX
        self._end, self._left_out = bytearray(), 0

    def __enter__(self) -> BuildLog:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("wb", buffering=0)
        shutil.chown(self._path, group=settings.GROUP)
        self._path.chmod(0o640)
        return self

    def __exit__(self, *exc: object) -> None:
        self._write_end()
        self._file.close()

    def __call__(self, data: bytes) -> None:
        if self._left:
            data = self._begin(data)
        self._end += data
        if len(self._end) > 2 * END_MAX:
            self._shorten()

    def error(self, error: BerthError) -> None:
        hint = f"\nHint: {error.hint}" if error.hint else ""
        self.end(f"\nError: {error.summary}{hint}\n")

    def end(self, text: str) -> None:
        """Berth's own last words. All that came before them is in the file then."""
        self._write_end()
        self._write(text.encode())

    def _begin(self, data: bytes) -> bytes:
        """What is of the end already."""
        if len(data) < self._left:
            self._write(data)
            self._left -= len(data)
            return b""
        whole = data.rfind(b"\n", 0, self._left) + 1
        self._write(data[:whole])
        self._left = 0
        self._write(b"\nThe log is long: what follows is shown when the build has ended.\n\n")
        return data[whole:]

    def _shorten(self) -> None:
        """To its last whole lines."""
        at = self._end.find(b"\n", len(self._end) - END_MAX - 1) + 1 or len(self._end) - END_MAX
        self._left_out += at
        del self._end[:at]

    def _write_end(self) -> None:
        if len(self._end) > END_MAX:
            self._shorten()
        if self._left_out:
            most = f"it is longer than {LOG_MAX >> 20} MiB"
            self._write(f"{self._left_out:,} bytes of the log are left out here: {most}.\n\n".encode())
        self._write(bytes(self._end))
        self._end.clear()
        self._left_out = 0

    def _write(self, data: bytes) -> None:
        with suppress(HostProblem), room_for("the log"):
            self._file.write(data)
