"""What a container is held to beneath its tenant's quota, and where that is.

On v2 the container's cgroup has its limits and the tenant's slice has the quota: the kernel holds both. So it
is on v1, except for disks, where it looks at each cgroup by itself (see paas.linux.io_group): a tenant's
containers are each in their own cgroup while it has no quota of disk traffic, and all of them in the slice, in
the disks' hierarchy alone, while it has one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from paas.linux import io_group
from paas.linux.cgroup_limits import Refusals
from paas.linux.cgroups import PAGE, Cgroup, io_throttling
from paas.runtime.space import within
from paas.specs import Effective, Limits


@dataclass(frozen=True, slots=True)
class Hold:
    """Of one container. `disk` is what is limited, by its MAJOR:MINOR; None where no disk is known."""

    slice: Cgroup
    container: Cgroup
    disk: str | None

    def apply(self, limits: Limits, quota: Limits) -> None:
        """Have it held to its limits within that quota. Errors: LimitRefused when it holds more memory; all
        others are in force then."""
        refused = Refusals()
        with refused.noted():
            self.container.limit(within(limits, quota))
        if self._is_apart() and self._place(quota) is self.container:
            self.container.create()
        self._limit_io(limits, quota)
        if self._on_v1:
            io_group.gather(self.container, self._place(quota))
        refused.tell()

    def begin(self, limits: Limits, quota: Limits) -> None:
        """The same for one that the OCI runtime just made, with all limits but those on disks."""
        self._limit_io(limits, quota)
        if self._place(quota) is self.slice:
            io_group.gather(self.container, self.slice)

    def admit(self, pid: int) -> None:
        """Have a process that the OCI runtime is to make beside the container's first one, as a child of `pid`,
        born where the container is. By itself crun leaves it where it was born in each hierarchy that the
        container has no cgroup in (enter_cgroup_subsystem in crun's cgroup-setup.c)."""
        if self._is_apart():
            io_group.admit(pid, self.slice)

    def is_held(self, limits: Limits, quota: Limits) -> bool:
        """Whether it is held so, by the cgroup that all of it is in."""
        wanted, found, place = within(limits, quota), self.effective(), self._place(quota)
        asked = wanted.memory_bytes // PAGE * PAGE, wanted.cpu_millis, wanted.pids
        if (found.memory_bytes, found.cpu_millis, found.pids) != asked:
            return False
        if self._on_v1 and io_group.strays(self.container, place):
            return False
        return place.holds_io(self._io_limits(limits, quota), self.disk)

    def effective(self) -> Effective:
        """As the kernel has it now; of the disk it may be what all of the tenant's containers have together."""
        found = self.container.effective(self.disk)
        if not self._is_apart():
            return found
        whole = self.slice.effective(self.disk)
        return replace(found, io_bytes=whole.io_bytes, io_operations=whole.io_operations)

    @property
    def _on_v1(self) -> bool:
        return self.container.tree.version == 1 and self.container.io is not None

    def _place(self, quota: Limits) -> Cgroup:
        """Which cgroup's limits on disks are to hold it."""
        is_wanted = self.disk is not None and (quota.io_bytes or quota.io_operations)
        is_to_gather = is_wanted and self._on_v1 and io_throttling(self.slice.tree)
        return self.slice if is_to_gather else self.container

    def _is_apart(self) -> bool:
        """Whether it is in the slice now; then it has nothing of its own in the disks' hierarchy."""
        own = self.container.io
        return self._on_v1 and own is not None and not own.is_dir()

    def _limit_io(self, limits: Limits, quota: Limits) -> None:
        place, wanted = self._place(quota), self._io_limits(limits, quota)
        # To write the same again for those who run in a slice already would begin the kernel's count anew.
        if place is self.container or not place.holds_io(wanted, self.disk):
            place.limit_io(wanted, self.disk)

    def _io_limits(self, limits: Limits, quota: Limits) -> Limits:
        """Where only one of the two kinds has a quota, a container's own limit of the other holds for all: with
        none a tenant could take the disk from the others."""
        if self._place(quota) is self.container:
            return within(limits, quota)
        return replace(
            quota,
            io_bytes=quota.io_bytes or limits.io_bytes,
            io_operations=quota.io_operations or limits.io_operations,
        )
