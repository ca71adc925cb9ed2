"""A tenant's quota as an administrator sets it, checked against what the tenant uses and the machine has."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any, TypeAlias

from django.db.models import Sum

from paas.errors import BadInput
from paas.idle_time import LEAST_SECONDS, MOST_SECONDS
from paas.specs import BYTES_PER_INODE, MIB
from paas.templatetags.berth import cores, size
from tenants.accounts.in_force import SET, Unit
from tenants.accounts.models import Tenant
from tenants.checks import bad_field
from tenants.containers.models import Container
from tenants.containers.selectors import LIVE
from tenants.containers.sleep_time import written_time
from tenants.fleet.models import Machine

LEAST_MEMORY, LEAST_CPU = 64 * MIB, 50
LEAST_PIDS, MOST_PIDS = 64, 32_768  # the kernel's own default for a machine is 32,768
LEAST_IO, LEAST_OPERATIONS = MIB, 50  # below that nothing starts
MOST_CONTAINERS, MOST_BUILDS = 5000, 32
LEAST_LOG, LEAST_STORE, LEAST_DISK = 16 * 1024, 256 * MIB, 256 * MIB
# What a column holds, so that check_quota can tell of whatever fits why it cannot be.
MOST: dict[Unit, int] = {
    **{"bytes": 2**50, "bytes a second": 2**50},
    **{"cpu": 2**20 * 1000, "number": 2**20, "number a second": 2**20, "idle seconds": MOST_SECONDS},
}
# By the limits' names, in the columns' units; None, of idle seconds alone, is the machine's setting.
Changes: TypeAlias = Mapping[str, int | None]
_AMOUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?)([KMGT]?)")
_SIZES = {"K": 1024, "M": MIB, "G": 1024 * MIB, "T": MIB * MIB}


@dataclass(frozen=True, slots=True)
class Quota:
    """As the columns of Tenant: bytes, thousandths of a core, numbers; `io_…` 0 is no limit. `sleep_after` are
    idle seconds: 0 is never, None leaves it to the machine's setting."""

    memory_bytes: int
    swap_bytes: int
    cpu_millis: int
    pids: int
    disk_bytes: int
    io_bytes: int = 0
    io_operations: int = 0
    containers_at_once: int = 100
    builds_at_once: int = 1
    log_bytes: int = MIB
    store_bytes: int = 10 * 1024 * MIB
    sleep_after: int | None = None

    @classmethod
    def of(cls, tenant: Tenant) -> Quota:
        return cls(**{name: getattr(tenant, name) for name in cls.__dataclass_fields__})

    def with_changes(self, changes: Changes) -> Quota:
        """BadInput names the limit."""
        for name, value in changes.items():
            most = MOST[unit_of(name)]
            if value is not None and not 0 <= value <= most:
                raise bad_field(name, f"{name}={value} is out of range", hint=f"Choose 0 to {most}.")
        columns: dict[str, Any] = {SET[name][0]: value for name, value in changes.items()}
        return replace(self, **columns)

    def changes_from(self, before: Quota) -> dict[str, list[int | None]]:
        """Column -> [before, now] of those that differ."""
        old, new = asdict(before), asdict(self)
        return {name: [old[name], new[name]] for name in new if old[name] != new[name]}


def unit_of(name: str) -> Unit:
    """BadInput, with the nearest one, if no limit has the name."""
    if name in SET:
        return SET[name][1]
    if name == "egress":
        hint = "Set it by its own: berth network set TENANT rate=20M, or on the tenant's page under Network."
        raise bad_field(name, "what may be sent is set with the rest of the network's rules", hint=hint)
    if name == "inodes":
        files = 1024 * MIB // BYTES_PER_INODE
        raise bad_field(name, "inodes come with the disk", hint=f"Set disk: each GiB has {files:,} files.")
    near = difflib.get_close_matches(name, SET, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"The limits are {', '.join(SET)}."
    raise bad_field(name, f"there is no limit {name[:40]!r}", hint=hint)


def amount(name: str, text: str) -> int | None:
    """What a person writes for a limit (2G, 1.5 cores, 512, 30m), in its column's units. BadInput names it."""
    unit, found = unit_of(name), _AMOUNT.fullmatch(text)
    if unit == "idle seconds":
        return written_time(name, text, default="the machine's setting")
    is_size = unit.startswith("bytes")
    scales = _SIZES if is_size else {"": 1000 if unit == "cpu" else 1}
    if text == "0":
        return 0
    if found and found[2] in scales:
        value = Decimal(found[1]) * scales[found[2]]
        if is_size or value == int(value):  # 0.7G is no whole number of bytes, and nobody minds
            return int(value)
    example = "2G, 512M or 64K" if is_size else "cores, as 1.5" if unit == "cpu" else "a whole number"
    raise bad_field(name, f"{name}={text[:40]} is not an amount", hint=f"Write {example}.")


def sent(name: str, value: object) -> int | None:
    """What a program sends for a limit: a number in its column's units, or what a person would write."""
    unit_of(name)
    if isinstance(value, str):
        return amount(name, value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    hint = 'Send a number in the unit of the answer, or a text, such as "2G".'
    raise bad_field(name, f"{name} is neither a whole number nor a text", hint=hint)


def check_quota(tenant: Tenant, quota: Quota, machine: Machine | None) -> None:
    """BadInput of the first thing that is wrong."""
    for wrong in problems(tenant, quota, machine):
        raise wrong


def problems(tenant: Tenant, quota: Quota, machine: Machine | None) -> Iterator[BadInput]:
    """Each names the form's field. A machine not sampled yet sets no upper bound."""
    yield from _of_memory(tenant, quota, machine)
    yield from _of_swap(tenant, quota, machine)
    if quota.cpu_millis < LEAST_CPU:
        yield bad_field("cpu", f"a tenant needs {cores(LEAST_CPU)} cores at least")
    if machine and quota.cpu_millis > machine.cores * 1000:
        yield bad_field("cpu", f"this machine has {machine.cores} cores")
    if not LEAST_PIDS <= quota.pids <= MOST_PIDS:
        yield bad_field("pids", f"choose {LEAST_PIDS} to {MOST_PIDS:,} processes")
    yield from _of_disk(tenant, quota, machine)
    yield from _of_traffic(quota)
    yield from _of_kept(quota, machine)


def _of_swap(tenant: Tenant, quota: Quota, machine: Machine | None) -> Iterator[BadInput]:
    """One that stays as it is is none to refuse: a new tenant's is set before anybody looks at the machine. Nor
    is any where there is no swap: it holds when there is."""
    if quota.swap_bytes < 0:
        yield bad_field("swap", "swap cannot be less than none")
    has = machine.swap_bytes if machine else None
    if has and quota.swap_bytes > has and quota.swap_bytes != tenant.swap_bytes:
        hint = "Choose less, or give it more: bin/up --swap."
        yield bad_field("swap", f"this machine has {size(has)} of swap", hint=hint)


def _of_disk(tenant: Tenant, quota: Quota, machine: Machine | None) -> Iterator[BadInput]:
    """Against the disk as the worker saw it: until a first build or start makes one, nothing has to shrink."""
    made = tenant.in_force.get("disk", {}).get("value") or 0
    if quota.disk_bytes < min(LEAST_DISK, tenant.disk_bytes):
        yield bad_field("disk", f"a tenant needs {size(LEAST_DISK)} at least")
    if quota.disk_bytes < min(made, tenant.disk_bytes):
        yield bad_field("disk", f"a disk never shrinks, and this one has {size(made)}")
    if machine and quota.disk_bytes > machine.disk_bytes:
        yield bad_field("disk", f"this machine's disk has {size(machine.disk_bytes)}")


def _of_traffic(quota: Quota) -> Iterator[BadInput]:
    if 0 < quota.io_bytes < LEAST_IO:
        yield bad_field("io", f"choose {size(LEAST_IO)} a second at least, or 0 for no limit")
    if 0 < quota.io_operations < LEAST_OPERATIONS:
        yield bad_field("operations", f"choose {LEAST_OPERATIONS} a second at least, or 0 for no limit")
    if quota.log_bytes < LEAST_LOG:
        yield bad_field("log", f"choose {size(LEAST_LOG)} a second at least")


def _of_kept(quota: Quota, machine: Machine | None) -> Iterator[BadInput]:
    if not 1 <= quota.containers_at_once <= MOST_CONTAINERS:
        yield bad_field("containers", f"choose 1 to {MOST_CONTAINERS:,} containers")
    if not 1 <= quota.builds_at_once <= MOST_BUILDS:
        yield bad_field("builds", f"choose 1 to {MOST_BUILDS} builds")
    if quota.store_bytes < LEAST_STORE:
        yield bad_field("store", f"a tenant needs {size(LEAST_STORE)} at least")
    if quota.sleep_after and quota.sleep_after < LEAST_SECONDS:
        yield bad_field("sleep", f"choose {LEAST_SECONDS} seconds at least, or 0 for never")
    if machine and quota.store_bytes > machine.disk_bytes:
        yield bad_field("store", f"this machine's disk has {size(machine.disk_bytes)}")


def _of_memory(tenant: Tenant, quota: Quota, machine: Machine | None) -> Iterator[BadInput]:
    if quota.memory_bytes < LEAST_MEMORY:
        yield bad_field("memory", f"a tenant needs {size(LEAST_MEMORY)} at least")
    if machine and quota.memory_bytes > machine.memory_bytes:
        yield bad_field("memory", f"this machine has {size(machine.memory_bytes)}")
    used = memory_in_use(tenant)
    if quota.memory_bytes < used:
        # The kernel would kill what runs (cgroup v2), or refuse every later start (v1).
        hint = "Stop some of its apps first, or choose more."
        yield bad_field("memory", f"its containers use {size(used)} now", hint=hint)


def memory_in_use(tenant: Tenant) -> int:
    rows = Container.objects.filter(tenant=tenant, status__in=LIVE)
    return int(rows.aggregate(used=Sum("memory_bytes"))["used"] or 0)
