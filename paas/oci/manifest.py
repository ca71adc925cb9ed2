"""An image's parts list: its config and its layers, bottom first (OCI image spec, manifest.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from paas.errors import BadInput
from paas.oci.descriptor import MANIFEST, Descriptor, parse_descriptor
from paas.oci.digest import canonical_json

WANTED = "deploy one that docker, podman, buildah or berth push has made"


@dataclass(frozen=True, slots=True)
class Manifest:
    config: Descriptor
    layers: tuple[Descriptor, ...]

    def to_json(self) -> bytes:
        return canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": self.config.as_dict(),
                "layers": [layer.as_dict() for layer in self.layers],
            }
        )


def parse_manifest(data: bytes) -> Manifest:
    document = load_object(data, "image manifest")
    match document:
        case {"schemaVersion": 2, "config": config, "layers": [*layers]}:
            return Manifest(parse_descriptor(config), tuple(parse_descriptor(layer) for layer in layers))
    if document.get("schemaVersion") == 1:
        raise BadInput(
            "the image has a manifest of Docker's old format, schema 1",
            hint="build it, or pull and push it, with a current tool (docker, podman, skopeo), and deploy that",
        )
    raise BadInput("image manifest has no config or no layers", hint=f"it is no container image; {WANTED}")


def load_object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadInput(f"{what} is not a JSON object")
    return value
