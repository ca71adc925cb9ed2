"""How densely the machine is used, and how much more fits: pure, in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from paas.admission import OVERCOMMIT, reserve
from paas.specs import MIB

ASLEEP = 2 * MIB  # what is left in memory of a small app that sleeps
Bound = Literal["memory", "swap", "limits"]
BOUNDS: dict[Bound, str] = {
    "memory": "memory is what would be used up first",
    "swap": "swap is what would be used up first: “bin/up --swap” makes more",
    "limits": "limits may add up to 20 times memory and swap, and would",
}
VM_OVERHEAD = 160 * MIB  # a kernel and what runs beside the app, in a small virtual machine


@dataclass(frozen=True, slots=True)
class Totals:
    """Of the machine (`memory`, `available`, `disk`, `stalled`: thousandths of the last minute by processor,
    memory, disk) and of all live containers. `disk_promised` is what all tenants' disks, which are sparse
    files, may grow to. `saved`: what those that sleep would take more. Others:
    paas.specs.Reading and Weight."""

    memory: int
    available: int
    reserved: int
    used: int
    anonymous: int
    file: int
    mapped: int
    swap: int
    containers: int
    asleep: int
    shared_memory: int = 0
    saved: int = 0
    unshared_bytes: int = 0
    shared_bytes: int = 0
    files_used: int = 0
    files_part: int = 0
    disk: int = 0
    disk_promised: int = 0
    stalled: tuple[int | None, int | None, int | None] = (None, None, None)
    swap_total: int = 0
    swap_free: int = 0

    @property
    def overcommit(self) -> float:
        """Limits of all containers against the machine's memory: 1.0 is all of it promised once."""
        return self.reserved / self.memory if self.memory else 0.0

    @property
    def disk_overcommit(self) -> float:
        """The same of the tenants' disks and the machine's."""
        return self.disk_promised / self.disk if self.disk else 0.0

    @property
    def files_saved(self) -> int:
        """Page cache that would be needed beside, if nothing read a file that another has read."""
        return max(0, self.files_used - self.files_part)

    def fits(self, size: int, asleep_percent: int) -> tuple[int, Bound]:
        """How many more apps that need `size` when awake, of which so many sleep; and what there is not enough
        of for more: "memory", "swap", or "limits", which may add up to so much only (paas.admission)."""
        each = (size * (100 - asleep_percent) + ASLEEP * asleep_percent) // 100
        swapped = max(0, size - ASLEEP) * asleep_percent // 100
        bounds: list[tuple[int, Bound]] = [
            (max(0, self.available - reserve(self.memory)) // max(each, MIB), "memory"),
            (max(0, OVERCOMMIT * (self.memory + self.swap_total) - self.reserved) // max(size, MIB), "limits"),
        ]
        if swapped:
            bounds.append((self.swap_free // swapped, "swap"))
        return min(bounds)

    def as_machines(self, size: int) -> int:
        """Bytes that the same containers would take, each in a virtual machine of its own of that size."""
        return self.containers * (size + VM_OVERHEAD)
