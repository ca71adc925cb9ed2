"""An image's parts list: its config and its layers, bottom first (OCI image spec, manifest.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from paas.errors import BadInput
from paas.oci.descriptor import MANIFEST, Descriptor, parse_descriptor
from paas.oci.digest import canonical_json


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
    match load_object(data, "image manifest"):
        case {"schemaVersion": 2, "config": config, "layers": [*layers]}:
            return Manifest(parse_descriptor(config), tuple(parse_descriptor(layer) for layer in layers))
    raise BadInput("image manifest has no config or no layers")


def load_object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadInput(f"{what} is not a JSON object")
    return value
