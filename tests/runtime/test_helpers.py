"""What only waits while a container runs goes to swap, and does its work from there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paas.linux.cgroups import Cgroup
from tests.runtime.conftest import CGROUP_ROOT, Bed
from tests.swap import swapping

pytestmark = pytest.mark.kernel
__all__ = ["swapping"]
KIB = 1024


def memory(pid: int) -> tuple[int, int]:
    """Bytes that a process alone has: in memory, and in swap."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = {name: int(size) * KIB for name, size in re.findall(r"^(\w+): +(\d+) kB$", text, re.M)}
    return found["Private_Dirty"], found["Swap"]


def test_helpers_wait_in_swap_and_go_on(bed: Bed, swapping: None) -> None:
    spec = bed.launch(bed.spec('until [ -e /tmp/go ]; do sleep 0.1; done; echo "it went"; exit 7'))
    (conmon,) = Cgroup(f"{CGROUP_ROOT}/_conmon/{bed.tenant.id}").direct_pids()
    before = memory(conmon)
    bed.runtime.page_out_helpers(spec.id)
    bed.until(lambda: memory(conmon)[0] < before[0] / 4)
    assert memory(conmon)[1] > before[0] / 2
    bed.runtime.exec(spec, ("touch", "/tmp/go"))
    bed.until(lambda: bed.runtime.state(spec.id).status == "stopped")
    assert bed.runtime.state(spec.id).exit_code == 7 and bed.output(spec) == ["it went"]
    bed.runtime.page_out_helpers(spec.id)  # too late, which is fine
