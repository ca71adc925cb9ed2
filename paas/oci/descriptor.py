"""A pointer to content: what it is, its digest, its size in bytes (OCI image spec, descriptor.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from paas.errors import BadInput
from paas.oci.digest import hex_of

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
_DOCKER = "application/vnd.docker.distribution.manifest"
INDEXES: Final = frozenset({INDEX, f"{_DOCKER}.list.v2+json"})
MANIFESTS: Final = frozenset({MANIFEST, f"{_DOCKER}.v2+json"})
# Layers "distributed from elsewhere" (foreign, nondistributable) are not among them: nobody has their bytes.
LAYERS: Final = frozenset(
    {
        LAYER,
        f"{LAYER}+gzip",
        f"{LAYER}+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    }
)


@dataclass(frozen=True, slots=True)
class Descriptor:
    media_type: str
    digest: str
    size: int

    def as_dict(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def parse_descriptor(value: Any) -> Descriptor:
    match value:
        case {"mediaType": str(media_type), "digest": str(digest), "size": int(size)} if size >= 0:
            hex_of(digest)
            return Descriptor(media_type, digest, size)
    raise BadInput("image manifest holds a descriptor without mediaType, digest or size")
