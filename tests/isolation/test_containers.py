"""Containers on the real kernel against the contract: a whole one, and some that are really weaker."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from paas.isolation import gather, judge, tenant
from paas.isolation.facts import Here, Seen, Status, Wanted
from paas.isolation.gather import Gone, Place
from paas.linux.cgroups import Cgroup, host_tree, swap_accounting
from paas.runtime.bundle import oci_config
from paas.runtime.hosts import BLOCK, of_disks
from paas.runtime.seccomp import PROGRAM_ANNOTATION
from paas.runtime.space import disk_of
from paas.specs import MIB, ContainerSpec, Effective, Limits
from tests.runtime.conftest import BASE, UID_BASE, Bed

pytestmark = pytest.mark.kernel

Config = dict[str, Any]
MAKES_CONFIGS = "paas.runtime.runtime.oci_config"
ALL = {promise.id for promise in judge.CONTRACT}


def place(bed: Bed) -> Place:
    return Place(bed.paths, bed.runtime.cgroup_root)


def facts_of(bed: Bed, spec: ContainerSpec) -> tuple[Seen, Wanted, Here]:
    here = gather.here(place(bed), bed.runtime.list(), "")
    wanted = gather.wanted(place(bed), spec.tenant, spec.id, spec.address)
    return gather.look(place(bed), wanted, here, lambda container, address: None), wanted, here


def failing(bed: Bed, spec: ContainerSpec) -> dict[str, str]:
    return failures(*facts_of(bed, spec))


def failures(seen: Seen, wanted: Wanted, here: Here) -> dict[str, str]:
    return {row.id: row.found for row in judge.judge(seen, wanted, here) if row.outcome == "fail"}


@pytest.fixture(scope="module")
def whole(_bed: Bed) -> Iterator[tuple[Seen, Wanted, Here]]:
    """What is read of a whole container, for tests that change one thing of it."""
    spec = running(_bed, _bed.spec("sleep 60"))
    yield facts_of(_bed, spec)
    _bed.runtime.delete(spec.id)


def running(bed: Bed, spec: ContainerSpec) -> ContainerSpec:
    """Past the moment when its first process still is the runtime."""
    bed.launch(spec)
    pid = bed.runtime.state(spec.id).pid
    bed.until(lambda: "crun" not in Path(f"/proc/{pid}/comm").read_text())
    bed.until(lambda: "sleep" in "".join(name_of(pid) for pid in pids_of(bed, spec)))
    return spec


def pids_of(bed: Bed, spec: ContainerSpec) -> list[int]:
    return Cgroup(f"{bed.runtime.cgroup_root}/{spec.tenant.id}/{spec.id}").pids()


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text()


def test_a_whole_container_keeps_every_promise(bed: Bed) -> None:
    for options in ({}, {"user": "0", "root_capable": True}):
        seen, wanted, here = facts_of(bed, running(bed, bed.spec("sleep 60", **options)))
        assert failures(seen, wanted, here) == {}
        assert {row.id for row in judge.judge(seen, wanted, here)} == ALL
        assert len(seen.processes) == 2


def test_one_that_has_ended_is_gone(bed: Bed) -> None:
    spec = bed.spec("true")
    bed.finish(spec)
    here = gather.here(place(bed), bed.runtime.list(), "")
    wanted = gather.wanted(place(bed), bed.tenant, spec.id, spec.address)
    with pytest.raises(Gone):
        gather.look(place(bed), wanted, here, lambda container, address: None)
    bed.runtime.delete(spec.id)
    with pytest.raises(Gone):
        gather.wanted(place(bed), bed.tenant, spec.id, spec.address)


def test_who_sleeps_may_go_after_the_others_but_never_with_berths_own(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    for frozen, score, broken in ((False, 499, True), (True, 100, False), (True, 99, True)):
        found = failures(replace(seen, frozen=frozen, oom_score_adj=score), wanted, here)
        assert ("process-limits" in found) == broken
    assert not seen.frozen


def test_a_disk_of_the_machine_that_is_not_hidden_is_told_of(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    places = [
        "/sys/block",
        "/sys/class/block",
        "/sys/dev/block",
        *of_disks(map(Path.readlink, BLOCK.iterdir())),
    ]
    for place in places:
        without = tuple(mount for mount in seen.mounts if mount.point != place)
        assert failures(replace(seen, mounts=without), wanted, here) == {"kernel-files": f"{place} can be read"}


# --- really weaker
def weaken(config: Config) -> None:
    """Without nearly all that the contract asks for: what a bundle by a careless hand would be."""
    process, linux = config["process"], config["linux"]
    process["noNewPrivileges"] = False
    del linux["seccomp"], config["annotations"][PROGRAM_ANNOTATION]
    for kind in ("bounding", "effective", "permitted"):
        process["capabilities"][kind] = ["CAP_NET_RAW"]
    process["rlimits"] = [{"type": "RLIMIT_CORE", "hard": 4096, "soft": 4096}]
    process["oomScoreAdj"] = 0
    process["args"] = ["sh", "-c", "exec 5</etc/passwd; sleep 60 & wait"]
    linux["maskedPaths"] = linux["readonlyPaths"] = []
    linux["resources"] = {}
    linux["uidMappings"] = [*linux["uidMappings"], {"containerID": 65_536, "hostID": 0, "size": 1}]
    kinds = [it["type"] for it in linux["namespaces"] if it["type"] != "uts"]
    linux["namespaces"] = [{"type": kind} for kind in kinds]  # not its tenant's of users: one with those ids
    del config["hostname"]
    config["mounts"].append({"destination": "/srv", "type": "bind", "source": "/etc", "options": ["bind"]})


WEAK = {
    "user-ids": r"uid_map is 0 \d+ 65536 65536 0 1",
    "no-new-privileges": r"process \d+ may gain some",
    "seccomp": r"process \d+ is not filtered",
    "capabilities": r"process \d+ has CAP_NET_RAW \(CapBnd\)",
    "namespaces": r"process \d+ is in the host's uts namespace",
    "host-paths": r"/srv is the host's /etc; /srv is mounted without nodev and nosuid",
    "kernel-files": r"/proc/\w+ can be read",
    "init": "process 1 is another program",
    "descriptors": "descriptor 5 is /etc/passwd",
    "cgroup": r"process \d+ is in /br\d+/elsewhere",
    "limits": "no limit on memory; no limit on cpu; no limit on processes",
    "swap": "no limit on swap",
    "process-limits": r"(open files: \d+; )?core dumps of 4096 bytes; goes as late as others .*\(0\)",
    "log-process": r"it is in /br\d+/elsewhere",
}


@pytest.fixture(scope="module")
def weak(_bed: Bed) -> Iterator[dict[str, str]]:
    """What fails of it. A process of it and its conmon are moved out of their control groups as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MAKES_CONFIGS, changed(weaken))
        spec = running(_bed, _bed.spec("sleep 60"))
    elsewhere = Cgroup(f"{_bed.runtime.cgroup_root}/elsewhere")
    elsewhere.create()
    conmon = gather.Place(_bed.paths, _bed.runtime.cgroup_root).life(spec.id).conmon_pid()
    sleeper = next(pid for pid in pids_of(_bed, spec) if "sleep" in name_of(pid))
    assert conmon is not None
    for pid in (conmon, sleeper):
        elsewhere.attach(pid)
    yield failing(_bed, spec)
    _bed.runtime.delete(spec.id)
    elsewhere.remove()


def changed(change: Callable[[Config], None]) -> Callable[..., Config]:
    """`oci_config`, and then `change`."""

    def made(*args: Any, **named: Any) -> Config:
        config = oci_config(*args, **named)
        change(config)
        return config

    return made


@pytest.mark.parametrize("row", WEAK)
def test_what_is_really_weaker_fails(weak: dict[str, str], row: str) -> None:
    if row == "swap" and not swap_accounting(host_tree()):
        assert row not in weak
    else:
        assert re.match(WEAK[row], weak.get(row, "it passed")), weak.get(row)


def test_every_promise_is_broken_somewhere(weak: dict[str, str]) -> None:
    """Root and traffic below; what is of the network in tests/worker/test_isolation.py, where there is one."""
    assert ALL - WEAK.keys() == {"root", "traffic", "network", "network-rules"}


def test_a_root_file_system_that_is_no_overlay(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = bed.paths.layer_views / bed.tenant.id / BASE.removeprefix("sha256:")
    monkeypatch.setattr(MAKES_CONFIGS, changed(lambda config: config["root"].update(path=str(layer))))
    found = failing(bed, running(bed, bed.spec("sleep 60")))
    assert found["root"] == "its root is ext4, not an overlay"


# --- one thing changed of what was read
def test_a_folder_of_another_tenants_is_a_host_path(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    own = next(mount for mount in seen.mounts if mount.point == "/etc/hosts")
    theirs = replace(own, root=own.root.replace(wanted.container_id, "f" * 12))
    found = failures(replace(seen, mounts=(*seen.mounts, theirs)), wanted, here)
    assert found["host-paths"].startswith("/etc/hosts is the host's ") and "f" * 12 in found["host-paths"]


def test_what_may_be_shown_may_not_be_written_to(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    init = next(mount for mount in seen.mounts if mount.point == "/dev/init")
    writable = replace(init, options=frozenset({"rw", "nosuid", "nodev"}))
    found = failures(replace(seen, mounts=(*seen.mounts, writable)), wanted, here)
    assert "can be written to" in found["host-paths"]


def test_a_disk_of_the_hosts_is_a_host_path(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    node = next(mount for mount in seen.mounts if mount.point == "/dev/zero")
    found = failures(replace(seen, mounts=(*seen.mounts, replace(node, root="/vda"))), wanted, here)
    assert found["host-paths"] == "/dev/zero is the host's device /vda"


def test_a_control_group_file_system_is_not_for_containers(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    root = next(mount for mount in seen.mounts if mount.point == "/sys")
    found = failures(
        replace(seen, mounts=(*seen.mounts, replace(root, device="0:999", kind="cgroup2"))), wanted, here
    )
    assert found["host-paths"] == "/sys is a file system of the kind cgroup2"


def test_a_namespace_that_two_containers_share(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    own, both = (
        seen.processes[0].namespaces,
        {wanted.container_id: wanted.tenant_id, "f" * 12: wanted.tenant_id},
    )
    found = failures(seen, wanted, replace(here, users={own["ipc"]: both}))
    assert "shares its ipc namespace with container ffffffffffff" in found["namespaces"]
    assert failures(seen, wanted, replace(here, users={own["user"]: both})) == {}
    found = failures(seen, wanted, replace(here, users={own["user"]: {**both, "f" * 12: "e" * 12}}))
    assert "shares its user namespace with container ffffffffffff" in found["namespaces"]


def test_a_user_namespace_that_root_made(whole: tuple[Seen, Wanted, Here]) -> None:
    """As OCI runtimes make them: then all tenants and the host draw on one account."""
    seen, wanted, here = whole
    found = failures(replace(seen, maker=0), wanted, here)
    assert found["namespaces"] == "what the kernel counts by user goes to the host's user 0, not to the tenant"


def test_a_namespace_of_another_user_namespace(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    found = failures(replace(seen, owners={**seen.owners, "net": here.namespaces["user"]}), wanted, here)
    assert found["namespaces"] == "its net namespace belongs to another user namespace"


def test_a_process_with_the_hosts_ids(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    status = Status.parse(Path("/proc/self/status").read_text())
    beside = replace(seen.processes[1], status=status)
    found = failures(replace(seen, processes=(seen.processes[0], beside)), wanted, here)
    assert "has the host's id 0" in found["user-ids"]


def test_limits_above_what_was_asked_for(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    less = replace(wanted.asked, memory_bytes=1 << 20)
    found = failures(seen, replace(wanted, asked=less), here)
    assert found["limits"] == "memory up to 67,108,864, where 1,048,576 was asked for"
    more = replace(wanted.asked, memory_bytes=1 << 40)
    assert "limits" not in failures(seen, replace(wanted, asked=more), here)


@pytest.mark.parametrize("quota", [(0, 0), (0, 500), (30 * MIB, 700)])
def test_limits_on_disks_that_somebody_took_away(bed: Bed, quota: tuple[int, int]) -> None:
    """The container's own or, on v1, those that its tenant's containers have together."""
    own = Limits(64 * MIB, 0, pids=32, io_bytes=20 * MIB, io_operations=600)
    tenant = replace(bed.tenant, quota=replace(bed.tenant.quota, io_bytes=quota[0], io_operations=quota[1]))
    bed.runtime.apply_quota(tenant)
    spec = running(bed, bed.spec("sleep 60", limits=own, tenant=tenant))
    seen, wanted, here = facts_of(bed, spec)
    assert "traffic" not in failures(seen, wanted, here)
    if here.limits_disks:
        held = seen.held.io_bytes, seen.held.io_operations
        assert held == (wanted.asked.io_bytes, wanted.asked.io_operations)
        together = host_tree().version == 1 and any(quota)
        beneath = own.io_bytes, min(own.io_operations, quota[1] or own.io_operations)
        assert held == ((quota[0] or own.io_bytes, quota[1]) if together else beneath)
        cgroup = f"{bed.runtime.cgroup_root}/{tenant.id}"
        Cgroup(cgroup if together else f"{cgroup}/{spec.id}").limit_io(Limits(), disk_of(bed.paths.state))
        assert re.fullmatch(
            r"no limit on bytes a second, where [\d,]+ was asked for; no limit on operations a second, .*",
            failing(bed, spec)["traffic"],
        )
    bed.runtime.apply_quota(bed.tenant)


def test_limits_on_disks_above_what_was_asked_for(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    more = replace(seen, held=replace(seen.held, io_bytes=MIB + 1))
    less = replace(wanted, asked=replace(wanted.asked, io_bytes=MIB))
    found = failures(more, less, replace(here, limits_disks=True))
    assert found["traffic"] == "up to 1,048,577 bytes a second, where 1,048,576 was asked for"
    assert "traffic" not in failures(more, less, replace(here, limits_disks=False))


def test_a_kernel_that_limits_no_swap_is_told_not_blamed(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    rows = {row.id: row for row in judge.judge(seen, wanted, replace(here, limits_swap=False))}
    assert rows["swap"].outcome == "n/a" and "swapaccount=1" in rows["swap"].found


def test_a_container_without_conmon(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    assert failures(replace(seen, conmon=None), wanted, here)["log-process"].startswith("there is none")


# --- the tenant as a whole
def test_a_tenants_quota_disk_and_views(bed: Bed) -> None:
    here = gather.here(place(bed), [], "")
    assert {row.outcome for row in tenant.judge(place(bed), bed.tenant, here)} <= {"pass", "n/a"}
    less = replace(bed.tenant, quota=replace(bed.tenant.quota, pids=10, io_bytes=MIB))
    theirs = here.points[str(bed.paths.disks / bed.tenant.id)]
    bare = replace(theirs, options=frozenset({"rw"}))
    plain = replace(here.points[str(bed.paths.layer_views / bed.tenant.id)], options=frozenset({"ro"}))
    points = {**here.points, theirs.point: bare, plain.point: plain}
    worse = replace(here, points=points, limits_disks=True)
    found = {row.id: row.found for row in tenant.judge(place(bed), less, worse) if row.outcome == "fail"}
    assert found == {
        "quota": "processes up to 200, where 10 was asked for",
        "quota-traffic": "no limit on bytes a second, where 1,048,576 was asked for",
        "disk": "mounted without nosuid; mounted without nodev",
        "views": "the view of the layers is not nosuid; the view of the layers is not nodev; "
        "the view of the layers is not idmapped",
    }


def test_a_tenant_without_anything_here_is_told_as_that(bed: Bed) -> None:
    nobody = replace(bed.tenant, id="e" * 12, uid_base=UID_BASE + 10 * 65_536)
    rows = tenant.judge(place(bed), nobody, gather.here(place(bed), [], ""))
    assert {row.outcome for row in rows} == {"n/a"}


def test_addresses_of_a_wire_are_those_of_the_kernel(whole: tuple[Seen, Wanted, Here]) -> None:
    seen, wanted, here = whole
    wire = replace(
        seen.wire, interfaces=("eth0", "eth1", "lo"), addresses=(IPv4Address("10.0.0.9"),), ipv6=("fd00",)
    )
    found = failures(replace(seen, wire=wire, tenant_by_address=1), wanted, replace(here, rules="none"))
    assert found["network"].startswith("interfaces eth0, eth1, lo; addresses 10.0.0.9, not 10.209.1.1; an IPv6")
    assert found["network-rules"] == "none; 10.209.1.1 counts as the tenant whose user ids begin at 1"


def test_swap_above_what_was_asked_for_but_where_memory_was_given_up_for_it() -> None:
    asked = Effective(memory_bytes=100, swap_bytes=50)
    assert judge.judge_swap(replace(asked, swap_bytes=51), asked, True).outcome == "fail"
    assert judge.judge_swap(replace(asked, memory_bytes=90, swap_bytes=60), asked, True).outcome == "pass"
