"""Which disks files lie on (Documentation/ABI/stable/sysfs-block), and whether cgroups share them by weight."""

from __future__ import annotations

import os
from pathlib import Path

from paas.linux.cgroups import Tree

SYS_DEV_BLOCK = Path("/sys/dev/block")


def holding(folder: Path, devices: Path = SYS_DEV_BLOCK) -> Path | None:
    """The /sys folder of the whole disk that a folder's file system is on: a limit takes no partition.

    A volume of device-mapper or md is a disk here: what goes through it counts once, whatever it consists of.
    None where no block device holds the files (tmpfs, NFS), or where the kernel does not say which (overlayfs,
    btrfs, ZFS).
    """
    number = folder.stat().st_dev
    return _whole(devices / f"{os.major(number)}:{os.minor(number)}")


def number(disk: Path) -> str:
    """MAJOR:MINOR, by which cgroups name a disk."""
    return (disk / "dev").read_text().strip()


def below(disk: Path) -> list[Path]:
    """What a disk consists of in the end, through device-mapper and md: where requests are scheduled."""
    parts = [_whole(slave) for slave in sorted(disk.glob("slaves/*"))]
    found = [lowest for part in parts if part is not None for lowest in below(part)]
    return list(dict.fromkeys(found)) or [disk]


def is_shared(disk: Path, tree: Tree) -> bool:
    """By its scheduler (bfq-iosched.rst), or by the cost model of v2 (cgroup-v2.rst, io.cost.qos)."""
    scheduler = disk / "queue" / "scheduler"
    if scheduler.exists() and "[bfq]" in scheduler.read_text():
        return True
    costs = tree.folders[0] / "io.cost.qos"
    lines = costs.read_text().splitlines() if costs.exists() else []
    return any(line.startswith(f"{number(disk)} ") and "enable=1" in line.split() for line in lines)


def _whole(device: Path) -> Path | None:
    if not device.exists():
        return None
    place = device.resolve()
    return place.parent if (place / "partition").exists() else place
