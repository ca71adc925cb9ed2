"""Staying in the foreground: `bin/up` without --detach ends what it started when it is interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from paas.host import stop
from paas.host.alone import alone
from paas.host.installation import Installation
from paas.host.progress import Progress
from paas.host.supervisor import Supervisor


def stay(installation: Installation, progress: Progress, again: Callable[[], object]) -> int:
    """Until Ctrl-C or SIGTERM, which stop the control plane, or until bin/down elsewhere has stopped it.

    Calls `again`, which brings everything up, when supervisord has died.
    """
    supervisor, asked = Supervisor(installation), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    progress.say("\n  Ctrl-C stops the control plane; apps go on serving. `bin/up --detach` returns at once.")
    while not asked.wait(2.0):
        if died(installation, supervisor):
            with alone(installation, progress):
                if died(installation, supervisor):  # and not ended by a bin/down or another bin/up meanwhile
                    progress.say("\n  supervisord died. Starting again")
                    again()
        elif not stop.running_programs(supervisor):
            progress.say("  The control plane was stopped from elsewhere.")
            return 0
    progress.say("\n  Stopping")
    stop.control_plane(installation, progress)
    return 0


def died(installation: Installation, supervisor: Supervisor) -> bool:
    """Whether supervisord is gone untold: bin/down keeps it, and bin/down --all takes its folder away."""
    return installation.supervisor_pid.parent.exists() and not supervisor.is_running()
