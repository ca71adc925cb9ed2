"""What is promised of a tenant as a whole: its quota, its disk, its views. Read and judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paas.isolation import gather
from paas.isolation.facts import Here, quota_of
from paas.isolation.judge import judge_swap, judge_traffic, limit_problems, shown
from paas.isolation.rows import Found, Promise, Row, rows, verdict
from paas.runtime.space import Space, effective
from paas.specs import Effective, TenantSpec

NOTHING_RUNS = Found("n/a", "nothing of it is on this machine now")


@dataclass(frozen=True, slots=True)
class TenantCase:
    tenant: TenantSpec
    held: Effective | None  # None where it has no control group
    here: Here


def judge(place: gather.Place, tenant: TenantSpec, here: Here) -> tuple[Row, ...]:
    own = Space(place.paths, place.cgroup_root, tenant.id)
    held = effective(own) if own.slice.exists() else None
    return rows(PROMISES, TenantCase(tenant, held, here))


def _quota(case: TenantCase) -> Found:
    if case.held is None:
        return NOTHING_RUNS
    return verdict(limit_problems(case.held, quota_of(case.tenant.quota)), shown(case.held))


def _swap(case: TenantCase) -> Found:
    if case.held is None:
        return NOTHING_RUNS
    return judge_swap(case.held, quota_of(case.tenant.quota), case.here.limits_swap)


def _traffic(case: TenantCase) -> Found:
    if case.held is None:
        return NOTHING_RUNS
    return judge_traffic(case.held, quota_of(case.tenant.quota), case.here.limits_disks)


def _disk(case: TenantCase) -> Found:
    disk = case.here.points.get(str(case.here.disks / case.tenant.id))
    if disk is None:
        return NOTHING_RUNS
    problems = [f"it is a {disk.kind}"] if disk.kind != "ext4" else []
    problems += [f"mounted without {name}" for name in ("nosuid", "nodev") if name not in disk.options]
    problems += [
        f"{mount.point} is on it"
        for mount in case.here.mounts[disk.device]
        if not _is_its_own(Path(mount.point), case)
    ]
    return verdict(problems, "a file system of its own, without setuid programs and devices")


def _is_its_own(point: Path, case: TenantCase) -> bool:
    return point in (case.here.disks / case.tenant.id, case.here.disk_views / case.tenant.id)


def _views(case: TenantCase) -> Found:
    if str(case.here.disks / case.tenant.id) not in case.here.points:
        return NOTHING_RUNS
    return verdict(_view_problems(case), "the layers read-only, the disk to write; ids shifted, setuid ignored")


def _view_problems(case: TenantCase) -> Iterator[str]:
    for folder, name, needs in (
        (case.here.layer_views, "layers", ("ro", "nosuid", "nodev", "idmapped")),
        (case.here.disk_views, "disk", ("nosuid", "nodev", "idmapped")),
    ):
        view = case.here.points.get(str(folder / case.tenant.id))
        if view is None:
            yield f"no view of the {name}"
        else:
            yield from (f"the view of the {name} is not {need}" for need in needs if need not in view.options)


PROMISES: tuple[Promise[TenantCase], ...] = (
    Promise(
        "quota", "Quota", "One control group holds what all of the tenant's processes may use together.", _quota
    ),
    Promise("quota-swap", "Quota of swap", "The same of swap.", _swap),
    Promise("quota-traffic", "Quota of disk traffic", "The same of what is read and written.", _traffic),
    Promise("disk", "Disk", "A file system of the tenant's own, which fills up for nobody else.", _disk),
    Promise(
        "views",
        "Views",
        "Its containers see layers and disk with the tenant's own ids, and nobody else's.",
        _views,
    ),
)
