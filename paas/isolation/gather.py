"""Reading what containers are, from /proc and cgroup files: a few dozen small ones for each, and no program."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

from paas.isolation import facts
from paas.isolation.facts import NAMESPACES, Here, Process, Seen, Status, Wanted, Wire
from paas.linux.cgroups import LIMITING, Cgroup, host_tree, io_throttling, swap_accounting
from paas.paths import Paths
from paas.runtime.bundle import READ_ONLY_PATHS
from paas.runtime.hosts import hidden_paths, this_host
from paas.runtime.limits import Hold
from paas.runtime.lives import Life
from paas.runtime.space import Space, disk_of, within
from paas.specs import Effective, Limits, TenantSpec

PROC = Path("/proc")
NS_GET_USERNS = 0xB701  # ioctl_ns(2)
NS_GET_OWNER_UID = 0xB704
TenantOf = Callable[[str, IPv4Address], int | None]


class Gone(Exception):
    """The container ended while it was looked at."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where this installation keeps its containers, and what of its own it may show them."""

    paths: Paths
    cgroup_root: str
    shown: tuple[Path, ...] = ()

    def life(self, container_id: str) -> Life:
        return Life(self.paths, self.cgroup_root, container_id)


def here(place: Place, containers: Iterable[str], rules: str) -> Here:
    """What all are judged by. `containers` are all on this host, whosever; `rules` is from Network.drift."""
    mounted = facts.mounts((PROC / "thread-self" / "mountinfo").read_text())
    init = this_host().init
    status, paths = init.stat(), place.paths
    return Here(
        namespaces=_namespaces(os.getpid()),
        users=_users(place, containers),
        processes=_processes(),
        mounts=_by_device(mounted),
        points={mount.point: mount for mount in mounted},
        init=(status.st_dev, status.st_ino),
        own=(paths.bundles, paths.rootfs, paths.transfers),
        disks=paths.disks,
        disk_views=paths.disk_views,
        layer_views=paths.layer_views,
        shown=(init, paths.nothing, *place.shown),
        nothing=paths.nothing,
        masked=tuple(path for path in hidden_paths() if Path(path).exists()),
        read_only=tuple(path for path in READ_ONLY_PATHS if Path(path).exists()),
        limits_swap=swap_accounting(host_tree()),
        limits_disks=io_throttling(host_tree()) and disk_of(paths.state) is not None,
        rules=rules,
    )


def wanted(place: Place, tenant: TenantSpec, container_id: str, address: IPv4Address | None) -> Wanted:
    """Gone when nothing of the container is left on the host."""
    life = place.life(container_id)
    known = life.facts()
    if known is None:
        raise Gone(container_id)
    return Wanted(
        container_id=container_id,
        tenant_id=tenant.id,
        uid_base=tenant.uid_base,
        cgroup=life.cgroup(known).name,
        conmon=f"{place.cgroup_root}/_conmon/{tenant.id}",
        address=address,
        asked=_asked(life.bundle, _of_disks(known.limits or Limits(), tenant.quota)),
    )


def look(place: Place, wanted: Wanted, here: Here, tenant_of: TenantOf) -> Seen:
    """`tenant_of` is Network.tenant_of. Gone when the container ended meanwhile."""
    life = place.life(wanted.container_id)
    first = life.pid()
    if first is None:
        raise Gone(wanted.container_id)
    try:
        return _look(place, first, wanted, here, tenant_of)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Gone(wanted.container_id) from error


def _look(place: Place, first: int, wanted: Wanted, here: Here, tenant_of: TenantOf) -> Seen:
    proc, cgroup = PROC / str(first), Cgroup(wanted.cgroup)
    tenant = Space(place.paths, place.cgroup_root, wanted.tenant_id)
    beside = {*cgroup.pids(), *here.processes.get(_namespaces(first)["pid"], ())} - {first}
    program = (proc / "exe").stat()
    wire = _wire(proc)
    address = wanted.address if wire.interfaces != ("lo",) else None
    return Seen(
        processes=(_process(first), *_those_left(sorted(beside))),
        uid_map=(proc / "uid_map").read_text(),
        gid_map=(proc / "gid_map").read_text(),
        owners={kind: _owner(proc / "ns" / kind) for kind in NAMESPACES if kind != "user"},
        maker=_maker(proc / "ns" / "user"),
        mounts=facts.mounts((proc / "mountinfo").read_text()),
        hard_limits=facts.hard_limits((proc / "limits").read_text()),
        frozen=cgroup.is_frozen(),
        oom_score_adj=int((proc / "oom_score_adj").read_text()),
        program=(program.st_dev, program.st_ino),
        files={int(file.name): str(file.readlink()) for file in (proc / "fd").iterdir()},
        wire=wire,
        held=Hold(tenant.slice, cgroup, disk_of(place.paths.state)).effective(),
        conmon=_conmon(place.life(wanted.container_id)),
        tenant_by_address=tenant_of(wanted.container_id, address) if address else None,
    )


def _those_left(pids: Iterable[int]) -> Iterator[Process]:
    """One that has ended is nothing to tell of; a number may be another process's by now."""
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            yield _process(pid)


def _processes() -> dict[str, tuple[int, ...]]:
    """By pid namespace: a process that left its container's control group is still in that."""
    found: dict[str, list[int]] = defaultdict(list)
    for process in PROC.glob("[0-9]*"):
        # Ended, or with more rights than ours (the host's init may have): then it is nobody's container.
        with suppress(OSError):
            found[str((process / "ns" / "pid").readlink())].append(int(process.name))
    found.pop(_namespaces(os.getpid())["pid"], None)
    return {namespace: tuple(pids) for namespace, pids in found.items()}


def _process(pid: int) -> Process:
    proc = PROC / str(pid)
    status = Status.parse((proc / "status").read_text(errors="replace"))
    return Process(pid, status, _namespaces(pid), facts.cgroups((proc / "cgroup").read_text(), limiting()))


def limiting() -> frozenset[str]:
    """Which of the hierarchies in a /proc/PID/cgroup hold limits."""
    return frozenset(LIMITING) if host_tree().version == 1 else frozenset([""])


def _namespaces(pid: int) -> dict[str, str]:
    return {kind: str((PROC / str(pid) / "ns" / kind).readlink()) for kind in NAMESPACES}


def _owner(namespace: Path) -> str:
    """The user namespace that it belongs to, as /proc names it."""
    own = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        owner = fcntl.ioctl(own, NS_GET_USERNS)
        try:
            return f"user:[{os.fstat(owner).st_ino}]"
        finally:
            os.close(owner)
    finally:
        os.close(own)


def _maker(namespace: Path) -> int:
    """The user id that made a user namespace."""
    own = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int.from_bytes(fcntl.ioctl(own, NS_GET_OWNER_UID, bytes(4)), sys.byteorder)
    finally:
        os.close(own)


def _users(place: Place, containers: Iterable[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for container_id in containers:
        life = place.life(container_id)
        pid, known = life.pid(), life.facts()
        if pid is not None and known is not None:
            with suppress(FileNotFoundError, ProcessLookupError):
                for namespace in _namespaces(pid).values():
                    found[namespace][container_id] = known.tenant_id
    return dict(found)


def _by_device(mounted: Iterable[facts.Mount]) -> dict[str, tuple[facts.Mount, ...]]:
    found: dict[str, list[facts.Mount]] = defaultdict(list)
    for mount in mounted:
        found[mount.device].append(mount)
    return {device: tuple(mounts) for device, mounts in found.items()}


def _wire(proc: Path) -> Wire:
    net = proc / "net"
    ipv6 = net / "if_inet6"  # absent where the kernel has no IPv6
    return Wire(
        interfaces=facts.interfaces((net / "dev").read_text()),
        addresses=facts.local_addresses((net / "fib_trie").read_text()),
        ipv6=facts.ipv6_addresses(ipv6.read_text()) if ipv6.exists() else (),
    )


def _conmon(life: Life) -> tuple[str, ...] | None:
    pid = life.conmon_pid()
    if pid is None:
        return None
    with suppress(FileNotFoundError, ProcessLookupError):
        return facts.cgroups((PROC / str(pid) / "cgroup").read_text(), limiting())
    return None


def _of_disks(limits: Limits, quota: Limits) -> Limits:
    """On v1 a tenant's containers have its quota together, and nothing beneath it (see paas.runtime.limits)."""
    if host_tree().version == 2 or not (quota.io_bytes or quota.io_operations):
        return within(limits, quota)
    rate, operations = quota.io_bytes or limits.io_bytes, quota.io_operations or limits.io_operations
    return replace(limits, io_bytes=rate, io_operations=operations)


def _asked(bundle: Path, of_disks: Limits) -> Effective:
    """Those on disks are in no config: Berth sets them itself."""
    try:
        config: Mapping[str, Mapping[str, Mapping[str, Mapping[str, int]]]] = json.loads(
            (bundle / "config.json").read_text()
        )
    except FileNotFoundError as error:
        raise Gone(bundle.name) from error
    found = facts.asked_for(config["linux"]["resources"])
    return replace(found, io_bytes=of_disks.io_bytes or None, io_operations=of_disks.io_operations or None)
