"""The run folder is in memory: what it holds is true of this boot only, and written at each launch.

Where /run is a tmpfs (file-hierarchy(7)), as with systemd, it is so by itself; else it gets a tmpfs of its own.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from paas.host.installation import Installation
from paas.linux import mounts, namespaces
from paas.linux.syscalls import MS_NODEV, MS_NOSUID

TMPFS_MAGIC = 0x01021994  # statfs(2)


def ensure(installation: Installation) -> None:
    """Leaves one alone that is in use: containers have their files there."""
    folder = installation.paths.run
    in_use = mounted_below(folder, Path("/proc/self/mountinfo").read_text())
    if in_use or namespaces.is_pinned(installation.paths.mount_namespace) or in_memory(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    if not in_memory(folder):  # what lies there is of a former boot, and hidden from now on
        mounts.mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0711,size=25%")


def remove(installation: Installation) -> None:
    """With all that is mounted there, and that mount namespaces are held by."""
    folder = installation.paths.run
    if namespaces.is_pinned(installation.paths.mount_namespace):
        namespaces.unpin(installation.paths.mount_namespace)
    for below in reversed(mounted_below(folder, Path("/proc/self/mountinfo").read_text())):
        mounts.unmount(below)
    if folder.exists():
        shutil.rmtree(folder)


def mounted_below(folder: Path, mountinfo: str) -> list[Path]:
    """Mount points at or under `folder`, in the order in which they were made (proc_pid_mountinfo(5))."""
    points = (Path(line.split()[4].replace("\\040", " ")) for line in mountinfo.splitlines())
    return [point for point in points if point == folder or folder in point.parents]


def in_memory(folder: Path) -> bool:
    return folder.exists() and namespaces.fs_magic(folder) == TMPFS_MAGIC
