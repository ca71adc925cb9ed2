"""Many cgroups' use of disks as that of one, on v1.

Its throttle looks at each cgroup by itself, whatever is above or below it (throtl_pd_init in the kernel's
block/blk-throttle.c). But its hierarchies know nothing of each other: processes that are in many cgroups
everywhere else can be in one where disks are shared and limited, whose limits hold for all of them together.
"""

from __future__ import annotations

from contextlib import suppress

from paas.linux.cgroup_limits import write
from paas.linux.cgroups import Cgroup

ROUNDS = 100


def gather(cgroup: Cgroup, place: Cgroup) -> None:
    """Have every process in `cgroup` use disks as `place`, which must be there and may be the same. Nothing is
    left of `cgroup` in the disks' hierarchy then, where `place` is another. Errors: HostProblem. Idempotent.
    """
    for _ in range(ROUNDS):  # what forks while it is moved is elsewhere with its parent, or found the next time
        astray = strays(cgroup, place)
        if not astray:
            break
        for pid in astray:
            admit(pid, place)
    if place.name != cgroup.name and cgroup.io is not None:
        with suppress(OSError):  # who is in it still is found by `strays`
            cgroup.io.rmdir()


def admit(pid: int, place: Cgroup) -> None:
    """Have a process, and all that it makes from now on, use disks as `place`; one that has ended is fine."""
    assert place.io is not None, "a limit on disks needs their controller"
    with suppress(ProcessLookupError):
        write(place.io / "cgroup.procs", pid)


def strays(cgroup: Cgroup, place: Cgroup) -> set[int]:
    """The processes in `cgroup`, not below it, that use disks as anything but `place`."""
    inside = set(cgroup.direct_pids())
    missing = inside.difference(place.pids_of_io())
    # One that ended between these two looks is not astray.
    return missing.intersection(cgroup.direct_pids()) if missing else missing
