"""Work of Berth's own for a tenant that reads or writes much, in the tenant's cgroup: the quota holds it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from paas.errors import HostProblem, StepFailed
from paas.linux import forked, written_through
from paas.linux.cgroups import Cgroup
from paas.linux.oom_order import FIRST
from paas.runtime import space
from paas.runtime.limits import Hold
from paas.runtime.space import Space
from paas.specs import Limits, TenantSpec

T = TypeVar("T")
_PREFIX = "files-"


def run(
    own: Space,
    tenant: TenantSpec,
    work: Callable[[], T],
    *,
    name: str,
    limits: Limits,
    look: Callable[[], object],
) -> T:
    """See paas.linux.forked. One at a time has this `name`. StepFailed when the limits are too low for it."""
    cgroup = Cgroup(f"{own.slice.name}/{_PREFIX}{name}")
    hold = Hold(own.slice, cgroup, space.disk_of(own.paths.state))

    def enter() -> None:
        Path("/proc/self/oom_score_adj").write_text(str(FIRST))
        cgroup.attach(os.getpid())
        hold.admit(os.getpid())
        if tenant.quota.io_bytes or tenant.quota.io_operations:
            written_through.begin()

    try:
        with space.shared(own):
            quota = space.in_force(own, tenant).quota
            cgroup.create(space.within(limits, quota))
            hold.begin(limits, quota)
        return forked.run(work, enter=enter, look=look)
    except forked.Ended as ended:
        if not cgroup.oom_kills():
            raise HostProblem(f"a step's process ended with {ended.status}", retryable=True) from ended
        raise StepFailed(
            "it needed more memory than there was for it",
            hint="put fewer or smaller files into the image, or ask an administrator for more memory",
        ) from ended
    finally:
        end(cgroup)


def left(cgroup_root: str) -> Iterator[tuple[str, Cgroup]]:
    """The name and the cgroup of each that is there. A worker that is killed leaves the cgroup alone."""
    for folder in Cgroup(cgroup_root).folder("pids").glob(f"*/{_PREFIX}*"):
        name = f"{cgroup_root}/{folder.parent.name}/{folder.name}"
        yield folder.name.removeprefix(_PREFIX), Cgroup(name)


def end(cgroup: Cgroup) -> None:
    cgroup.kill()
    cgroup.remove()
