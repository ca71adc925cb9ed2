"""Pure: a container spec becomes an OCI runtime config (opencontainers/runtime-spec, config.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paas.linux import oom_order
from paas.linux.cgroup_limits import CPU_PERIOD_USEC, quota_usec, shares_v1, tcp_buffers
from paas.runtime import seccomp
from paas.runtime.inside import DEFAULT_PATH, Identity
from paas.runtime.space import within
from paas.specs import ID_RANGE_SIZE, MIB, BindMount, ContainerSpec, TmpfsMount

# /dev is a tmpfs of the container's own, so the init needs no place in the image.
INIT_TARGET = "/dev/init"
NOFILE = 65_536
# Signals that wait, and timers, of all of a tenant's containers that run as one user: some 400 bytes each, in
# the memory of whoever made them. By default as many as half of the threads that the machine has room for.
SIGPENDING = 8_192
SHM_MAX = 64 * MIB
PTYS_MAX = 64  # of the 4,096 (kernel.pty.max) that all containers of this machine share
# What Debian's apt-get and dpkg need, and programs that start as root to drop to a user of their own.
ROOT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
)
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/diskstats",
    "/proc/fs",  # the same of disks as /sys/fs/ext4
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/locks",  # those of open files belong to no process: everybody's are shown
    "/proc/partitions",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/swaps",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/block",  # how many tenants' disks there are; what goes on on each lies in the folders after these
    "/sys/class/bdi",
    "/sys/class/block",
    "/sys/dev/block",
    "/sys/devices/virtual/bdi",
    "/sys/devices/virtual/block",  # and where the machine's own disks are: paas.runtime.hosts.of_disks
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/ext4",
)
READ_ONLY_PATHS = (
    "/proc/bus",
    "/proc/irq",
    "/proc/pressure",  # what is written there has the kernel watch the whole machine
    "/proc/sys",
    "/proc/sysrq-trigger",
)
SYSCTLS = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": f"0 {ID_RANGE_SIZE - 1}",
}
_LOCKED = ["nosuid", "noexec", "nodev"]


@dataclass(frozen=True, slots=True)
class Host:
    """What of this machine a config depends on."""

    cgroup_version: int
    swap_accounting: bool
    init: Path
    nofile_hard: int
    sigpending_hard: int
    folders: frozenset[str]  # to be hidden: those of MASKED_PATHS that are some here, and its disks' own


def oci_config(
    spec: ContainerSpec,
    *,
    identity: Identity,
    rootfs: Path,
    users: Path,
    nothing: Path,
    cgroup: str,
    mounts: Iterable[BindMount | TmpfsMount],
    host: Host,
) -> dict[str, Any]:
    """The whole config.json. `users` is the tenant's user namespace, `nothing` an empty folder; `mounts` are
    the files that we write, then the spec's own, with host paths.
    """
    return {
        "ociVersion": "1.0.2",
        "process": _process(spec, identity, host),
        "root": {"path": str(rootfs), "readonly": False},
        "hostname": spec.hostname,
        "mounts": [
            *_own_mounts(spec, host),
            *_covers(nothing, host),
            *(_asked_for(spec, mount) for mount in mounts),
        ],
        "linux": _linux(spec, users, cgroup, host),
        "annotations": {seccomp.PROGRAM_ANNOTATION: seccomp.program()},
    }


def process_config(
    args: tuple[str, ...],
    env: dict[str, str],
    cwd: str,
    identity: Identity,
    *,
    root_capable: bool,
    goes_first: bool,
    host: Host,
) -> dict[str, Any]:
    """A process under the contract: as pid 1 of a container or beside it (exec)."""
    capabilities = list(ROOT_CAPABILITIES) if root_capable else []
    # Not inheritable and not ambient: a user other than root has none after execve.
    sets = dict.fromkeys(("bounding", "effective", "permitted"), capabilities)
    return {
        "terminal": False,
        "user": {
            "uid": identity.uid,
            "gid": identity.gid,
            "umask": 0o022,
            "additionalGids": list(identity.groups),
        },
        "args": list(args),
        "env": [f"{name}={value}" for name, value in env.items()],
        "cwd": cwd or "/",
        "capabilities": {**sets, "inheritable": [], "ambient": []},
        "rlimits": _rlimits(host),
        "noNewPrivileges": True,
        "oomScoreAdj": oom_order.FIRST if goes_first else oom_order.APP,
    }


def environment(spec: ContainerSpec, identity: Identity) -> dict[str, str]:
    """PATH, HOME and HOSTNAME where the image and the config do not say otherwise."""
    return {"PATH": DEFAULT_PATH, "HOME": identity.home, "HOSTNAME": spec.hostname, **dict(spec.env)}


def _process(spec: ContainerSpec, identity: Identity, host: Host) -> dict[str, Any]:
    return process_config(
        (INIT_TARGET, "--", *spec.args),
        environment(spec, identity),
        spec.workdir,
        identity,
        root_capable=spec.root_capable,
        goes_first=spec.goes_first,
        host=host,
    )


def _rlimits(host: Host) -> list[dict[str, Any]]:
    """Never above our own hard limits: raising one takes CAP_SYS_RESOURCE."""
    wanted = {
        "RLIMIT_NOFILE": min(NOFILE, host.nofile_hard),
        "RLIMIT_SIGPENDING": min(SIGPENDING, host.sigpending_hard),
        "RLIMIT_CORE": 0,
    }
    return [{"type": kind, "hard": value, "soft": value} for kind, value in wanted.items()]


def _mount(target: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": kind, "options": list(options)}


def _own_mounts(spec: ContainerSpec, host: Host) -> list[dict[str, Any]]:
    shm = min(SHM_MAX, spec.limits.memory_bytes // 2)
    ptys = f"max={PTYS_MAX}"
    return [
        _mount("/proc", "proc", *_LOCKED),
        _mount("/dev", "tmpfs", "nosuid", "noexec", "strictatime", "mode=755", "size=64k"),
        _mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", ptys),
        _mount("/dev/shm", "tmpfs", *_LOCKED, "mode=1777", f"size={shm}"),  # noqa: S108
        _mount("/dev/mqueue", "mqueue", *_LOCKED),
        _mount("/sys", "sysfs", *_LOCKED, "ro"),
        _bind(BindMount(host.init, INIT_TARGET)),
    ]


def _covers(nothing: Path, host: Host) -> list[dict[str, Any]]:
    """One empty folder over all. Over each the runtime would mount a file system of its own, 7 KiB, and for
    every 64 file systems that there are, the kernel keeps one more KiB for each memory cgroup
    (shrinker_info_unit in mm/shrinker.c): among 1,000 containers these few would take 60 MiB.
    """
    covers = (_bind(BindMount(nothing, path)) for path in sorted(host.folders))
    return [{**cover, "options": [*cover["options"], "noexec"]} for cover in covers]


def _asked_for(spec: ContainerSpec, mount: BindMount | TmpfsMount) -> dict[str, Any]:
    if isinstance(mount, BindMount):
        return _bind(mount)
    # What is written there counts as the container's memory; this keeps a full one from being its end.
    most = spec.limits.memory_bytes // 2
    size = min(mount.size_bytes or most, most)
    return _mount(mount.target, "tmpfs", "nosuid", "nodev", "mode=1777", f"size={size}")


def _bind(bind: BindMount) -> dict[str, Any]:
    options = ["bind", "rw" if bind.writable else "ro", "nosuid", "nodev"]
    return {"destination": bind.target, "type": "bind", "source": str(bind.source), "options": options}


def _linux(spec: ContainerSpec, users: Path, cgroup: str, host: Host) -> dict[str, Any]:
    ids = [{"containerID": 0, "hostID": spec.tenant.uid_base, "size": ID_RANGE_SIZE}]
    return {
        "uidMappings": ids,
        "gidMappings": ids,
        "namespaces": [
            {"type": "user", "path": str(users)},
            *({"type": kind} for kind in ("mount", "pid", "network", "ipc", "uts", "cgroup")),
        ],
        "cgroupsPath": cgroup,
        "resources": _resources(spec, host),
        "sysctl": SYSCTLS,
        "seccomp": seccomp.KILL_ALL,
        "maskedPaths": [path for path in MASKED_PATHS if path not in host.folders],
        "readonlyPaths": list(READ_ONLY_PATHS),
    }


def _resources(spec: ContainerSpec, host: Host) -> dict[str, Any]:
    """Limits as the runtime takes them. "swap" there is memory and swap together."""
    limits = within(spec.limits, spec.tenant.quota)
    memory = {"limit": limits.memory_bytes}
    if host.swap_accounting:
        memory["swap"] = limits.memory_bytes + limits.swap_bytes
    # v1 refuses a child with more cpu than its parent: `within` sees to that.
    cpu: dict[str, int] = {"quota": quota_usec(limits.cpu_millis), "period": CPU_PERIOD_USEC}
    resources: dict[str, Any] = {"memory": memory, "cpu": cpu, "pids": {"limit": limits.pids}}
    if host.cgroup_version == 2:
        resources["unified"] = {"cpu.weight": str(limits.weight)}
    else:
        cpu["shares"] = shares_v1(limits.weight)
        memory["kernelTCP"] = tcp_buffers(limits.memory_bytes)
    resources["devices"] = [{"allow": False, "access": "rwm"}]
    return resources
