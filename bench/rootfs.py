"""An image's files as a folder, for the peers to import."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from paas.runtime import Runtime
from paas.specs import TenantSpec
from paas.worker import left_behind, lock


@contextmanager
def files_of(runtime: Runtime, tenant: TenantSpec, layers: Sequence[str]) -> Iterator[Path]:
    """While the lock is held, nobody takes it for what a killed worker left."""
    with (
        lock.held(left_behind.COPIES, wait=True, shared=True),
        runtime.plain_rootfs(tenant, layers) as rootfs,
    ):
        yield rootfs.root
