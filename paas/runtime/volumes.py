"""Volumes: folders on a tenant's own disk that outlive containers and releases. Nothing prunes them.

They are named by server-made ids. The disk is mounted without set-user-id bits and devices, and so is each of
them in a container.
"""

from __future__ import annotations

import os
from pathlib import Path

from paas.errors import CommandFailed
from paas.linux import mounts, trees
from paas.linux.command import run
from paas.runtime.inside import Identity
from paas.runtime.space import Space
from paas.specs import ContainerSpec, VolumeMount

SIZE_SECONDS = 20.0


def place(volume: str) -> Path:
    """Of a volume, from the top of the tenant's disk."""
    if len(volume) != 12 or not set(volume) <= set("0123456789abcdef"):
        raise ValueError(f"not a volume's id: {volume!r}")
    return Path("volumes", volume)


def make(space: Space, spec: ContainerSpec, identity: Identity) -> None:
    """The folders of the spec's volumes. One that holds nothing yet is the container's user's, so that an app
    can write to it; one that does stays as it is, for its owner is the tenant's own affair by then.
    """
    for mount in spec.mounts:
        if isinstance(mount, VolumeMount):
            space.volumes.mkdir(mode=0o711, exist_ok=True)
            folder = space.disk / place(mount.volume)
            folder.mkdir(mode=0o755, exist_ok=True)
            with os.scandir(folder) as found:
                if next(found, None) is None:
                    os.chown(folder, identity.uid, identity.gid)


def remove(space: Space, volume: str) -> None:
    """The disk must be mounted. Again is fine."""
    trees.remove(space.disk / place(volume))


def size(space: Space, volume: str) -> int | None:
    """By du(1), which neither follows links nor minds how deep folders lie; given up after a while."""
    folder = space.disk / place(volume)
    if not mounts.is_mounted(space.disk):
        return None
    try:
        argv = ["du", "--summarize", "--one-file-system", "--block-size=1", "--", str(folder)]
        told = run(argv, timeout=SIZE_SECONDS, check=False, keep=4096).stdout
    except CommandFailed:
        return None
    number = told.split("\t", 1)[0]
    return int(number) if number.isdigit() else None
