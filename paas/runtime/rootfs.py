"""Root file systems: overlays of shared layers under an upper folder on the tenant's own disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.errors import BadInput
from paas.images.durable import demand_room_on_tenants_disk, is_full, room_on_tenants_disk
from paas.linux import mounts, trees
from paas.runtime import reserve
from paas.runtime.space import Space

UPPER, WORK = "upper", "work"
_WHAT = "a container's own files"


@dataclass(frozen=True, slots=True)
class PlainRootfs:
    """An overlay with ids as on disk: `upper` fills with what changes under `root`."""

    root: Path
    upper: Path


def layer_folders(layers: Sequence[str]) -> list[str]:
    """Folder names in the layer store, top first as overlayfs wants them, of DiffIDs (bottom first)."""
    names = []
    for layer in reversed(layers):
        algorithm, _, digest = layer.partition(":")
        if algorithm != "sha256" or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise BadInput(f"not a layer's DiffID: {layer!r}", hint="build the image again")
        names.append(digest)
    if not names:
        raise BadInput("an image without layers cannot run", hint="start from a base image")
    return names


def make_scratch(space: Space, container_id: str, *, may_spend: bool = False) -> None:
    """Empty upper and work folders on the tenant's disk, 0-owned there, so the container's root's. Refused when
    that is full, reserve and all. `may_spend`: the reserve, while nothing runs that would take it away."""
    scratch = space.scratch(container_id)
    if may_spend and is_full(space.disk) and not space.slice.usage().pids:
        reserve.spend(space.disk)
    demand_room_on_tenants_disk(_WHAT, space.disk)
    with room_on_tenants_disk(_WHAT, space.disk):  # it may be full by now
        for name in (UPPER, WORK):
            (scratch / name).mkdir(parents=True)
        (scratch / UPPER).chmod(0o755)  # becomes the mode of /


def remove_scratch(space: Space, container_id: str) -> None:
    """The overlay must be unmounted."""
    trees.remove(space.scratch(container_id))


def mount(space: Space, layers: Sequence[str], container_id: str, target: Path) -> None:
    """The container's own root file system at `target`, with the tenant's ids."""
    scratch = space.disk_view / "containers" / container_id
    _overlay(space.layers, scratch, layers, target)


def let_go(target: Path) -> None:
    """Unmount it here when its container has a mount namespace of its own, which holds it. It would be copied
    into that of each container that starts from now on, and cost every launch 20 us."""
    mounts.unmount(target)


@contextmanager
def plain(space: Space, layers: Sequence[str], scratch_id: str, target: Path) -> Iterator[PlainRootfs]:
    """The same without a container: for steps that only copy files. Gone on exit, upper and all."""
    scratch = space.scratch(scratch_id)
    with ExitStack() as undo:
        undo.callback(remove_scratch, space, scratch_id)
        make_scratch(space, scratch_id)
        target.mkdir(parents=True)
        undo.callback(mounts.remove_mount_point, target)
        _overlay(space.paths.store / "layers", scratch, layers, target)
        yield PlainRootfs(root=target, upper=scratch / UPPER)


def _overlay(store: Path, scratch: Path, layers: Sequence[str], target: Path) -> None:
    # Names relative to the store: with 60 layers the whole of it must fit a page of mount options.
    relative = os.path.relpath(scratch, store)
    mounts.overlay(layer_folders(layers), f"{relative}/{UPPER}", f"{relative}/{WORK}", target, folder=store)
