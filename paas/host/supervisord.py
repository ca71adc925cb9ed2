"""supervisord, which has imported all of Berth once and forks Berth's own programs from itself.

Each of them would hold some 60 MiB of modules otherwise; like this they share them. Everything else is
supervisord's as ever: names, states, logs, restarts, the order of their ends.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from supervisor import supervisord
from supervisor.options import ServerOptions

from paas.host import forked
from paas.host.installation import Installation
from paas.host.programs import forked_by
from paas.linux import processes
from paas.linux.cgroups import Cgroup

FROM_SUPERVISORD = ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGCHLD", "SIGUSR2")  # ServerOptions.setsignals

WEIGHT = 1000  # all tenants together have the kernel's 100
KEPT_BYTES = 384 * 2**20  # what all of it needs at work; see docs/explanation/memory.md


class Options(ServerOptions):  # type: ignore[misc]  # supervisor has no types
    def execve(self, filename: str, argv: Sequence[str], env: Mapping[str, str]) -> Any:
        """Called in a child, whose descriptors, folder and umask are set. Ours goes on as it is."""
        installation = Installation.from_environment(env)
        ours = forked_by(installation)
        if tuple(argv[: len(ours)]) != ours:
            return super().execve(filename, argv, env)
        name = env["SUPERVISOR_PROCESS_NAME"]
        processes.rename(name, f"berth {name} {installation.paths.state}")
        _forget(env)
        status = forked.main(argv[len(ours) :])
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _forget(env: Mapping[str, str]) -> None:
    """What execve(2) would have ended: supervisord's signal handlers, streams and environment."""
    for name in FROM_SUPERVISORD:
        signal.signal(signal.Signals[name], signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    os.environ.update(env)


def stand_beside_tenants() -> None:
    """Into a cgroup of Berth's own: all that tenants burn together is one share beside ten."""
    cgroup = Cgroup(settings.CONTROL_CGROUP)
    cgroup.create()
    cgroup.prefer(WEIGHT, KEPT_BYTES)
    cgroup.attach(os.getpid())


def main(argv: Sequence[str]) -> None:
    stand_beside_tenants()
    forked.import_all()
    gc.collect()
    gc.freeze()  # a collection in one of them writes to all that it looks at: not to these
    options = Options()
    options.realize(argv)
    options.first, options.test = True, False
    supervisord.go(options)
    options.close_httpservers()
    options.close_logger()


if __name__ == "__main__":
    main(sys.argv[1:])
