"""What of this machine containers' configs depend on."""

from __future__ import annotations

import resource
from functools import cache
from pathlib import Path

from paas.linux.cgroups import host_tree, swap_accounting
from paas.runtime import conmon
from paas.runtime.bundle import MASKED_PATHS, Host

INITS = ("tini-static", "catatonit")


@cache
def this_host() -> Host:
    """Looked up once a process."""
    tree = host_tree()
    return Host(
        cgroup_version=tree.version,
        swap_accounting=swap_accounting(tree),
        init=conmon.first_program(INITS),
        nofile_hard=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        sigpending_hard=resource.getrlimit(resource.RLIMIT_SIGPENDING)[1],
        folders=frozenset(path for path in MASKED_PATHS if Path(path).is_dir()),
    )
