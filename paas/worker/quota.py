"""A tenant's quota, brought to the host, read back from there, and mended where somebody changed it."""

from __future__ import annotations

import os
from pathlib import Path

import structlog
from django.conf import settings

from paas.admission import reserve
from paas.errors import BerthError, NotFound
from paas.linux.cgroups import Cgroup, host_tree, io_throttling
from paas.queue import wake
from paas.specs import BYTES_PER_INODE, Effective, Limits
from paas.worker import builds, engine
from paas.worker.rounds import Round
from paas.worker.translate import tenant_spec
from tenants.accounts import observations
from tenants.accounts.in_force import APPLYING, Found
from tenants.accounts.models import Tenant
from tenants.containers import observations as containers
from tenants.containers.models import Container
from tenants.containers.selectors import LIVE

log = structlog.get_logger()
_tenants, _refused, _containers = Round(5), Round(5), Round(5)  # at a look
PAGE = 4096
_CAP_SYS_RESOURCE = 24  # capability.h
GATHERED = "with a limit on the other, cgroup v1 has all containers share what one may have by itself"
DRIFTED = "changed on the host by somebody else; it is being put right"
NEVER_SHRINKS = "a disk never shrinks: it was made before less was asked for"
NOT_HELD = "this kernel limits no disk"
CANNOT_GROW = "no mounted disk grows here, for want of CAP_SYS_RESOURCE: it does after a restart of the machine"


def apply_quota(tenant_id: str) -> None:
    """Idempotent. A tenant that never ran anything gets its quota with its first container. What is refused is
    tried again by `look`."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is None:
        return
    builds.wake_waiting(tenant)
    try:
        if tenant.containers.exists():
            engine.runtime().apply_quota(tenant_spec(tenant))
    except BerthError as error:
        if not tenant.quota_error:  # once, not at each try
            where = getattr(error, "__notes__", [])
            log.warning("quota.refused", tenant=tenant.slug, error=error.summary, where=where)
        observations.quota_refused(tenant, error.summary)
    else:
        observations.quota_applied(tenant)
    for known in Tenant.objects.filter(pk=tenant_id):  # with what is true of it now
        look_at(known)


def hold_all() -> None:
    """All tenants together leave the control plane and the kernel their reserve: when memory runs out, it is
    below this that the kernel looks for what to kill."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    Cgroup(settings.CGROUP_ROOT).hold(memory - reserve(memory))


def look() -> None:
    """The next tenants' limits, and the next containers', as the kernel has them now. The agent does so again
    and again: a limit that is not what was asked for is set once more, whoever changed it, and so is one that
    the host refused."""
    refused = _refused.next(Tenant.objects.exclude(quota_error=""))
    tenants = dict.fromkeys([*_tenants.next(Tenant.objects.all()), *refused])
    drifted = {tenant: _seen(tenant) or [] for tenant in tenants}
    live = Container.objects.filter(status__in=LIVE).select_related("tenant")
    for row in _containers.next(live):
        if _has_drifted(row, tenant_spec(row.tenant).quota):
            drifted.setdefault(row.tenant, []).append(str(row))
    for tenant, limits in drifted.items():
        if limits and _reason(tenant) == DRIFTED:
            log.warning("quota.drifted", tenant=tenant.slug, limits=limits)
            wake("quota", tenant.pk)
        elif tenant.quota_error:
            wake("quota", tenant.pk)


def look_at(tenant: Tenant) -> list[str]:
    """The names of all of its limits that drifted, its containers' too."""
    drifted = _seen(tenant)
    if drifted is None:
        return []
    quota = tenant_spec(tenant).quota
    rows = Container.objects.filter(tenant=tenant, status__in=LIVE)
    return [*drifted, *(str(row) for row in rows if _has_drifted(row, quota))]


def _seen(tenant: Tenant) -> list[str] | None:
    """The names of those of the tenant as a whole; None for one that has nothing on this host."""
    seen = engine.runtime().tenant_effective(tenant.pk)
    if seen is None:
        return None
    spec = tenant_spec(tenant)
    held = {"disks_held": io_throttling(host_tree()), "gathered": host_tree().version == 1}
    found = compared(spec.quota, spec.disk_bytes, seen, **held)
    drifted = [name for name, line in found.items() if line["why"] == DRIFTED]
    for name in drifted:
        found[name]["why"] = _reason(tenant)
    observations.quota_seen(tenant, found)
    return drifted if engine.runtime().holds_writeback(spec) else [*drifted, "writeback"]


def _reason(tenant: Tenant) -> str:
    """Why a limit is not the one that was asked for: nobody changes one while it is being set."""
    if tenant.quota_error:
        return f"the host refused it: {tenant.quota_error}"
    if tenant.quota_set_at and not tenant.quota_applied_at:
        return APPLYING
    return DRIFTED


def _has_drifted(row: Container, quota: Limits) -> bool:
    try:
        seen, is_held = engine.runtime().effective(row.pk), engine.runtime().is_held(row.pk, quota)
    except (NotFound, OSError):  # it ended meanwhile
        return False
    containers.limits_seen(row, seen)
    return not is_held


def compared(
    asked: Limits, disk_bytes: int, seen: Effective, *, disks_held: bool = True, gathered: bool = False
) -> Found:
    """Name -> what is in force, and why it differs. `disks_held`: whether limits on disks can be in force;
    `gathered`: whether all of a tenant's containers share them (see paas.runtime.limits)."""
    memory, swap = asked.memory_bytes // PAGE * PAGE, asked.swap_bytes // PAGE * PAGE

    def io(seen: int | None, asked: int, other: int) -> dict[str, int | str | None]:
        if not disks_held:
            return _line(seen, NOT_HELD if asked else "")
        if gathered and other and not asked:
            return _line(seen, GATHERED if seen else "")
        return _line(seen, _drift(seen, asked or None))

    found: Found = {
        "memory": _line(seen.memory_bytes, _drift(seen.memory_bytes, memory)),
        "cpu": _line(seen.cpu_millis, _drift(seen.cpu_millis, asked.cpu_millis)),
        "pids": _line(seen.pids, _drift(seen.pids, asked.pids)),
        "swap": _line(seen.swap_bytes, _swap(seen, swap), seen.swap_used),
        "io": io(seen.io_bytes, asked.io_bytes, asked.io_operations),
        "operations": io(seen.io_operations, asked.io_operations, asked.io_bytes),
    }
    if seen.disk_whole is not None:
        found["disk"] = _line(seen.disk_whole, _disk(seen.disk_whole, disk_bytes), seen.disk_used)
        found["inodes"] = _line(seen.inodes, _inodes(seen, disk_bytes), seen.inodes_used)
    return found


def _line(value: int | None, why: str, used: int | None = None) -> dict[str, int | str | None]:
    return {"value": value, "used": used, "why": why}


def _drift(seen: int | None, asked: int | None) -> str:
    return "" if seen == asked else DRIFTED


def _swap(seen: Effective, asked: int) -> str:
    if seen.swap_bytes is None and seen.memory_bytes is not None:
        return "this kernel counts no swap: all of the machine's may be used"
    return _drift(seen.swap_bytes, asked)


def _disk(whole: int, asked: int) -> str:
    if whole >= asked:
        return NEVER_SHRINKS if whole > asked else ""
    return CANNOT_GROW if not _may_grow() else "it is growing"


def _inodes(seen: Effective, disk_bytes: int) -> str:
    if seen.inodes is None or seen.inodes >= disk_bytes // BYTES_PER_INODE:
        return ""
    if seen.disk_whole is not None and seen.disk_whole >= disk_bytes:
        return "ext4 adds them with each 128 MiB that the disk grows"  # of a block group, at 4 KiB a block
    return "there are more when the disk has grown"


def _may_grow() -> bool:
    """ext4 asks for CAP_SYS_RESOURCE (proc(5): CapEff)."""
    rows = Path("/proc/self/status").read_text().splitlines()
    mask = next(int(row.split()[1], 16) for row in rows if row.startswith("CapEff:"))
    return bool(mask >> _CAP_SYS_RESOURCE & 1)
