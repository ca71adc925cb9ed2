"""A tenant's space on the host: a disk, the layer store with the tenant's own ids, a slice with the quota."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from paas.errors import LimitRefused
from paas.linux import cgroup_use, disks, journal, mounts, namespaces, trees, writeback
from paas.linux.cgroup_limits import Refusals
from paas.linux.cgroups import LIMITING, Cgroup
from paas.linux.command import run
from paas.linux.syscalls import MS_NOATIME, MS_NODEV, MS_NOSUID
from paas.paths import Paths
from paas.runtime import reserve
from paas.specs import BYTES_PER_INODE, Effective, Limits, TenantSpec

# conmon copies a container's output: on a slice of its own, so that a log flood slows its writer down
# (the pipe fills up), not the neighbours, and that a stop of the worker's service spares it.
CONMON_LIMITS = Limits(memory_bytes=256 << 20, swap_bytes=256 << 20, cpu_millis=500, pids=4096)
BUILDS = "builds"  # on a disk: sources that are being built
_FOLDERS = ("containers", "cache", "volumes", BUILDS)


@dataclass(frozen=True, slots=True)
class Space:
    """Where a tenant's things are. Makes nothing by itself."""

    paths: Paths
    cgroup_root: str
    tenant_id: str

    @property
    def image(self) -> Path:
        """A sparse ext4 image: the one thing of a tenant that survives a reboot."""
        return self.paths.tenants / self.tenant_id / "disk.img"

    @property
    def disk(self) -> Path:
        """The disk with its ids as stored, from 0: what the builder copies from and to."""
        return self.paths.disks / self.tenant_id

    @property
    def disk_view(self) -> Path:
        """The disk with the tenant's ids: what containers write through."""
        return self.paths.disk_views / self.tenant_id

    @property
    def layers(self) -> Path:
        """The layer store with the tenant's ids, read-only."""
        return self.paths.layer_views / self.tenant_id

    @property
    def users(self) -> Path:
        """The user namespace that all of the tenant's containers are in."""
        return self.paths.user_namespaces / self.tenant_id

    @property
    def slice(self) -> Cgroup:
        return Cgroup(f"{self.cgroup_root}/{self.tenant_id}")

    @property
    def conmons(self) -> Cgroup:
        return Cgroup(f"{self.cgroup_root}/_conmon/{self.tenant_id}")

    @property
    def prepared(self) -> Path:
        return self.paths.prepared / self.tenant_id

    @property
    def volumes(self) -> Path:
        """What outlives containers and releases: a folder a volume, with ids as stored."""
        return self.disk / "volumes"

    def scratch(self, container_id: str) -> Path:
        """A container's upper and work folders, on the disk."""
        return self.disk / "containers" / container_id


def ensure(space: Space, tenant: TenantSpec) -> None:
    """`prepare` unless that was done for this very spec and all of it is still there: each launch asks, and to
    write every limit again is a twentieth of it. Limits that somebody else changed meanwhile stay so, and so do
    those in place of which the kernel refuses others: a launch is held to what is in force."""
    mounted = (space.disk, space.disk_view, space.layers, space.users)
    is_there = (
        _was_prepared_for(space, tenant)
        and all(mounts.is_mounted(place) for place in mounted)
        and all(cgroup.folder(name).is_dir() for cgroup in (space.slice, space.conmons) for name in LIMITING)
    )
    if not is_there:
        try:
            prepare(space, tenant)
        except LimitRefused:
            if not _is_limited(space):  # somebody took the former limit away
                raise
    if reserve.is_due(space.disk):
        with _alone(space):
            if reserve.is_due(space.disk):  # still: nobody else was quicker
                reserve.keep(space.disk)


def prepare(space: Space, tenant: TenantSpec) -> None:
    """Make what is missing and set the quota. Errors: LimitRefused when a former limit stays in force and all
    else is done; HostProblem; what was there stays."""
    refused = Refusals()
    with _alone(space):
        space.prepared.unlink(missing_ok=True)
        with refused.noted():
            space.slice.create(tenant.quota)
        space.slice.limit_io(tenant.quota, disk_of(space.paths.state))
        with refused.noted():
            space.conmons.create(CONMON_LIMITS)
        grown = _ensure_image(space.image, tenant.disk_bytes)
        if not mounts.is_mounted(space.disk):
            _mount_disk(space)
        elif grown:
            _grow(space)
        _limit_writeback(space, tenant)
        _ensure_views(space, tenant.uid_base)
        namespaces.pin_user_namespace(space.users, tenant.uid_base)
        if not refused.found or _is_limited(space):
            _mark_prepared(space, tenant)
    refused.tell()


def _is_limited(space: Space) -> bool:
    found = space.slice.effective()
    return None not in (found.memory_bytes, found.cpu_millis)


def _limit_writeback(space: Space, tenant: TenantSpec) -> None:
    """What the kernel writes for the tenant's containers, where it charges none of them for it."""
    device = disks.holding(space.disk)
    if device is not None:
        writeback.limit(device, *_writeback_of(tenant))
        journal.charge(device, space.slice)


def _writeback_of(tenant: TenantSpec) -> tuple[int, int]:
    quota, own = tenant.quota, tenant.container
    return quota.io_bytes or own.io_bytes, quota.io_operations or own.io_operations


def holds_writeback(space: Space, tenant: TenantSpec) -> bool:
    """Whether that limit is in force; True where there is no disk to limit yet."""
    device = disks.holding(space.disk) if mounts.is_mounted(space.disk) else None
    if device is None:
        return True
    return writeback.is_limited(device, *_writeback_of(tenant)) and journal.is_charged(device, space.slice)


def _was_prepared_for(space: Space, tenant: TenantSpec) -> bool:
    """Or for a later one: a launch may have read its tenant before the quota was changed."""
    try:
        since, _, what = space.prepared.read_text().partition(" ")
        return what == _prepared_for(tenant) or float(since) > tenant.since
    except (FileNotFoundError, ValueError):  # ValueError: by a Berth that wrote no time
        return False


def _mark_prepared(space: Space, tenant: TenantSpec) -> None:
    space.prepared.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = space.prepared.with_suffix(".new")
    fresh.write_text(f"{tenant.since} {_prepared_for(tenant)}")
    fresh.rename(space.prepared)


def _prepared_for(tenant: TenantSpec) -> str:
    return f"{tenant} {CONMON_LIMITS}"


def grow(space: Space) -> None:
    """Bring a mounted disk to the size of its image, where an earlier try was refused."""
    with _alone(space):
        if mounts.is_mounted(space.disk) and _mounted_bytes(space.disk) < space.image.stat().st_size:
            _grow(space)


def effective(space: Space) -> Effective:
    """What the kernel holds the tenant to; of the disk only while it is mounted."""
    found = space.slice.effective(disk_of(space.paths.state))
    found = replace(found, swap_used=cgroup_use.swap_used(space.slice))
    if not mounts.is_mounted(space.disk):
        return found
    disk = os.statvfs(space.disk)
    return replace(
        _with_writeback(found, space),
        disk_whole=_mounted_bytes(space.disk),
        disk_bytes=disk.f_blocks * disk.f_frsize,
        disk_used=(disk.f_blocks - disk.f_bfree) * disk.f_frsize,
        inodes=disk.f_files,
        inodes_used=disk.f_files - disk.f_ffree,
    )


def _with_writeback(found: Effective, space: Space) -> Effective:
    """A limit on what is written holds where both hold, now and later."""
    device = disks.holding(space.disk) if writeback.is_uncharged() else None
    if device is None:
        return found
    later_bytes, later_operations = writeback.read(device)

    def both(now: int | None, later: int) -> int | None:
        return max(now, later) if now and later else None

    return replace(
        found,
        io_bytes=both(found.io_bytes, later_bytes),
        io_operations=both(found.io_operations, later_operations),
    )


def in_force(space: Space, tenant: TenantSpec) -> TenantSpec:
    """With what the kernel allows of processors now: less than when the tenant was read, perhaps. Ask under
    `shared`."""
    most = space.slice.effective().cpu_millis
    if most is None or most >= tenant.quota.cpu_millis:
        return tenant
    return replace(tenant, quota=replace(tenant.quota, cpu_millis=most))


def within(limits: Limits, quota: Limits) -> Limits:
    """A container's limits beneath its tenant's quota: v1 refuses a child with more cpu than its parent has."""
    return replace(
        limits,
        cpu_millis=min(limits.cpu_millis, quota.cpu_millis),
        io_bytes=_lesser(limits.io_bytes, quota.io_bytes),
        io_operations=_lesser(limits.io_operations, quota.io_operations),
    )


def _lesser(one: int, other: int) -> int:
    """0 is no limit."""
    return min(one, other) if one and other else one or other


@cache
def disk_of(folder: Path) -> str | None:
    """What is limited, looked up once a process: a mounted file system does not change its disk."""
    disk = disks.holding(folder)
    return disks.number(disk) if disk else None


def remove(space: Space) -> None:
    """Leave nothing of the tenant on this host: processes, cgroups, mounts, disk."""
    with _alone(space):
        space.prepared.unlink(missing_ok=True)
        writeback.release(space.image.parent)  # first: who is to end may wait for what has to wait
        for cgroup in (space.slice, space.conmons):
            cgroup.kill()
            cgroup.remove()
        for place in (space.layers, space.disk_view, space.disk):
            mounts.remove_mount_point(place)
        namespaces.unpin_user_namespace(space.users)
        shutil.rmtree(space.image.parent, ignore_errors=True)
    (space.paths.locks / f"tenant-{space.tenant_id}").unlink(missing_ok=True)


@contextmanager
def shared(space: Space) -> Iterator[None]:
    """While this is held the space stays as it is; containers are created under it."""
    with _locked(space, fcntl.LOCK_SH):
        yield


@contextmanager
def _alone(space: Space) -> Iterator[None]:
    with _locked(space, fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(space: Space, kind: int) -> Iterator[None]:
    """flock(2): the kernel lets go when the holder dies."""
    space.paths.locks.mkdir(parents=True, exist_ok=True)
    fd = os.open(space.paths.locks / f"tenant-{space.tenant_id}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, kind)
        yield
    finally:
        os.close(fd)


def _ensure_image(image: Path, size: int) -> bool:
    """Make the image, or make it larger; never smaller. Returns whether it was there and grew."""
    if image.exists():
        grows = image.stat().st_size < size
        if grows:
            os.truncate(image, size)
        return grows
    image.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = image.with_suffix(".new")
    with fresh.open("wb") as file:
        file.truncate(size)
    # No blocks kept back for root, inode tables left sparse, no lost+found for tenants to wonder at.
    options = ["-m", "0", "-b", "4096", "-i", str(BYTES_PER_INODE)]
    run(["mkfs.ext4", "-q", "-F", *options, "-E", "lazy_itable_init=1,lazy_journal_init=1", fresh])
    fresh.rename(image)
    return False


def _mount_disk(space: Space) -> None:
    """Attach the image to a loop device that goes away with its last mount, and mount it."""
    _mount_point(space.disk)
    device = run(["losetup", "--find", "--show", "--direct-io=on", space.image]).stdout.strip()
    try:
        flags = MS_NODEV | MS_NOSUID | MS_NOATIME
        if file_system_bytes(space.image) < space.image.stat().st_size:
            run(["e2fsck", "-f", "-p", device], check=False)  # resize2fs demands it; 1 is "found and corrected"
            run(["resize2fs", device])
        mounts.mount(device, space.disk, "ext4", flags, "discard,noinit_itable,errors=remount-ro")
    finally:
        run(["losetup", "--detach", device])  # while it is in use this only marks it to go with its last user
    # No container or build of before can be alive on a disk that was not mounted: a reboot left these.
    for folder in ("containers", BUILDS):
        trees.remove(space.disk / folder)
    for folder in _FOLDERS:
        (space.disk / folder).mkdir(mode=0o711, exist_ok=True)


def _grow(space: Space) -> None:
    """Grow it while mounted; where the kernel refuses that (no CAP_SYS_RESOURCE) it grows when next mounted."""
    device = run(["findmnt", "--noheadings", "--output", "SOURCE", "--mountpoint", space.disk]).stdout.strip()
    run(["losetup", "--set-capacity", device])
    run(["resize2fs", device], check=False)


def _mounted_bytes(disk: Path) -> int:
    """Of the file system that is mounted there: its device has the superblock as the kernel sees it."""
    number = disk.stat().st_dev
    device = disks.SYS_DEV_BLOCK / f"{os.major(number)}:{os.minor(number)}"
    return file_system_bytes(Path("/dev") / device.resolve().name)


def file_system_bytes(image: Path) -> int:
    """From the superblock (ext4's Documentation/filesystems/ext4/super.rst): block count and log2 of a KiB."""
    with image.open("rb") as file:
        file.seek(1024)
        _, blocks, *_, log_size = struct.unpack("<7I", file.read(28))
    return int(blocks << (10 + log_size))


def _ensure_views(space: Space, uid_base: int) -> None:
    layers = space.paths.store / "layers"
    wanted = [(layers, space.layers, True), (space.disk, space.disk_view, False)]
    missing = [view for view in wanted if not mounts.is_mounted(view[1])]
    if not missing:
        return
    layers.mkdir(parents=True, exist_ok=True)
    with namespaces.user_namespace(uid_base) as userns:
        for source, target, read_only in missing:
            _mount_point(target)
            mounts.id_mapped_view(source, target, userns, read_only=read_only)


def _mount_point(path: Path) -> None:
    """The runtime reaches these as the tenant's root, who must pass the folders above but not list them."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    path.mkdir(exist_ok=True, mode=0o711)
