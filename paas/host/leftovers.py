"""Processes of the control plane that outlived a supervisord that was killed.

Most end by themselves (see programs). Celery cannot: it tries to say so first, into a pipe that nobody reads.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Set
from contextlib import suppress
from pathlib import Path

from paas.host.installation import Installation
from paas.host.programs import INGRESS

GRACE_SECONDS = 3.0
NAME = "SUPERVISOR_PROCESS_NAME="


def end(installation: Installation) -> None:
    """End them, when no supervisord runs; the ingress last, for it serves the apps until then.

    Containers are not among them: conmon has a clean environment.
    """
    ingress = {pid for pid, name in found(installation).items() if name == INGRESS}
    _end(installation, found(installation).keys() - ingress)
    _end(installation, ingress)


def _end(installation: Installation, these: Set[int]) -> None:
    _signal(these, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while (left := these & found(installation).keys()) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal(left, signal.SIGKILL)


def found(installation: Installation) -> dict[int, str]:
    """Process -> the program that it is of, of those that a supervisord started for this installation."""
    state = f"BERTH_STATE={installation.paths.state}"
    processes = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            variables = os.fsdecode((process / "environ").read_bytes()).split("\0")
            names = [v.removeprefix(NAME) for v in variables if v.startswith(NAME)]
            if state in variables and names:
                processes[int(process.name)] = names[0]
    return processes


def _signal(these: Iterable[int], number: signal.Signals) -> None:
    for pid in these:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
