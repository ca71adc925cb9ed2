"""What is said of an image, kept beside it: in-toto statements (in-toto attestation, spec v1) in a manifest of
their own, which an index lists with the image, as BuildKit does (its attestation-storage.md). Pure.

Whoever pulls the image by its platform takes no notice: that of the statements is unknown/unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from paas.oci.descriptor import CONFIG, INDEX, MANIFEST, Descriptor
from paas.oci.digest import canonical_json, hex_of, of_bytes

PROVENANCE: Final = "https://slsa.dev/provenance/v1"
CYCLONEDX: Final = "https://cyclonedx.org/bom"
IN_TOTO: Final = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_UNKNOWN = {"architecture": "unknown", "os": "unknown"}


@dataclass(frozen=True, slots=True)
class Predicate:
    """`type` says by its address what `body` holds."""

    type: str
    body: dict[str, Any]


def described(data: bytes, media_type: str) -> Descriptor:
    return Descriptor(media_type, of_bytes(data), len(data))


def index_with(
    image: Descriptor, predicates: Sequence[Predicate], *, name: str, architecture: str
) -> tuple[bytes, tuple[bytes, ...]]:
    """An index of the image and of what is said of it, and the documents that this needs beside the image."""
    statements = [_statement(predicate, image, name) for predicate in predicates]
    layers = [
        described(data, IN_TOTO).as_dict() | {"annotations": {"in-toto.io/predicate-type": predicate.type}}
        for data, predicate in zip(statements, predicates, strict=True)
    ]
    diff_ids = [of_bytes(data) for data in statements]
    config = canonical_json({**_UNKNOWN, "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described(config, CONFIG).as_dict(),
            "layers": layers,
        }
    )
    entry = described(manifest, MANIFEST).as_dict() | {
        "platform": _UNKNOWN,
        "annotations": {
            "vnd.docker.reference.digest": image.digest,
            "vnd.docker.reference.type": "attestation-manifest",
        },
    }
    own = image.as_dict() | {"platform": {"os": "linux", "architecture": architecture}}
    index = canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [own, entry]})
    return index, (manifest, config, *statements)


def _statement(predicate: Predicate, image: Descriptor, name: str) -> bytes:
    subject = {"name": name or image.digest, "digest": {"sha256": hex_of(image.digest)}}
    return canonical_json(
        {
            "_type": _STATEMENT,
            "subject": [subject],
            "predicateType": predicate.type,
            "predicate": predicate.body,
        }
    )
