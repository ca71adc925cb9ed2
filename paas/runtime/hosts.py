"""What of this machine containers' configs depend on."""

from __future__ import annotations

import resource
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from paas.linux.cgroups import host_tree, swap_accounting
from paas.runtime import conmon
from paas.runtime.bundle import MASKED_PATHS, Host

INITS = ("tini-static", "catatonit")
BLOCK = Path("/sys/block")


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
        folders=frozenset(path for path in hidden_paths() if Path(path).is_dir()),
    )


def hidden_paths() -> tuple[str, ...]:
    """All that no container may see. A disk that is plugged in below another bus than any before is hidden from
    what starts after the worker did so itself; until then the isolation report tells of it."""
    return tuple(dict.fromkeys((*MASKED_PATHS, *of_disks(device.readlink() for device in BLOCK.iterdir()))))


def of_disks(links: Iterable[Path]) -> list[str]:
    """Where the disks that /sys/block links to (../devices/pci0000:00/…/block/vda) are: each bus as a whole,
    which is one folder to hide for all of its disks, and nothing in it is a container's. What is virtual has
    a folder for each kind, among them the network, which a container has its own of."""
    found = set()
    for link in links:
        _, devices, bus, kind, *_ = link.parts
        found.add(f"/sys/{devices}/{bus}/{kind}" if bus == "virtual" else f"/sys/{devices}/{bus}")
    return sorted(found)
