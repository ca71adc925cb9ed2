"""Berth's own work for a tenant, in the tenant's cgroup."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from paas.errors import BadInput, HostProblem, StepFailed
from paas.images.budget import Budget
from paas.images.incoming import stage
from paas.linux.cgroups import Cgroup, host_tree, io_throttling
from paas.runtime import confined
from paas.runtime.space import Space, disk_of
from paas.specs import MIB, Limits, TenantSpec
from tests.runtime.conftest import CGROUP_ROOT, Bed
from tests.runtime.test_quota import V2, with_traffic, written

pytestmark = pytest.mark.kernel
T = TypeVar("T")
LIMITS = Limits(memory_bytes=64 * MIB, swap_bytes=0, cpu_millis=500, weight=50, pids=16)


@pytest.fixture(autouse=True)
def as_before(bed: Bed) -> Iterator[None]:
    """The tenant is that of all tests."""
    yield
    bed.runtime.apply_quota(bed.tenant)


def run(bed: Bed, work: Callable[[], T], tenant: TenantSpec | None = None) -> T:
    tenant = tenant or bed.tenant
    bed.runtime.prepare_tenant(tenant)
    return confined.run(
        Space(bed.paths, CGROUP_ROOT, tenant.id), tenant, work, name="work", limits=LIMITS, look=lambda: None
    )


def own(bed: Bed) -> Cgroup:
    return Cgroup(f"{CGROUP_ROOT}/{bed.tenant.id}/files-work")


def test_it_has_limits_within_the_tenants_slice_and_goes_first(bed: Bed) -> None:
    def work() -> tuple[list[int], str]:
        held = own(bed).effective()
        assert (held.memory_bytes, held.cpu_millis, held.pids) == (64 * MIB, 500, 16)
        return own(bed).pids(), Path("/proc/self/oom_score_adj").read_text().strip()

    pids, order = run(bed, work)
    assert len(pids) == 1 and pids[0] != os.getpid() and order == "900"
    assert not own(bed).exists() and list(confined.left(CGROUP_ROOT)) == []


def test_its_limits_are_below_a_quota_that_was_lowered_since_it_was_read(bed: Bed) -> None:
    bed.runtime.apply_quota(replace(bed.tenant, quota=replace(bed.tenant.quota, cpu_millis=300)))
    space, look = Space(bed.paths, CGROUP_ROOT, bed.tenant.id), (lambda: None)
    held = confined.run(space, bed.tenant, lambda: own(bed).effective(), name="work", limits=LIMITS, look=look)
    assert held.cpu_millis == 300


def test_one_that_needs_more_memory_is_ended_and_told(bed: Bed) -> None:
    with pytest.raises(StepFailed, match="needed more memory than there was"):
        run(bed, lambda: len(bytearray(os.urandom(MIB)) * 200))
    assert not own(bed).exists()


def test_one_that_is_killed_by_somebody_is_no_fault_of_the_tenants(bed: Bed) -> None:
    with pytest.raises(HostProblem, match="ended with -9"):
        run(bed, lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_what_it_started_ends_with_it(bed: Bed) -> None:
    child = run(bed, lambda: subprocess.Popen(["sleep", "100"]).pid)
    with pytest.raises(OSError):
        Path(f"/proc/{child}/exe").readlink()


def test_an_error_of_its_own_is_the_callers(bed: Bed) -> None:
    def work() -> None:
        raise BadInput("no", hint="yes")

    with pytest.raises(BadInput, match="no; yes"):
        run(bed, work)


@pytest.mark.parametrize("rate", [64 * MIB, 0])
def test_a_quota_of_disk_traffic_holds_what_it_writes_into_the_store(bed: Bed, rate: int) -> None:
    """Where there is one it is written at once and at the tenant's cost; else when the kernel likes to."""
    if not io_throttling(host_tree()):
        return  # nothing is limited
    disk, target = disk_of(bed.paths.state), bed.paths.state / f"blob-{rate}"
    assert disk is not None, "TMPDIR must be on a disk for this"
    tenant = with_traffic(bed, rate)
    chunk = os.urandom(MIB)
    slice_ = Cgroup(f"{CGROUP_ROOT}/{bed.tenant.id}")
    before = written(slice_, disk)
    run(bed, lambda: stage([chunk] * 16, target, "blob", Budget()), tenant)
    bytes_ = written(slice_, disk) - before
    assert bytes_ >= 16 * MIB if rate else bytes_ < 16 * MIB or V2


def test_less_than_its_own_limits_when_the_tenant_has_less(bed: Bed) -> None:
    tenant = replace(bed.tenant, quota=replace(bed.tenant.quota, cpu_millis=300))
    bed.runtime.apply_quota(tenant)
    assert run(bed, lambda: own(bed).effective().cpu_millis, tenant) == 300
