"""What the store's documents say of each other: which manifest needs which config, layers and blobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from paas.errors import BadInput, HostProblem, NotFound
from paas.images.blobs import Blobs
from paas.images.incoming import MAX_DOCUMENT
from paas.oci.config import parse_config
from paas.oci.digest import is_hex
from paas.oci.manifest import parse_manifest


@dataclass(frozen=True, slots=True)
class Image:
    """`layers` are (digest of the blob, DiffID), bottom first. A blob is only there when the layer came so."""

    digest: str
    config: str
    layers: tuple[tuple[str, str], ...]

    @property
    def diff_ids(self) -> tuple[str, ...]:
        return tuple(diff_id for _, diff_id in self.layers)

    @property
    def documents(self) -> tuple[str, str]:
        return self.digest, self.config


def image(blobs: Blobs, digest: str) -> Image:
    """NotFound, BadInput or HostProblem if its documents are not here, are none, or are damaged."""
    manifest = parse_manifest(blobs.get(digest))
    diff_ids = parse_config(blobs.get(manifest.config.digest)).diff_ids
    if len(diff_ids) != len(manifest.layers):
        raise BadInput(f"image {digest} has {len(manifest.layers)} layers, and {len(diff_ids)} in its config")
    layers = zip((layer.digest for layer in manifest.layers), diff_ids, strict=True)
    return Image(digest, manifest.config.digest, tuple(layers))


def images(blobs: Blobs, among: Iterable[str] | None = None) -> Iterator[Image]:
    """Every sound image here, or of those named."""
    for digest in all_blobs(blobs) if among is None else among:
        try:
            if blobs.path(digest).stat().st_size <= MAX_DOCUMENT:
                yield image(blobs, digest)
        except (OSError, NotFound, BadInput, HostProblem):
            continue  # a config, a layer, gone, or damaged: fsck tells of the last


def all_blobs(blobs: Blobs) -> list[str]:
    return sorted(f"sha256:{path.name}" for path in blobs.folder.iterdir() if is_hex(path.name))
