"""The store as one tenant's builds, pulls and commits see it: what they bring is counted, and has an end.

`owners/<tenant>/<hex>-<bytes>` says that this tenant brought that layer, and what it takes. Both are its name:
each step of a build adds all of them up. Whoever brings one that the store has already is counted too: nobody's
share says what a neighbour has. One that is pruned counts no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from paas.errors import BadInput, Refused
from paas.images.layers import LayerInfo
from paas.images.load import Loaded, LoadLimits
from paas.images.store import Store
from paas.oci.digest import hex_of

BYTES_A_FILE = 4096  # its inode and the rest of its last block
WHAT_NEXT = (
    "destroy an app that is not needed, or ask an administrator to prune the image store or to raise the quota"
)
_MOST = 2**60


class TenantStore(Store):
    """`most` is what all layers of the tenant may take, in bytes; `whose` names it in an error."""

    def __init__(self, store: Store, tenant_id: str, most: int, whose: str) -> None:
        super().__init__(store.root)
        self.shared = store
        self._folder, self._most, self._whose = owners_folder(store, tenant_id), most, whose

    def commit_changeset(self, upper: Path, *, max_bytes: int | None = None, **options: Any) -> LayerInfo:
        left = self._left()
        with _Full(left, self._error):
            info = super().commit_changeset(upper, max_bytes=min(left, max_bytes or _MOST), **options)
        return self._counted(info)

    def load_archive(self, stream: BinaryIO, *, limits: LoadLimits | None = None, **options: Any) -> Loaded:
        left = self._left()
        with _Full(left, self._error):
            loaded = super().load_archive(stream, limits=_within(limits, left), **options)
        return self._counted_image(loaded)

    def load_layout(self, folder: Path, *, limits: LoadLimits | None = None, **options: Any) -> Loaded:
        left = self._left()
        with _Full(left, self._error):
            loaded = super().load_layout(folder, limits=_within(limits, left), **options)
        return self._counted_image(loaded)

    def _counted_image(self, loaded: Loaded) -> Loaded:
        for diff_id in self.config(loaded.digest).diff_ids:
            self._counted(self.layer_info(diff_id))
        return loaded

    def _counted(self, info: LayerInfo) -> LayerInfo:
        blob = self._blobs.path(info.blob) if info.blob else None
        size = info.size + BYTES_A_FILE * info.files + (blob.stat().st_size if blob and blob.exists() else 0)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / f"{hex_of(info.diff_id)}-{size}").touch()
        return info

    def _left(self) -> int:
        left = self._most - taken(self._folder, self.root)
        if left <= 0:
            raise self._error()
        return left

    def _error(self) -> Refused:
        return Refused(
            f"{self._whose} has no room left for images, sources and logs on this machine",
            hint=WHAT_NEXT,
        )


class _Full:
    """A limit on bytes that was the tenant's own, told as such."""

    def __init__(self, left: int, error: Any) -> None:
        self._left, self._error = left, error

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BadInput) and error.details.get("limit") == self._left:
            raise self._error() from error


def _within(limits: LoadLimits | None, left: int) -> LoadLimits:
    limits = limits or LoadLimits()
    return replace(limits, max_bytes=min(limits.max_bytes, left))


def owners_folder(store: Store, tenant_id: str) -> Path:
    return store.root / "owners" / tenant_id


def owned(store: Store, tenant_id: str) -> frozenset[str]:
    """DiffIDs of the layers that the tenant brought."""
    return frozenset(f"sha256:{name}" for _, name, _ in _marks(owners_folder(store, tenant_id)))


def owned_bytes(store: Store, tenant_id: str) -> int:
    return taken(owners_folder(store, tenant_id), store.root)


def taken(folder: Path, root: Path) -> int:
    """Of the layers that are still there; the marks of others go."""
    sizes: dict[str, int] = {}
    for mark, name, size in _marks(folder):
        if (root / "layers" / name).is_dir():
            sizes[name] = size
        else:
            mark.unlink(missing_ok=True)
    return sum(sizes.values())


def _marks(folder: Path) -> Iterator[tuple[Path, str, int]]:
    """(mark, hex of the layer, bytes)."""
    for mark in sorted(folder.iterdir()) if folder.is_dir() else ():
        name, _, size = mark.name.partition("-")
        if size.isdecimal():
            yield mark, name, int(size)
