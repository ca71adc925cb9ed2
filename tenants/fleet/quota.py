"""A tenant's quota as an administrator sets it, checked against what the tenant uses and the machine has."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from django.db.models import Sum

from paas.specs import MIB
from paas.templatetags.berth import cores, size
from tenants.accounts.models import Tenant
from tenants.checks import bad_field
from tenants.containers.models import Container
from tenants.containers.selectors import LIVE
from tenants.fleet.models import Machine

LEAST_MEMORY, LEAST_CPU = 64 * MIB, 50
LEAST_PIDS, MOST_PIDS = 64, 32_768  # the kernel's own default for a machine is 32,768


@dataclass(frozen=True, slots=True)
class Quota:
    """As the columns of Tenant: bytes, thousandths of a core, a number of processes."""

    memory_bytes: int
    swap_bytes: int
    cpu_millis: int
    pids: int
    disk_bytes: int

    @classmethod
    def of(cls, tenant: Tenant) -> Quota:
        return cls(**{name: getattr(tenant, name) for name in cls.__dataclass_fields__})

    def changes_from(self, before: Quota) -> dict[str, list[int]]:
        """Column -> [before, now] of those that differ."""
        old, new = asdict(before), asdict(self)
        return {name: [old[name], new[name]] for name in new if old[name] != new[name]}


def check_quota(tenant: Tenant, quota: Quota, machine: Machine | None) -> None:
    """BadInput that names the form's field. A machine not sampled yet sets no upper bound."""
    _check_memory(tenant, quota, machine)
    if quota.swap_bytes < 0:
        raise bad_field("swap", "swap cannot be less than none")
    if quota.cpu_millis < LEAST_CPU:
        raise bad_field("cpu", f"a tenant needs {cores(LEAST_CPU)} cores at least")
    if machine and quota.cpu_millis > machine.cores * 1000:
        raise bad_field("cpu", f"this machine has {machine.cores} cores")
    if not LEAST_PIDS <= quota.pids <= MOST_PIDS:
        raise bad_field("pids", f"choose {LEAST_PIDS} to {MOST_PIDS:,} processes")
    if quota.disk_bytes < tenant.disk_bytes:
        raise bad_field("disk", f"a disk never shrinks, and this one has {size(tenant.disk_bytes)}")
    if machine and quota.disk_bytes > machine.disk_bytes:
        raise bad_field("disk", f"this machine's disk has {size(machine.disk_bytes)}")


def _check_memory(tenant: Tenant, quota: Quota, machine: Machine | None) -> None:
    if quota.memory_bytes < LEAST_MEMORY:
        raise bad_field("memory", f"a tenant needs {size(LEAST_MEMORY)} at least")
    if machine and quota.memory_bytes > machine.memory_bytes:
        raise bad_field("memory", f"this machine has {size(machine.memory_bytes)}")
    used = memory_in_use(tenant)
    if quota.memory_bytes < used:
        # The kernel would kill what runs (cgroup v2), or refuse every later start (v1).
        hint = "Stop some of its apps first, or choose more."
        raise bad_field("memory", f"its containers use {size(used)} now", hint=hint)


def memory_in_use(tenant: Tenant) -> int:
    rows = Container.objects.filter(tenant=tenant, status__in=LIVE)
    return int(rows.aggregate(used=Sum("memory_bytes"))["used"] or 0)
