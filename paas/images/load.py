"""An image from elsewhere into the store: an OCI layout, a `docker save` archive (old style and new), or a
folder that skopeo wrote as `dir:`.

All of it is read, checked and unpacked under temporary names; only then is anything put in place, the manifest
last. So an error or a crash leaves nothing that can be seen.

Its manifest, config and compressed layers are kept byte for byte, beside the unpacked layers: no two programs
compress alike, and what is exported again must have the digests that it came with. Of a layer that was not
compressed and that our own writer spells the same, only the folder is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from paas.errors import BadInput
from paas.images import changeset, incoming
from paas.images.blobs import Blobs
from paas.images.budget import Budget, go_on
from paas.images.compression import plain_digest
from paas.images.durable import room_for
from paas.images.incoming import Source, Staged, blob, blob_document
from paas.images.layers import LayerInfo, Layers, made_elsewhere, unpack_layer
from paas.images.lock import adding
from paas.images.names import shown
from paas.oci.config import ImageConfig, mounted_once, parse_config
from paas.oci.descriptor import CONFIG, INDEXES, LAYER, LAYERS, MANIFESTS, Descriptor
from paas.oci.digest import hex_of, is_hex, of_bytes
from paas.oci.index import Archived, choose, choose_archived, parse_archived, parse_index, this_architecture
from paas.oci.manifest import WANTED, Manifest, parse_manifest

MOST_LAYERS = 60  # what fits into mount(2)'s one page of options
_MOST_INDEXES = 3  # an index in an index in an index


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """`max_bytes` for what comes and, apart, for what it unpacks to; `max_files` for what it unpacks to."""

    max_bytes: int = 16 * 1024**3
    max_files: int = 1_000_000


@dataclass(frozen=True, slots=True)
class _Found:
    """An image's documents as they came. `raw` is the manifest's bytes."""

    raw: bytes
    manifest: Manifest
    config: bytes
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A layer that is whole, under a temporary name (`folder`, None if the store has it) with its blob."""

    info: LayerInfo
    folder: Path | None
    staged: Staged
    keep_blob: bool


@dataclass(frozen=True, slots=True)
class Loaded:
    """`names` are what the image is called there."""

    digest: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loader:
    blobs: Blobs
    layers: Layers
    limits: LoadLimits
    look: Callable[[], object] = go_on

    def from_archive(self, stream: BinaryIO, *, name: str) -> Loaded:
        with self.blobs.staging() as folder:
            return self._load(incoming.archive_source(stream, folder, self._budget("archive")), name, folder)

    def from_folder(self, layout: Path, *, name: str) -> Loaded:
        with (
            self.blobs.staging() as folder,
            incoming.folder_source(layout, folder, self._budget("image")) as source,
        ):
            return self._load(source, name, folder)

    def _budget(self, what: str) -> Budget:
        return Budget(self.limits.max_bytes, self.limits.max_files, what, self.look)

    def _load(self, source: Source, name: str, folder: Path) -> Loaded:
        found = find(source, name)
        config = _check(found)
        with ExitStack() as undo, room_for("an image"):
            ready = self._prepare(source, found.manifest, config, undo)
            self._keep(found, ready)
        return Loaded(of_bytes(found.raw), found.names)

    def _prepare(
        self, source: Source, manifest: Manifest, config: ImageConfig, undo: ExitStack
    ) -> dict[str, _Ready]:
        """Each layer once, by the digest of its blob."""
        plain = self._budget("image")
        ready: dict[str, _Ready] = {}
        for descriptor, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
            if descriptor.digest not in ready:
                staged = blob(source, descriptor.digest, descriptor.size)
                ready[descriptor.digest] = self._layer(staged, diff_id, plain, undo)
            elif ready[descriptor.digest].info.diff_id != diff_id:
                raise _other_content(descriptor.digest, ready[descriptor.digest].info.diff_id, diff_id)
        return ready

    def _layer(self, staged: Staged, diff_id: str, plain: Budget, undo: ExitStack) -> _Ready:
        with staged.path.open("rb") as file:
            stream = cast(BinaryIO, file)
            if self.layers.use(diff_id):
                # Who names a layer must have all of it: else its DiffID would be a key to others' files.
                made = plain_digest(stream, plain)
                info, folder = self.layers.info(diff_id), None
            else:
                folder = undo.enter_context(self.layers.new())
                streamed = unpack_layer(stream, folder, plain)
                made = streamed.diff_id
                info = made_elsewhere(streamed, changeset.describe(folder, self.look), blob=staged.digest)
        if made != diff_id:
            raise _other_content(staged.digest, made, diff_id)
        is_ours = staged.digest == diff_id and info.canonical
        return _Ready(info, folder, staged, keep_blob=not is_ours)

    def _keep(self, found: _Found, ready: dict[str, _Ready]) -> None:
        for layer in ready.values():
            if layer.keep_blob:
                self.blobs.adopt(layer.staged.path, layer.staged.digest)
            if layer.folder is not None:
                self.layers.keep(layer.folder, layer.info)
        with adding(self.layers.root):
            for layer in ready.values():
                self.layers.info(layer.info.diff_id)  # a prune meanwhile took one that we relied on: NotFound
            self.blobs.put(found.config, found.raw)
            self.layers.sync()


def find(source: Source, name: str) -> _Found:
    """The image called `name` for this machine; BadInput or NotFound say what there is instead."""
    index = source.document("index.json")
    if index is not None:
        return _find_in_layout(source, index, name)
    listed = source.document("manifest.json")
    if listed is not None and listed.lstrip().startswith(b"{"):
        return _find_in_dir(source, listed)
    if listed is not None:
        return _find_in_archive(source, choose_archived(parse_archived(listed), name))
    raise BadInput(
        "it is no image: it has neither index.json nor manifest.json",
        hint="make it with `docker save`, `podman save` or `skopeo copy … oci-archive:`",
    )


def _find_in_layout(source: Source, index: bytes, name: str) -> _Found:
    architecture = this_architecture()
    chosen = choose(parse_index(index), name=name, architecture=architecture)
    names = chosen.names
    for _ in range(_MOST_INDEXES):
        descriptor = chosen.descriptor
        data = blob_document(source, descriptor.digest, descriptor.size)
        if descriptor.media_type in MANIFESTS:
            manifest = parse_manifest(data)
            config = blob_document(source, manifest.config.digest, manifest.config.size)
            return _Found(data, manifest, config, names)
        if descriptor.media_type not in INDEXES:
            raise BadInput(f"{shown(descriptor.media_type)!r} is no image", hint="export it as an OCI image")
        chosen = choose(parse_index(data), name="", architecture=architecture)
    raise BadInput(f"it holds indexes in indexes, more than {_MOST_INDEXES} deep")


def _find_in_dir(source: Source, raw: bytes) -> _Found:
    """What skopeo's `dir:` writes: the manifest as the registry has it, and each blob under its digits. It is
    the one kind of folder in which a manifest of Docker's own kind keeps its digest."""
    manifest = parse_manifest(raw)
    return _Found(raw, manifest, blob_document(source, manifest.config.digest, manifest.config.size), ())


def _find_in_archive(source: Source, image: Archived) -> _Found:
    """Docker's own kind of archive has no manifest: this one is ours, of the config and layers as they are."""
    config = source.document(image.config)
    if config is None:
        raise BadInput(f"it has no file {shown(image.config)!r}, which manifest.json names")
    stem = image.config.rpartition("/")[2].removesuffix(".json")
    if is_hex(stem) and hex_of(of_bytes(config)) != stem:
        raise BadInput(f"the config {stem} has the digest {of_bytes(config)}", hint="save it again")
    layers = tuple(_archived_layer(source, name) for name in image.layers)
    manifest = Manifest(Descriptor(CONFIG, of_bytes(config), len(config)), layers)
    return _Found(manifest.to_json(), manifest, config, image.names)


def _archived_layer(source: Source, name: str) -> Descriptor:
    staged = source.file(name)
    with staged.path.open("rb") as file:
        media_type = f"{LAYER}+gzip" if file.read(2) == b"\x1f\x8b" else LAYER
    return Descriptor(media_type, staged.digest, staged.size)


def _check(found: _Found) -> ImageConfig:
    config = parse_config(found.config)
    if config.os not in ("", "linux"):
        raise BadInput(f"it is an image for {shown(config.os)}", hint="choose one for linux")
    if config.architecture not in ("", this_architecture()):
        raise BadInput(
            f"it is an image for {shown(config.architecture)}, and this machine is {this_architecture()}",
            hint=f"build it for linux/{this_architecture()}",
        )
    if not config.diff_ids and found.manifest.layers:  # a Helm chart, a policy, a WebAssembly module
        raise BadInput(
            f"it is no container image: its config names no layers, and is of the kind "
            f"{shown(found.manifest.config.media_type)!r}",
            hint=WANTED,
        )
    if len(config.diff_ids) != len(found.manifest.layers):
        raise BadInput(
            f"its config names {len(config.diff_ids)} layers, its manifest {len(found.manifest.layers)}",
            hint="build it again, and push that",
        )
    if not config.diff_ids:
        raise BadInput("it has no layers: there is nothing in it to run", hint=WANTED)
    if len(mounted_once(config.diff_ids)) > MOST_LAYERS:
        raise BadInput(
            f"it has {len(config.diff_ids)} layers, and {MOST_LAYERS} can be mounted",
            hint="build it with fewer instructions, or squash it",
        )
    for layer in found.manifest.layers:
        if layer.media_type not in LAYERS:
            raise BadInput(
                f"it has a layer of the kind {shown(layer.media_type)!r}, which cannot be unpacked", hint=WANTED
            )
    return config


def _other_content(digest: str, made: str, diff_id: str) -> BadInput:
    return BadInput(
        f"layer {digest} has the DiffID {made}, and its config says {diff_id}", hint="fetch it again"
    )
