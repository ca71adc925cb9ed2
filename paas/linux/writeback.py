"""What the kernel writes back later to a disk of one owner's, limited where cgroup v1 charges nobody for it.

On v1 such requests, and the file system's journal (see paas.linux.journal), are the root cgroup's, whoever made
the pages dirty (inode_cgwb_enabled in the kernel's include/linux/backing-dev.h). A loop device that is one
owner's alone has them apart from all others': a limit of the root cgroup's on that device is that owner's. What
waits for it is bounded too (Documentation/ABI/testing/sysfs-class-bdi), else anybody's sync(2) waits for all
that fits into memory: before Linux 6.2, which cannot do that, nothing is limited here.
"""

from __future__ import annotations

import errno
from functools import cache
from pathlib import Path

from paas.errors import HostProblem
from paas.linux import disks
from paas.linux.cgroup_limits import is_refusal, of_disk, read_int, write
from paas.linux.cgroups import host_tree

SYS_BLOCK, SYS_BDI = Path("/sys/block"), Path("/sys/class/bdi")
WAITING_SECONDS = 8  # of writing at the limit: a layer of half a GiB is made in memory
WAITING_LEAST = 8 << 20
_FILES = ("blkio.throttle.write_bps_device", "blkio.throttle.write_iops_device")


def limit(disk: Path, io_bytes: int, io_operations: int) -> None:
    """Of a disk by its /sys folder, a second; 0 takes a limit away. Does nothing where it is so, and where the
    kernel charges those who wrote or has no such limit. Errors: HostProblem."""
    root, wanted = _root(), (io_bytes, io_operations)
    if root is None or is_limited(disk, *wanted):
        return
    _bound_what_waits(disk / "bdi", io_bytes)
    for name, value in zip(_FILES, wanted, strict=True):
        write(root / name, f"{disks.number(disk)} {value}")


def is_limited(disk: Path, io_bytes: int, io_operations: int) -> bool:
    """Whether just these are in force; True where none can be."""
    if _root() is None:
        return True
    return read(disk) == (io_bytes, io_operations) and _is_bounded(disk / "bdi") == (io_bytes > 0)


def read(disk: Path) -> tuple[int, int]:
    """Bytes and operations a second, as the kernel has them now; 0 is no limit."""
    root = _root()
    if root is None:
        return 0, 0
    number = disks.number(disk)
    bytes_, operations = (of_disk((root / name).read_text(), number).get("", 0) for name in _FILES)
    return bytes_, operations


def is_uncharged() -> bool:
    """Whether it needs a limit of its own here, and can have it."""
    return _root() is not None


def release(images: Path) -> None:
    """Take the limits off every loop device whose image is below that folder: a number is used again."""
    for disk in sorted(SYS_BLOCK.glob("loop*")):
        image = disk / "loop" / "backing_file"
        if image.exists() and Path(image.read_text().strip()).is_relative_to(images.resolve()):
            limit(disk, 0, 0)


@cache
def _root() -> Path | None:
    tree = host_tree()
    if tree.version == 2 or "blkio" not in tree.controllers or not any(SYS_BDI.glob("*/strict_limit")):
        return None
    root = tree.root("blkio")
    return root if (root / _FILES[0]).exists() else None


def _is_bounded(bdi: Path) -> bool:
    return read_int(bdi / "strict_limit") == 1


def _bound_what_waits(bdi: Path, io_bytes: int) -> None:
    """By a strict limit on its dirty pages; there is none by operations."""
    write(bdi / "max_ratio", 100)
    if io_bytes:
        try:
            write(bdi / "max_bytes", max(io_bytes * WAITING_SECONDS, WAITING_LEAST))
        except HostProblem as problem:
            if not is_refusal(problem, errno.EINVAL):  # it is more than all disks together may keep waiting
                raise
    write(bdi / "strict_limit", int(io_bytes > 0))
