"""A tenant's limits as asked for beside those in force, for its pages, the API and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from django.conf import settings
from django.db.models import Sum

from paas.specs import BYTES_PER_INODE
from paas.templatetags.berth import size
from tenants.accounts.models import Tenant

APPLYING = "it is being applied"
Unit = Literal[
    "bytes", "bytes a second", "bytes sent a second", "cpu", "number", "number a second", "idle seconds"
]
# Name -> {"value": …, "used": …, "why": …}, as the worker saw it; None for what is not limited or not known.
Found: TypeAlias = dict[str, dict[str, Any]]

_KERNEL: tuple[tuple[str, str, Unit, str], ...] = (
    ("memory", "Memory", "bytes", "memory_bytes"),
    ("swap", "Swap", "bytes", "swap_bytes"),
    ("cpu", "CPU", "cpu", "cpu_millis"),
    ("pids", "Processes", "number", "pids"),
    ("io", "Disk traffic", "bytes a second", "io_bytes"),
    ("operations", "Disk operations", "number a second", "io_operations"),
    ("disk", "Disk", "bytes", "disk_bytes"),
)
_OURS: tuple[tuple[str, str, Unit, str], ...] = (
    ("containers", "Containers", "number", "containers_at_once"),
    ("builds", "Builds at once", "number", "builds_at_once"),
    ("log", "Log output", "bytes a second", "log_bytes"),
    ("store", "Images, sources, logs", "bytes", "store_bytes"),
    ("sleep", "Idle apps sleep after", "idle seconds", "sleep_after"),
)
# Name -> the column that says what was set, and its unit.
SET: dict[str, tuple[str, Unit]] = {name: (column, unit) for name, _, unit, column in (*_KERNEL, *_OURS)}


@dataclass(frozen=True, slots=True)
class Line:
    """`effective` is what holds now: None for no limit. `why` it is not what was asked for. Idle
    seconds are 0 for never, and None where nothing was asked for: then the machine's setting holds."""

    name: str
    label: str
    unit: Unit
    asked: int | None
    effective: int | None
    used: int | None = None
    why: str = ""
    known: bool = True  # False until something of the tenant has been on the host

    @property
    def differs(self) -> bool:
        """A disk may have a few files more than were asked for: that has no reason, and is none to tell."""
        return self.known and self.effective != self.asked and bool(self.why)


def lines(tenant: Tenant) -> list[Line]:
    """In the order of the form."""
    found: Mapping[str, Mapping[str, Any]] = tenant.in_force
    now = _used_now(tenant)
    wanted = [
        Line(name, label, unit, getattr(tenant, column), None, now.get(name))
        for name, label, unit, column in _KERNEL
    ]
    wanted.append(Line("inodes", "Files", "number", tenant.disk_bytes // BYTES_PER_INODE, None))
    kernel = [_kernel(line, found.get(line.name)) for line in wanted]
    if tenant.quota_set_at and not tenant.quota_applied_at and not tenant.quota_error:
        # What was seen is of before.
        kernel = [line if line.effective == line.asked else _applying(line) for line in kernel]
    used = {"containers": _containers(tenant), "builds": _builds(tenant), "store": tenant.store_used}
    why = {"log": _dropped(tenant)}
    machine = {"sleep_after": settings.SLEEP_AFTER}
    ours = [
        Line(name, label, unit, value, default if value is None else value, used.get(name), why.get(name, ""))
        for name, label, unit, value, default in (
            (n, text, u, getattr(tenant, c), machine.get(c)) for n, text, u, c in _OURS
        )
    ]
    return [*kernel, _egress(tenant), *ours]


def _egress(tenant: Tenant) -> Line:
    """Set and read with the rest of the network's rules, tenants.fleet.actions.set_egress. 0 is no limit."""
    name, label, why = "egress", "Sent out of the machine", tenant.egress_error
    asked, held = tenant.egress_rate or None, tenant.egress_rate_held or None
    line = Line(name, label, "bytes sent a second", asked, held, why=why, known=bool(tenant.egress_held))
    is_set = tenant.egress_set_at is None or tenant.egress_applied_at is not None
    return line if is_set or held == asked else _applying(line)


def _applying(line: Line) -> Line:
    return replace(line, why=line.why or APPLYING)


def _kernel(line: Line, seen: Mapping[str, Any] | None) -> Line:
    """With what was seen of it. 0 is no limit on the use of disks."""
    asked = None if line.name in ("io", "operations") and not line.asked else line.asked
    if seen is None:
        return replace(line, asked=asked, known=False)
    used = seen["used"] if line.used is None else line.used
    return replace(line, asked=asked, effective=seen["value"], used=used, why=seen["why"])


def _used_now(tenant: Tenant) -> dict[str, int]:
    """As the agent sampled it last, of all that runs: a build's steps too."""
    columns = {"memory": "memory_bytes", "cpu": "cpu_millis", "pids": "pids"}
    sums = {name: Sum(column, default=0) for name, column in columns.items()}
    return dict(tenant.containers.exclude(status="stopped").aggregate(**sums))


def _containers(tenant: Tenant) -> int:
    """Of those that count; their folder is to the right of this one, so by its rows' name."""
    rows = tenant.containers.exclude(status="stopped")
    processes = rows.filter(kind="process").values("app", "process_type", "index").distinct()
    return processes.count() + rows.filter(kind="command").count()


def _dropped(tenant: Tenant) -> str:
    rows = tenant.containers.exclude(status="stopped")
    lost = rows.aggregate(lost=Sum("log_dropped_bytes"))["lost"]
    return f"{size(lost)} of what runs now were dropped" if lost else ""


def _builds(tenant: Tenant) -> int:
    return tenant.apps.filter(builds__status="running").count()
