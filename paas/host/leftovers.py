"""Processes of the control plane that outlived a supervisord that was killed.

Most end by themselves (see programs). Celery cannot: it tries to say so first, into a pipe that nobody reads.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Set
from contextlib import suppress

from paas.host.installation import Installation
from paas.host.programs import INGRESS
from paas.linux import processes

GRACE_SECONDS = 3.0


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
    return processes.of_installation(installation.paths.state)


def _signal(these: Iterable[int], number: signal.Signals) -> None:
    for pid in these:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
