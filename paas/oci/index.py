"""Which image of many: an index, by name and platform (OCI image spec, image-index.md, image-layout.md), and
Docker's own list of the images in a `docker save` archive, manifest.json (moby, image/spec/spec.md)."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from paas.errors import BadInput, NotFound
from paas.oci.descriptor import INDEX, INDEXES, Descriptor, parse_descriptor
from paas.oci.digest import canonical_json
from paas.oci.manifest import load_object
from paas.oci.reference import familiar

REF_NAME: Final = "org.opencontainers.image.ref.name"
CONTAINERD_NAME: Final = "io.containerd.image.name"  # what Docker and containerd read a full name from
LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True, slots=True)
class Entry:
    """An image, or an index of more of them. `platform` is "" when nothing is said of it."""

    descriptor: Descriptor
    platform: str = ""  # "linux/amd64"
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Archived:
    """An image in Docker's manifest.json: names of files in the archive."""

    config: str
    layers: tuple[str, ...]
    names: tuple[str, ...] = ()


def this_architecture() -> str:
    """As Go names it, which the specification asks for."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def parse_index(data: bytes) -> tuple[Entry, ...]:
    match load_object(data, "image index"):
        case {"schemaVersion": 2, "manifests": [*found]}:
            return tuple(_entry(item) for item in found)
    raise BadInput("image index has no list of manifests")


def _entry(item: Any) -> Entry:
    descriptor = parse_descriptor(item)
    annotations = item.get("annotations") or {}
    named = (
        (annotations.get(key) for key in (CONTAINERD_NAME, REF_NAME)) if isinstance(annotations, dict) else ()
    )
    match item.get("platform"):
        case {"os": str(system), "architecture": str(architecture)}:
            where = f"{system}/{architecture}"
        case _:
            where = ""
    return Entry(descriptor, where, tuple(name for name in named if isinstance(name, str) and name))


def choose(entries: Sequence[Entry], *, name: str, architecture: str) -> Entry:
    """The image called `name` ("" is any, when there is one only) for Linux on this architecture.

    NotFound says which names or platforms there are instead.
    """
    named = [entry for entry in entries if not name or any(is_same_name(name, one) for one in entry.names)]
    if name and not named:
        known = sorted({one for entry in entries for one in entry.names})
        raise NotFound(f"no image in it is called {name[:100]!r}", hint=_there("names", known))
    fitting = [entry for entry in named if entry.platform in ("", f"linux/{architecture}")]
    if not fitting:
        platforms = sorted({entry.platform for entry in named})
        raise NotFound(f"it holds no image for linux/{architecture}", hint=_there("platforms", platforms))
    first = fitting[0]
    others = [entry for entry in fitting if entry.descriptor.digest != first.descriptor.digest]
    # Of one platform's variants (arm v7, v8) the first is meant, as in what pulls them.
    if any(entry.names != first.names or not entry.platform for entry in others):
        known = sorted({one for entry in fitting for one in entry.names})
        raise BadInput("it holds more than one image", hint=f"say which by its name. {_there('names', known)}")
    return first


def is_same_name(wanted: str, found: str) -> bool:
    """Whether two spellings mean the same image; a bare tag is what OCI layouts usually say."""
    try:
        return wanted == found or familiar(wanted) == familiar(found) or wanted.rpartition(":")[2] == found
    except BadInput:
        return False


def _there(what: str, known: Sequence[str]) -> str:
    return f"the {what} in it: {', '.join(one[:100] for one in known[:10]) or 'none'}"


def parse_archived(data: bytes) -> tuple[Archived, ...]:
    """Docker's manifest.json."""
    try:
        items = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"manifest.json is not JSON: {error}") from error
    if not isinstance(items, list):
        raise BadInput("manifest.json is not a list of images")
    return tuple(_archived(item) for item in items)


def _archived(item: Any) -> Archived:
    match item:
        case {"Config": str(config), "Layers": [*layers]} if all(isinstance(layer, str) for layer in layers):
            names = item.get("RepoTags") or ()
            return Archived(config, tuple(layers), tuple(name for name in names if isinstance(name, str)))
    raise BadInput("manifest.json: an image has no Config or no Layers")


def choose_archived(images: Sequence[Archived], name: str) -> Archived:
    found = [image for image in images if not name or any(is_same_name(name, one) for one in image.names)]
    if len(found) == 1:
        return found[0]
    known = sorted({one for image in images for one in image.names})
    wanted = f"called {name[:100]!r}" if name else "only"
    raise NotFound(f"it holds {len(images)} images, {len(found)} {wanted}", hint=_there("names", known))


# --- writing
def index_of(listed: Descriptor, *, name: str, architecture: str) -> bytes:
    """index.json of a layout with one image, or with an index that lists it."""
    entry = listed.as_dict()
    if listed.media_type not in INDEXES:
        entry["platform"] = {"os": "linux", "architecture": architecture}
    if name:
        tag = name.rpartition(":")[2] if ":" in name.rpartition("/")[2] else "latest"
        entry["annotations"] = {REF_NAME: tag, CONTAINERD_NAME: name}
    return canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})


def archived_as(config: Descriptor, layers: Sequence[Descriptor], name: str) -> bytes:
    """manifest.json for the same files, so that `docker load` takes a layout too."""
    item = {
        "Config": blob_path(config.digest),
        "RepoTags": [name] if name else [],
        "Layers": [blob_path(layer.digest) for layer in layers],
    }
    return canonical_json([item])


def blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/', 1)}"
