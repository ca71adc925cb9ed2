"""A container's mounts against the contract: pure.

A mount shows something of the host's where its file system is mounted in Berth's mount namespace too. What that
is called there says whose it is: the container's own bundle and root, its tenant's disk, or a file of Berth's
that everybody may read. All else is a path of the host that nobody meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from paas.isolation.facts import Here, Mount, Seen, Wanted

FRESH_KINDS = frozenset(("proc", "sysfs", "tmpfs", "devpts", "mqueue", "overlay"))
# What the runtime shows of the host's /dev: no disk, no memory, no console.
NODES = frozenset(("/null", "/zero", "/full", "/tty", "/random", "/urandom"))
NO_GAIN = frozenset(("nosuid", "nodev"))


def root_problems(seen: Seen, wanted: Wanted, here: Here) -> Iterator[str]:
    root = _at(seen.mounts, "/")
    if root is None or root.kind != "overlay":
        yield f"its root is {root.kind if root else 'nothing'}, not an overlay"
        return
    upper = next((o.removeprefix("upperdir=") for o in root.super_options if o.startswith("upperdir=")), "")
    own = str(here.disk_views / wanted.tenant_id / "containers" / wanted.container_id)
    # Relative to the layer store, as it was mounted (see paas.runtime.rootfs).
    if not _ends_as(upper, f"{here.disk_views.name}/{wanted.tenant_id}/containers/{wanted.container_id}/upper"):
        yield f"what it writes goes to {upper or 'nowhere'}, not below {own}"
    if missing := NO_GAIN - root.options:
        yield f"its root is mounted without {' and '.join(sorted(missing))}"


def host_path_problems(seen: Seen, wanted: Wanted, here: Here) -> Iterator[str]:
    for mount in seen.mounts:
        if mount.device in here.mounts:
            yield from _of_the_host(mount, wanted, here)
        elif mount.kind not in FRESH_KINDS:
            yield f"{mount.point} is a file system of the kind {mount.kind}"
        if _can_carry(mount) and (missing := NO_GAIN - mount.options):
            yield f"{mount.point} is mounted without {' and '.join(sorted(missing))}"


def kernel_file_problems(seen: Seen, here: Here) -> Iterator[str]:
    sys = _at(seen.mounts, "/sys")
    if sys is None or not sys.is_read_only:
        yield "/sys can be written to"
    for path in here.masked:
        found = _at(seen.mounts, path)
        if found is None or not _hides(found, here):
            yield f"{path} can be read"
    for path in here.read_only:
        found = _at(seen.mounts, path)
        if found is None or not found.is_read_only:
            yield f"{path} can be written to"


def _hides(mount: Mount, here: Here) -> bool:
    """A null device, a file system of the runtime's without a file, or Berth's empty folder."""
    if mount.device in here.mounts and here.nothing in _places(mount, here):
        return mount.is_read_only
    return mount.root == "/null" or (mount.kind == "tmpfs" and mount.root == "/" and mount.is_read_only)


def _of_the_host(mount: Mount, wanted: Wanted, here: Here) -> Iterator[str]:
    if mount.kind == "devtmpfs":
        if mount.root not in NODES:
            yield f"{mount.point} is the host's device {mount.root}"
        return
    places = list(_places(mount, here))
    if any(_is_own(place, wanted, here) for place in places):
        return
    if not any(place.is_relative_to(shown) for place in places for shown in here.shown):
        yield f"{mount.point} is the host's {places[0] if places else mount.root}"
    elif not mount.is_read_only:
        yield f"{mount.point}, which is the host's {places[0]}, can be written to"


def _places(mount: Mount, here: Here) -> Iterator[Path]:
    """What is shown there, by every name that it has in Berth's mount namespace."""
    for host in here.mounts[mount.device]:
        if PurePosixPath(mount.root).is_relative_to(host.root):
            yield Path(host.point) / PurePosixPath(mount.root).relative_to(host.root)


def _is_own(place: Path, wanted: Wanted, here: Here) -> bool:
    own = [folder / wanted.container_id for folder in here.own]
    own += [folder / wanted.tenant_id for folder in (here.disks, here.disk_views)]
    return any(place.is_relative_to(folder) for folder in own)


def _can_carry(mount: Mount) -> bool:
    """Whether a setuid file or a device could be in it. The kernel's own read-only mounts hold neither, and
    /dev holds the nodes above; the kernel refuses devices in any that a user namespace mounted."""
    if mount.point == "/dev" or mount.point.startswith("/dev/"):
        return False
    return not (mount.is_read_only and mount.kind in ("proc", "tmpfs", "devtmpfs"))


def _ends_as(path: str, end: str) -> bool:
    return path == end or path.endswith(f"/{end}")


def _at(mounts: tuple[Mount, ...], point: str) -> Mount | None:
    """The last one at `point`, which hides those before."""
    return next((mount for mount in reversed(mounts) if mount.point == point), None)
