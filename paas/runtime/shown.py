"""What a container is shown beside its root file system: binds, other images' files, files of a few bytes.

Everything made for it is below its bundle, or in its scratch folder, and goes with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from paas.errors import BadInput
from paas.linux import mounts, syscalls
from paas.linux.syscalls import MS_NODEV, MS_NOSUID
from paas.runtime import files, rootfs, volumes
from paas.runtime.space import Space
from paas.specs import BindMount, ContainerSpec, InlineFile, LayersMount, TmpfsMount, VolumeMount

_FOLDER = "mounts"
_FILES = "files"


def prepare(space: Space, spec: ContainerSpec, bundle: Path) -> Iterator[BindMount | TmpfsMount]:
    """The spec's mounts as the runtime takes them. Errors: BadInput for a path that the layers do not have."""
    for number, mount in enumerate(spec.mounts):
        match mount:
            case BindMount():
                yield files.through_view(space, mount)
            case TmpfsMount():
                yield mount
            case LayersMount():
                yield _layers(space, spec, mount, bundle, str(number))
            case VolumeMount():
                yield BindMount(space.disk_view / volumes.place(mount.volume), mount.target, writable=True)
            case InlineFile():
                yield _file(spec, mount, bundle, str(number))


def remove(bundle: Path) -> None:
    """Unmount all of it. Again is fine."""
    folder = bundle / _FOLDER
    if folder.is_dir():
        for place in folder.iterdir():
            mounts.remove_mount_point(place)


def _place(bundle: Path, name: str) -> Path:
    """A new mount point. The runtime acts as the tenant's root, who must pass but not list."""
    folder = bundle / _FOLDER
    folder.mkdir(mode=0o711, exist_ok=True)
    place = folder / name
    place.mkdir(mode=0o711)
    return place


def _layers(space: Space, spec: ContainerSpec, mount: LayersMount, bundle: Path, name: str) -> BindMount:
    """A root file system of its own, whose upper folder is in the container's scratch."""
    root = _place(bundle, name)
    scratch = f"{spec.id}/{name}"
    rootfs.make_scratch(space, scratch)
    rootfs.mount(space, mount.layers, scratch, root)
    return BindMount(root / _real_path(root, mount.path), mount.target, writable=mount.writable)


def _real_path(root: Path, path: str) -> str:
    """Where `path` leads inside `root`, whatever links are on its way: relative, free of links."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
        fd = syscalls.openat2(top, path.lstrip("/") or ".", os.O_PATH, resolve)
    except OSError as error:
        raise BadInput(f"{path[:200]!r} is not there to be mounted", hint="check the path") from error
    finally:
        os.close(top)
    try:
        return os.path.relpath(Path(f"/proc/self/fd/{fd}").readlink(), root)
    finally:
        os.close(fd)


def _file(spec: ContainerSpec, file: InlineFile, bundle: Path, name: str) -> BindMount:
    """In memory, so that a secret is on no disk even where the run folder is."""
    place = bundle / _FOLDER / _FILES
    if not place.exists():
        mounts.mount("tmpfs", _place(bundle, _FILES), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0711,size=8m")
    path = place / name
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as stream:
        stream.write(file.content)
        os.fchown(fd, spec.tenant.uid_base + file.uid, spec.tenant.uid_base + file.gid)
        os.fchmod(fd, file.mode)
    return BindMount(path, file.target)
