"""What was read of a container, and the kernel's files as values: pure. Formats: proc(5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path

from paas.specs import Effective, Limits

# /proc/PID/ns. "time" is not promised: containers share the host's clocks.
NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_LOCAL = "/32 host LOCAL"


@dataclass(frozen=True, slots=True)
class Status:
    """Of one process (/proc/PID/status); ids as the host has them."""

    uids: frozenset[int]
    gids: frozenset[int]  # supplementary groups among them
    uid: int  # the effective one
    capabilities: Mapping[str, int]
    no_new_privileges: bool
    seccomp: int  # 2 is a filter

    @classmethod
    def parse(cls, text: str) -> Status:
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        uids = [int(word) for word in fields["Uid"].split()]
        groups = [int(word) for word in (fields["Gid"] + fields["Groups"]).split()]
        return cls(
            uids=frozenset(uids),
            gids=frozenset(groups),
            uid=uids[1],
            capabilities={name: int(fields[name], 16) for name in CAPABILITY_SETS},
            no_new_privileges=fields["NoNewPrivs"].strip() == "1",
            seccomp=int(fields["Seccomp"]),
        )


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a container. `namespaces`: kind -> the kernel's name of it, as `pid:[4026531836]`."""

    pid: int
    status: Status
    namespaces: Mapping[str, str]
    cgroups: tuple[str, ...]  # its cgroup in each hierarchy that limits


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of a mountinfo. `root` is the folder of the file system `device` that is shown at `point`."""

    device: str  # MAJOR:MINOR
    root: str
    point: str
    options: frozenset[str]  # of this mount
    kind: str
    super_options: tuple[str, ...]  # of the file system

    @property
    def is_read_only(self) -> bool:
        return "ro" in self.options

    @classmethod
    def parse(cls, line: str) -> Mount:
        left, _, right = line.partition(" - ")
        _, _, device, root, point, options, *_ = left.split(" ")
        kind, _, super_options = right.split(" ", 2)
        options_of = frozenset(options.split(","))
        return cls(device, _plain(root), _plain(point), options_of, kind, tuple(super_options.split(",")))


def mounts(text: str) -> tuple[Mount, ...]:
    return tuple(map(Mount.parse, text.splitlines()))


def _plain(text: str) -> str:
    """Blanks and backslashes are written as three octal digits."""
    for code in ("\\040", "\\011", "\\012", "\\134"):
        text = text.replace(code, chr(int(code[1:], 8)))
    return text


def hard_limits(text: str) -> dict[str, str]:
    """Name -> hard limit of a /proc/PID/limits, whose columns are 26 and 21 wide."""
    return {line[:26].strip(): line[47:68].strip() for line in text.splitlines()[1:]}


def cgroups(text: str, wanted: frozenset[str]) -> tuple[str, ...]:
    """Of a /proc/PID/cgroup: the cgroup in each v1 hierarchy of `wanted` controllers, or, of "", v2's one."""
    rows = (line.split(":", 2) for line in text.splitlines())
    return tuple(path for _, controllers, path in rows if wanted.intersection(controllers.split(",")))


def interfaces(text: str) -> tuple[str, ...]:
    """Of a /proc/PID/net/dev."""
    return tuple(sorted(line.partition(":")[0].strip() for line in text.splitlines()[2:]))


def local_addresses(text: str) -> tuple[IPv4Address, ...]:
    """Addresses of a network namespace, from /proc/PID/net/fib_trie, less its loopback's."""
    lines = text.splitlines()
    found = {IPv4Address(above.rpartition(" ")[2]) for above, line in pairwise(lines) if line.strip() == _LOCAL}
    return tuple(sorted(address for address in found if not address.is_loopback))


def ipv6_addresses(text: str) -> tuple[str, ...]:
    """Of a /proc/PID/net/if_inet6, as the kernel writes them, less the loopback's."""
    rows = (line.split() for line in text.splitlines())
    return tuple(row[0] for row in rows if row[-1] != "lo")


@dataclass(frozen=True, slots=True)
class Wire:
    """A container's network namespace as it sees it."""

    interfaces: tuple[str, ...]
    addresses: tuple[IPv4Address, ...]
    ipv6: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """One container as it is. The first of `processes` is its pid 1."""

    processes: tuple[Process, ...]
    uid_map: str
    gid_map: str
    owners: Mapping[str, str]  # kind of namespace -> the user namespace that it belongs to
    maker: int  # whose its user namespace is outside: the kernel charges them what it counts by user
    mounts: tuple[Mount, ...]
    hard_limits: Mapping[str, str]
    frozen: bool
    oom_score_adj: int
    program: tuple[int, int]  # device and inode of what pid 1 executes
    files: Mapping[int, str]  # what pid 1 has open
    wire: Wire
    held: Effective
    conmon: tuple[str, ...] | None  # its cgroups; None where there is no conmon
    tenant_by_address: int | None  # whose packets the rules take those of this container for, by its uid_base


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a container has to be, by the rows. `asked` are the limits that it was started with."""

    container_id: str
    tenant_id: str
    uid_base: int
    cgroup: str
    conmon: str
    address: IPv4Address | None
    asked: Effective


@dataclass(frozen=True, slots=True)
class Here:
    """What of this host all containers are judged by, read once for all of them."""

    namespaces: Mapping[str, str]  # the host's own, which no container may be in
    users: Mapping[str, Mapping[str, str]]  # namespace -> containers that are in it, each with its tenant's id
    processes: Mapping[str, tuple[int, ...]]  # pid namespace, but the host's -> all that are in it
    mounts: Mapping[str, tuple[Mount, ...]]  # device -> where it is mounted, in Berth's mount namespace
    points: Mapping[str, Mount]  # the same by mount point
    init: tuple[int, int]
    own: tuple[Path, ...]  # folders with one folder a container
    disks: Path
    disk_views: Path
    layer_views: Path
    shown: tuple[Path, ...]  # Berth's own files and folders that containers may be shown, read-only
    nothing: Path  # of these the one that is empty
    masked: tuple[str, ...]  # those of the contract that this kernel has
    read_only: tuple[str, ...]
    limits_swap: bool
    limits_disks: bool
    rules: str  # what is wrong with the nftables rules, or nothing


def asked_for(resources: Mapping[str, Mapping[str, int]]) -> Effective:
    """From `linux.resources` of the config that the container was made by (runtime-spec, config-linux.md)."""
    memory, cpu = resources.get("memory", {}), resources.get("cpu", {})
    limit, both = memory.get("limit"), memory.get("swap")  # which is memory and swap together there
    quota, period = cpu.get("quota"), cpu.get("period")
    return Effective(
        memory_bytes=limit,
        swap_bytes=both - limit if limit is not None and both is not None else None,
        cpu_millis=quota * 1000 // period if quota and period else None,
        pids=resources.get("pids", {}).get("limit"),
    )


def quota_of(limits: Limits) -> Effective:
    """A tenant's quota as its cgroup has to hold it."""
    return Effective(
        memory_bytes=limits.memory_bytes,
        swap_bytes=limits.swap_bytes,
        cpu_millis=limits.cpu_millis,
        pids=limits.pids,
        io_bytes=limits.io_bytes or None,
        io_operations=limits.io_operations or None,
    )
