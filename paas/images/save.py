"""An image out of the store, as an OCI layout that is a `docker load` archive as well.

Its manifest and config go out as they are. So does a layer that came compressed, or in somebody else's
spelling, and was kept; any other is written from its folder, uncompressed, and has its DiffID as digest: who
pushes or packs the layout may compress it. Every byte is checked on its way out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from paas.errors import BadInput, HostProblem, NotFound
from paas.images import changeset
from paas.images.blobs import Blobs
from paas.images.changeset import Write
from paas.images.compression import decompressed
from paas.images.layers import Layers
from paas.oci.attestation import Predicate, described, index_with
from paas.oci.config import ImageConfig, parse_config
from paas.oci.descriptor import INDEX, MANIFEST, Descriptor
from paas.oci.digest import of_bytes
from paas.oci.index import LAYOUT, archived_as, blob_path, index_of
from paas.oci.manifest import Manifest, load_object, parse_manifest
from paas.oci.tar import END, TarEntry, encode, padding

_CHUNK = 1024 * 1024


class Sink(Protocol):
    def file(self, name: str, size: int) -> AbstractContextManager[Write]:
        """Takes a file of exactly `size` bytes."""


@dataclass(frozen=True, slots=True)
class TarSink:
    """A tar archive, written as it comes."""

    target: BinaryIO

    @contextmanager
    def file(self, name: str, size: int) -> Iterator[Write]:
        self.target.write(encode(TarEntry(name, size=size)))
        yield self.target.write
        self.target.write(bytes(padding(size)))


@dataclass(frozen=True, slots=True)
class FolderSink:
    """A folder that has nothing of the layout in it yet."""

    folder: Path

    @contextmanager
    def file(self, name: str, size: int) -> Iterator[Write]:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            yield file.write


@dataclass(frozen=True, slots=True)
class Saver:
    blobs: Blobs
    layers: Layers

    def to_archive(self, digest: str, target: BinaryIO, *, name: str, said: Sequence[Predicate] = ()) -> None:
        self._save(digest, TarSink(target), name, said)
        target.write(END)

    def to_folder(self, digest: str, folder: Path, *, name: str) -> None:
        self._save(digest, FolderSink(folder), name, ())

    def _save(self, digest: str, sink: Sink, name: str, said: Sequence[Predicate]) -> None:
        raw = self.blobs.get(digest)
        manifest = parse_manifest(raw)
        document = self.blobs.get(manifest.config.digest)
        config = parse_config(document)
        self.check(manifest, config)
        write_documents(sink, raw, document, name=name, said=said)
        written = set[str]()
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
            if layer.digest not in written:
                written.add(layer.digest)
                with sink.file(blob_path(layer.digest), layer.size) as write:
                    self._layer(layer, diff_id, write)

    def check(self, manifest: Manifest, config: ImageConfig) -> None:
        """Raise NotFound before the first byte is written when a layer of it cannot be."""
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
            if self.blobs.has(layer.digest) or (layer.digest == diff_id and self.has_stream(diff_id)):
                continue
            raise NotFound(
                f"layer {layer.digest} was not kept as it came, so this image cannot be exported",
                hint="pull or import the image again",
            )

    def has_stream(self, diff_id: str) -> bool:
        """Whether the layer's own tar stream can be written."""
        try:
            info = self.layers.info(diff_id)
        except NotFound:
            return False
        return info.canonical or (bool(info.blob) and self.blobs.has(info.blob))

    def _layer(self, layer: Descriptor, diff_id: str, write: Write) -> None:
        checked = Checked(write)
        if self.blobs.has(layer.digest):
            _pour(self.blobs.path(layer.digest), checked.write)
        else:
            self.stream(diff_id, checked.write)
        checked.demand(layer.digest, layer.size)

    def stream(self, diff_id: str, write: Write) -> None:
        """The layer's tar stream, as its DiffID is the digest of."""
        info = self.layers.info(diff_id)
        if info.canonical:
            changeset.export(self.layers.path(diff_id), write)
            return
        if not self.has_stream(diff_id):
            raise NotFound(f"the stream of layer {diff_id} was not kept", hint="pull or import its image again")
        with self.blobs.path(info.blob).open("rb") as file, decompressed(cast(BinaryIO, file)) as plain:
            _copy(plain.read, write)


def write_documents(
    sink: Sink, raw: bytes, document: bytes, *, name: str, said: Sequence[Predicate] = ()
) -> None:
    """A layout of the image with this manifest and this config, but its layers; with what is said of it."""
    manifest, config = parse_manifest(raw), parse_config(document)
    kind = str(load_object(raw, "image manifest").get("mediaType") or MANIFEST)
    listed, documents = described(raw, kind), [raw, document]
    if said:
        inner, more = index_with(listed, said, name=name, architecture=config.architecture)
        listed = described(inner, INDEX)
        documents += [inner, *more]
    for path, data in (
        ("oci-layout", LAYOUT),
        ("index.json", index_of(listed, name=name, architecture=config.architecture)),
        ("manifest.json", archived_as(manifest.config, manifest.layers, name)),
        *((blob_path(of_bytes(data)), data) for data in documents),
    ):
        with sink.file(path, len(data)) as write:
            write(data)


class Checked:
    """Counts and hashes what it passes on."""

    def __init__(self, write: Write) -> None:
        self._write, self._digest, self._size = write, hashlib.sha256(), 0

    def write(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        self._size += len(data)
        self._write(data)

    def demand(self, digest: str, size: int | None = None) -> None:
        found = f"sha256:{self._digest.hexdigest()}"
        if found != digest or size not in (None, self._size):
            raise HostProblem(
                f"layer {digest} is damaged on disk: it has the digest {found}",
                hint="ask an administrator to mend the image store (manage.py store fsck --mend)",
            )


def _pour(path: Path, write: Write) -> None:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        _copy(file.read, write)


def _copy(read: Callable[[int], bytes], write: Write) -> None:
    while chunk := read(_CHUNK):
        write(chunk)


def checked_name(name: str) -> str:
    """A name as `docker load` and registries take it: no whitespace, no control characters, not too long."""
    if len(name) > 300 or any(not c.isprintable() or c.isspace() for c in name):
        raise BadInput(f"{name[:100]!r} is not an image's name", hint='write it as "name:tag"')
    return name
