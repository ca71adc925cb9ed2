"""Host programs that stream: a zstd archive in, a base system out.

`paas.linux.command.run` holds a program's whole output; here it can be gigabytes, so it is read as it comes.
"""

from __future__ import annotations

import io
import os
import select
import shlex
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, cast

from paas.errors import CommandFailed, HostProblem
from paas.images.budget import go_on

Log = Callable[[str], None]
LOOK_SECONDS = 0.2
_BUFFER = 1024 * 1024
_KEPT_ENV = ("PATH", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TMPDIR")


@contextmanager
def output_of(
    argv: Sequence[str],
    *,
    log: Log | None = None,
    feed: BinaryIO | None = None,
    look: Callable[[], object] = go_on,
    ended_by: signal.Signals = signal.SIGTERM,
) -> Iterator[BinaryIO]:
    """The program's stdout. Its end, like leaving the block, raises CommandFailed if it failed: whoever
    reads it never takes half an output for a whole one.

    `log` gets its stderr line by line, `feed` is copied to its stdin; both from threads of their own. `look` is
    called again and again while it is read, also while nothing comes, and may raise; any error in the block
    ends the program, by the signal `ended_by`.
    """
    require(argv[0])
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={key: os.environ[key] for key in _KEPT_ENV if key in os.environ} | {"LC_ALL": "C.UTF-8"},
        start_new_session=True,
    ) as process:
        lines: deque[str] = deque(maxlen=40)
        listener = threading.Thread(target=_listen, args=(process.stderr, lines, log), daemon=True)
        threads = [listener]

        def judge() -> None:
            status = process.wait()
            listener.join()
            if status:
                raise CommandFailed(shlex.join(argv), status, "\n".join(lines))

        if feed:
            threads.append(threading.Thread(target=_copy, args=(feed, process.stdin), daemon=True))
        for thread in threads:
            thread.start()
        try:
            output = _Output(cast(BinaryIO, process.stdout), judge, look)
            yield cast(BinaryIO, io.BufferedReader(output, _BUFFER))
        except BaseException:
            process.send_signal(ended_by)
            raise
        finally:
            cast(BinaryIO, process.stdout).close()
            process.wait()
            for thread in threads:
                thread.join()
        judge()


class _Output(io.RawIOBase):
    """A program's stdout that calls `judge` at its end, and `look` until then."""

    def __init__(self, stream: BinaryIO, judge: Callable[[], None], look: Callable[[], object]) -> None:
        self._stream, self._judge, self._look = stream, judge, look
        self._ready = select.poll()
        self._ready.register(stream, select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._look()
        while not self._ready.poll(LOOK_SECONDS * 1000):
            self._look()
        count = os.readv(self._stream.fileno(), [buffer])
        if not count:
            self._judge()
        return count


def require(program: str) -> None:
    if not shutil.which(program):
        raise HostProblem(f"{program} is not installed on this machine", hint=f"apt-get install {program}")


def _listen(stream: BinaryIO, lines: deque[str], log: Log | None) -> None:
    for line in stream:
        text = line.decode("utf-8", "replace").rstrip()
        lines.append(text)
        if log and text:
            log(text)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    try:
        shutil.copyfileobj(source, target, 1024 * 1024)
        target.close()
    except BrokenPipeError:  # the program ended early; its exit status tells why
        return
