"""Pure: the OCI config and the seccomp profile of a spec."""

from __future__ import annotations

import base64
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pyseccomp

from paas.runtime.bundle import MASKED_PATHS, Host, oci_config
from paas.runtime.hosts import of_disks
from paas.runtime.inside import Identity
from paas.runtime.seccomp import ALLOWED, KILL_ALL, PROGRAM_ANNOTATION, REFUSED, program, rules
from paas.specs import MIB, BindMount, ContainerSpec, Limits, TenantSpec, TmpfsMount

TENANT = TenantSpec("c" * 12, 1_879_048_192, Limits(cpu_millis=1500), 1024 * MIB)
SPEC = ContainerSpec(
    id="1" * 12,
    tenant=TENANT,
    app_id="a" * 12,
    layers=(),
    args=("gunicorn", "app"),
    env=(("PORT", "8000"),),
    address=IPv4Address("10.0.0.1"),
    limits=Limits(256 * MIB, 128 * MIB, 2000, 50, 99),
)
APP = Identity(1000, 1000, (1234,), "/srv")
V1 = Host(1, True, Path("/usr/bin/tini-static"), 20_000, 9_000, frozenset(("/proc/acpi", "/sys/firmware")))
V2 = replace(V1, cgroup_version=2)


def config(
    spec: ContainerSpec = SPEC, host: Host = V2, mounts: tuple[BindMount | TmpfsMount, ...] = ()
) -> dict[str, Any]:
    return oci_config(
        spec,
        identity=APP,
        rootfs=Path("/run/berth/rootfs/1"),
        users=Path("/run/berth/users/c"),
        nothing=Path("/run/berth/nothing"),
        cgroup="/berth/c/a/1",
        mounts=mounts,
        host=host,
    )


def test_process() -> None:
    process = config()["process"]
    assert process["args"] == ["/dev/init", "--", "gunicorn", "app"]
    assert process["user"] == {"uid": 1000, "gid": 1000, "umask": 0o022, "additionalGids": [1234]}
    assert "HOME=/srv" in process["env"]
    assert "PORT=8000" in process["env"]
    assert process["noNewPrivileges"] is True
    assert process["terminal"] is False
    assert set(map(tuple, process["capabilities"].values())) == {()}


def test_what_must_not_be_seen() -> None:
    """Folders under an empty one, mounted after what they are in; what else there is by the runtime."""
    made = config()
    places = [mount["destination"] for mount in made["mounts"]]
    for folder, within in (("/proc/acpi", "/proc"), ("/sys/firmware", "/sys")):
        place = places.index(folder)
        assert place > places.index(within)
        assert made["mounts"][place]["source"] == "/run/berth/nothing"
        assert {"bind", "ro", "nosuid", "nodev", "noexec"} <= set(made["mounts"][place]["options"])
    hidden = {*made["linux"]["maskedPaths"], *places}
    assert hidden.issuperset(MASKED_PATHS) and "/proc/acpi" not in made["linux"]["maskedPaths"]


def test_disks_are_hidden_with_their_bus_and_what_is_virtual_by_its_kind() -> None:
    places = (
        *("virtual/block/loop0", "virtual/block/loop1", "virtual/nvme-subsystem/nvme-subsys0/nvme0n1"),
        *("pci0000:00/0000:00:02.0/virtio1/block/vda", "pci0000:00/0000:00:1f.2/ata1/host0/block/sda"),
        "platform/soc/mmc_host/mmc0/block/mmcblk0",
    )
    links = [Path("../devices") / place for place in places]
    assert of_disks(links) == [
        *("/sys/devices/pci0000:00", "/sys/devices/platform"),
        *("/sys/devices/virtual/block", "/sys/devices/virtual/nvme-subsystem"),
    ]
    made = config(host=replace(V2, folders=frozenset(of_disks(links))))
    assert {mount["destination"] for mount in made["mounts"]} > set(of_disks(links))


def test_what_can_be_done_again_goes_before_what_serves_and_that_before_the_control_plane() -> None:
    step = config(replace(SPEC, goes_first=True))["process"]["oomScoreAdj"]
    assert step > config()["process"]["oomScoreAdj"] > 0


def test_what_the_config_says_wins_over_our_defaults() -> None:
    env = config(replace(SPEC, env=(("HOME", "/data"), ("PATH", "/x"))))["process"]["env"]
    assert sorted(env) == ["HOME=/data", "HOSTNAME=app", "PATH=/x"]


def test_capabilities_are_never_inheritable() -> None:
    sets = config(replace(SPEC, root_capable=True))["process"]["capabilities"]
    assert (sets["inheritable"], sets["ambient"]) == ([], [])
    assert sets["bounding"] == sets["effective"] == sets["permitted"]
    refused = ("SYS_ADMIN", "MKNOD", "NET_RAW", "NET_ADMIN", "SYS_PTRACE", "SETPCAP")
    assert not {f"CAP_{name}" for name in refused} & set(sets["bounding"])


def test_rlimits_stay_below_the_hosts_hard_limit() -> None:
    def rlimits(hard: int) -> dict[str, tuple[int, int]]:
        found = config(host=replace(V2, nofile_hard=hard, sigpending_hard=hard))["process"]["rlimits"]
        return {each["type"].removeprefix("RLIMIT_"): (each["soft"], each["hard"]) for each in found}

    assert rlimits(5_000) == {"NOFILE": (5_000, 5_000), "SIGPENDING": (5_000, 5_000), "CORE": (0, 0)}
    assert rlimits(1 << 30) == {"NOFILE": (65_536, 65_536), "SIGPENDING": (8_192, 8_192), "CORE": (0, 0)}


def test_every_namespace_is_new() -> None:
    linux = config()["linux"]
    kinds = {"user", "mount", "pid", "network", "ipc", "uts", "cgroup"}
    assert {n["type"] for n in linux["namespaces"]} == kinds
    assert {n["type"]: n["path"] for n in linux["namespaces"] if "path" in n} == {"user": "/run/berth/users/c"}
    assert linux["uidMappings"] == linux["gidMappings"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": TENANT.uid_base, "size": 65_536}]


def test_resources_on_v2() -> None:
    resources = config()["linux"]["resources"]
    assert resources["memory"] == {"limit": 256 * MIB, "swap": 384 * MIB}
    assert resources["cpu"] == {"quota": 150_000, "period": 100_000}  # not above the tenant's
    assert resources["unified"] == {"cpu.weight": "50"}
    assert resources["pids"] == {"limit": 99}
    assert resources["devices"] == [{"allow": False, "access": "rwm"}]


def test_resources_on_v1() -> None:
    resources = config(host=V1)["linux"]["resources"]
    assert resources["cpu"]["shares"] == 512
    assert "unified" not in resources


def test_no_swap_limit_where_the_kernel_has_none() -> None:
    assert config(host=replace(V1, swap_accounting=False))["linux"]["resources"]["memory"] == {
        "limit": 256 * MIB,
        "kernelTCP": 64 * MIB,
    }


def test_mounts() -> None:
    bind = BindMount(Path("/run/b/hosts"), "/etc/hosts")
    cache = BindMount(Path("/run/d/cache"), "/root/.cache", writable=True)
    mounts = {
        m["destination"]: m
        for m in config(mounts=(bind, cache, TmpfsMount("/t"), TmpfsMount("/small", MIB)))["mounts"]
    }
    assert mounts["/etc/hosts"]["options"] == ["bind", "ro", "nosuid", "nodev"]
    assert mounts["/root/.cache"]["options"] == ["bind", "rw", "nosuid", "nodev"]
    assert "ro" in mounts["/sys"]["options"]
    assert all("nosuid" in m["options"] for m in mounts.values())
    assert f"size={64 * MIB}" in mounts["/dev/shm"]["options"]
    assert (mounts["/t"]["type"], mounts["/t"]["options"][-1]) == ("tmpfs", f"size={128 * MIB}")
    assert mounts["/small"]["options"][-1] == f"size={MIB}"


def test_seccomp_is_the_ready_program_and_without_it_certain_death() -> None:
    made = config()
    assert made["annotations"] == {PROGRAM_ANNOTATION: program()}
    assert made["linux"]["seccomp"] == KILL_ALL
    assert len(base64.b64decode(program())) % 8 == 0  # struct sock_filter, linux/filter.h


def test_seccomp_rules() -> None:
    plain = {rule.name for rule in rules() if rule.action == pyseccomp.ALLOW and not rule.when}
    hostile = {"keyctl", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "mount", "unshare", "setns"}
    hostile |= {"move_mount", "fsopen", "pivot_root", "clone3", "clone", "socket", "kexec_load", "init_module"}
    assert not hostile & plain


def test_no_call_is_both_allowed_and_refused() -> None:
    allowed, refused = ALLOWED.split(), REFUSED.split()
    assert len({*allowed, *refused}) == len(allowed) + len(refused)
