"""Processes of the control plane that outlived a supervisord that was killed.

Most end by themselves (see programs). Celery cannot: it tries to say so first, into a pipe that nobody reads.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from paas.host.installation import Installation

GRACE_SECONDS = 3.0


def end(installation: Installation) -> list[int]:
    """End them, when no supervisord runs. Containers are not among them: conmon has a clean environment."""
    found = pids(installation)
    _signal(found, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while pids(installation) and time.monotonic() < deadline:
        time.sleep(0.1)
    _signal(pids(installation), signal.SIGKILL)
    return found


def pids(installation: Installation) -> list[int]:
    """Those that a supervisord started with this installation's settings."""
    state = f"BERTH_STATE={installation.paths.state}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            variables = (process / "environ").read_bytes().split(b"\0")
            if state in variables and any(v.startswith(b"SUPERVISOR_PROCESS_NAME=") for v in variables):
                found.append(int(process.name))
    return found


def _signal(found: Iterable[int], number: signal.Signals) -> None:
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
