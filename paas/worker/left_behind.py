"""What a worker that was killed leaves on the disk, and that nothing else would ever take away."""

from __future__ import annotations

from pathlib import Path

import structlog
from django.conf import settings

from paas.linux import mounts, trees
from paas.runtime import confined
from paas.runtime.space import BUILDS
from paas.worker import lock
from tenants.containers.models import Container

log = structlog.get_logger()
COPIES = "copies"  # the lock that all share who have a root file system without a container


def clear() -> None:
    """What somebody works with is left to them. Costs the listing of a few folders where there is nothing."""
    for folder in settings.PATHS.disks.glob(f"*/{BUILDS}/*"):
        with lock.held(f"build-{folder.name}") as is_nobodys:
            if is_nobodys:
                _remove(folder)
    for build_id, cgroup in confined.left(settings.CGROUP_ROOT):
        with lock.held(f"build-{build_id}") as is_nobodys:
            if is_nobodys:
                confined.end(cgroup)
    if copies := list(settings.PATHS.rootfs.glob("copy-*")):
        with lock.held(COPIES) as are_nobodys:
            for root in copies if are_nobodys else ():
                _remove_copy(root)
    for folder in _passwords():
        _remove(folder)


def _remove_copy(root: Path) -> None:
    """The mount, and what was written through it: that is on the tenant's disk, and counts."""
    mounts.unmount(root)
    for scratch in settings.PATHS.disks.glob(f"*/containers/{root.name}"):
        trees.remove(scratch)
    _remove(root)


def _passwords() -> list[Path]:
    """For a registry, of containers that are over. Folders are looked at first: rows are made before them."""
    folders = list(settings.PATHS.transfers.glob("*"))
    if not folders:
        return []
    going = Container.objects.exclude(status=Container.Status.STOPPED)
    known = set(going.filter(pk__in=[folder.name for folder in folders]).values_list("pk", flat=True))
    return [folder for folder in folders if folder.name not in known]


def _remove(folder: Path) -> None:
    if not folder.exists():  # its owner was quicker
        return
    log.warning("left_behind.removed", path=str(folder))
    trees.remove(folder)
