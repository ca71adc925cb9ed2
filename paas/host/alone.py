"""One bin/up or bin/down at a time for an installation; another waits, and finds things as they are then."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from paas.host.installation import Installation
from paas.host.progress import Progress


@contextmanager
def alone(installation: Installation, progress: Progress) -> Iterator[None]:
    state = installation.paths.state
    if not state.exists():  # nothing to be alone with, and bin/down makes no folder
        yield
        return
    with (state / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("  Waiting for the end of another bin/up or bin/down")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
