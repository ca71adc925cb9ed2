"""Finding what is damaged, and mending it: from what was kept, from elsewhere, or by taking it out of use.

Damaged is what no longer has the content that its digest says, and what an image that is needed lacks. A layer
is compared by its canonical stream, whose digest was noted when it was made (`LayerInfo.content`); everything
is read, so it takes a while.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal, cast

from paas.errors import BadInput, BerthError
from paas.images import changeset
from paas.images.blobs import Blobs
from paas.images.budget import Budget
from paas.images.durable import temporary_name
from paas.images.graph import Image, all_blobs, images
from paas.images.incoming import MAX_DOCUMENT, Staged, stage
from paas.images.layers import Layers, made_elsewhere, unpack_layer
from paas.images.lock import removing
from paas.images.steps import Steps
from paas.images.tags import Tags
from paas.oci.digest import hex_of
from paas.oci.manifest import parse_manifest

_CHUNK = 1024 * 1024
_MISSING = "it is not there"
_NOT_KEPT = "this layer as it came is not there: its image runs, and cannot be exported"
Kind = Literal["layer", "blob", "tag"]
# A stream of the content with this digest (a blob, or a layer's plain tar by its DiffID), or None.
Fetch = Callable[[str], BinaryIO | None]


@dataclass(frozen=True, slots=True)
class Damage:
    """`images` are the manifests' digests of the images concerned. `outcome` is "" when it was only looked for;
    it was mended where it was "rebuilt" from what was here or "fetched" from elsewhere; what was "removed" is
    lost until a build makes it anew or it is loaded again."""

    kind: Kind
    id: str
    what: str
    images: tuple[str, ...] = ()
    outcome: Literal["", "rebuilt", "fetched", "removed"] = ""


@dataclass(frozen=True, slots=True)
class Checker:
    root: Path
    blobs: Blobs
    layers: Layers
    tags: Tags
    steps: Steps
    fetch: Fetch

    def run(self, needed: Set[str], *, mend: bool) -> tuple[Damage, ...]:
        """`needed` are manifests' digests of images that are to be here in full."""
        known = tuple(images(self.blobs))
        bad_layers = [damage for d in self.layers.known() if (damage := self._layer(d, known))]
        bad_layers += self._missing_layers(known, needed)
        bad_blobs = [damage for d in all_blobs(self.blobs) if (damage := self._blob(d, known))]
        bad_blobs += [*self._missing_documents(needed), *self._missing_streams(known, needed)]
        if mend:  # layers first: a blob may be all that is left of one
            broken = {damage.id for damage in bad_blobs}
            bad_layers = [self._mend_layer(damage, known, broken) for damage in bad_layers]
            bad_blobs = [self._mend_blob(damage) for damage in bad_blobs]
        bad_tags = [self._mend_tag(damage) if mend else damage for damage in self._tags()]
        return (*bad_layers, *bad_blobs, *bad_tags)

    # --- looking
    def _layer(self, diff_id: str, known: tuple[Image, ...]) -> Damage | None:
        if not self.layers.has(diff_id):
            return None
        facts = self.layers.facts(diff_id)
        if facts is None:
            what = "its facts cannot be read"
        elif (found := _content(self.layers.path(diff_id))) in (facts.content, diff_id):
            return None
        elif not facts.content and not facts.canonical:
            return None  # of an earlier version: nothing to compare it with
        else:
            what = (
                f"its content has the digest {found}" if found else "its content is none that a layer may have"
            )
        concerned = tuple(image.digest for image in known if diff_id in image.diff_ids)
        return Damage("layer", diff_id, what, concerned)

    def _missing_layers(self, known: tuple[Image, ...], needed: Set[str]) -> Iterator[Damage]:
        """Those of images that are needed, and those that can be made from what was kept of any."""
        concerned: dict[str, list[Image]] = {}
        for image in known:
            for diff_id in image.diff_ids:
                if not self.layers.has(diff_id):
                    concerned.setdefault(diff_id, []).append(image)
        for diff_id, found in sorted(concerned.items()):
            digests = tuple(image.digest for image in found)
            if not needed.isdisjoint(digests) or self._kept(diff_id, known):
                yield Damage("layer", diff_id, _MISSING, digests)

    def _missing_documents(self, needed: Set[str]) -> Iterator[Damage]:
        for digest in sorted(needed):
            if not self.blobs.has(digest):
                yield Damage("blob", digest, _MISSING, (digest,))
                continue
            with suppress(BerthError):  # a manifest that is damaged is told of already
                config = parse_manifest(self.blobs.get(digest)).config.digest
                if not self.blobs.has(config):
                    yield Damage("blob", config, _MISSING, (digest,))

    def _missing_streams(self, known: tuple[Image, ...], needed: Set[str]) -> Iterator[Damage]:
        """Blobs that an export needs: a canonical layer is written from its folder, any other was kept."""
        concerned: dict[str, list[str]] = {}
        for image in known:
            for blob, diff_id in image.layers if image.digest in needed else ():
                facts = self.layers.facts(diff_id)
                is_ours = blob == diff_id and (facts is None or facts.canonical)
                sources = (blob, facts.blob) if facts and facts.blob and blob == diff_id else (blob,)
                if not is_ours and not any(map(self.blobs.has, sources)):
                    concerned.setdefault(blob, []).append(image.digest)
        for blob, digests in sorted(concerned.items()):
            yield Damage("blob", blob, _NOT_KEPT, tuple(digests))

    def _blob(self, digest: str, known: tuple[Image, ...]) -> Damage | None:
        with suppress(FileNotFoundError):
            found = _digest(self.blobs.path(digest))
            if found != digest:
                return Damage(
                    "blob", digest, f"its content has the digest {found}", self._naming(digest, known)
                )
        return None

    def _naming(self, digest: str, known: tuple[Image, ...]) -> tuple[str, ...]:
        """Images that name the blob: sound ones, itself if it was a manifest, and those whose config it was."""
        naming = {image.digest for image in known if digest in (b for b, _ in image.layers)}
        for other in all_blobs(self.blobs):
            path = self.blobs.path(other)
            with suppress(BerthError, OSError):
                if path.stat().st_size > MAX_DOCUMENT:
                    continue
                if parse_manifest(self.blobs.get(other)).config.digest == digest:
                    naming.add(other)
        return tuple(sorted(naming))

    def _tags(self) -> Iterator[Damage]:
        sound = {image.digest: image for image in images(self.blobs)}
        for name, digest in sorted(self.tags.all()):
            image = sound.get(digest)
            missing = [d for d in image.diff_ids if not self.layers.has(d)] if image else []
            if image is None:
                yield Damage("tag", name, f"its image {digest} is not there", (digest,))
            elif missing:
                yield Damage("tag", name, f"layer {missing[0]} of its image is not there", (digest,))

    # --- mending
    def _mend_layer(self, damage: Damage, known: tuple[Image, ...], broken: set[str]) -> Damage:
        diff_id = damage.id
        facts = self.layers.facts(diff_id)
        if facts is None and _content(self.layers.path(diff_id)) == diff_id:
            self._put_facts(diff_id)
            return replace(damage, outcome="rebuilt")
        for digest in self._kept(diff_id, known):
            if digest in broken:
                continue
            with self.blobs.path(digest).open("rb") as file:
                if self._rebuild(diff_id, cast(BinaryIO, file), digest):
                    return replace(damage, outcome="rebuilt")
        for digest in dict.fromkeys((diff_id, *_named(diff_id, known))):
            stream = self.fetch(digest)
            if stream is None:
                continue
            with stream:
                if self._rebuild(diff_id, stream, facts.blob if facts else ""):
                    return replace(damage, outcome="fetched")
        self._set_aside(diff_id)
        return replace(damage, outcome="removed")

    def _kept(self, diff_id: str, known: tuple[Image, ...]) -> list[str]:
        """Blobs that are here of the layer as it came."""
        facts = self.layers.facts(diff_id)
        wanted = (facts.blob if facts else "", *_named(diff_id, known))
        return [digest for digest in dict.fromkeys(wanted) if digest and self.blobs.has(digest)]

    def _put_facts(self, diff_id: str) -> None:
        """The folder is sound and its facts are not."""
        ours = changeset.describe(self.layers.path(diff_id))
        with removing(self.root):
            self.layers.write_facts(made_elsewhere(ours, ours))

    def _rebuild(self, diff_id: str, stream: BinaryIO, blob: str) -> bool:
        """Unpack it again from a stream that may itself be damaged."""
        try:
            with self.layers.new() as folder:
                streamed = unpack_layer(stream, folder, Budget())
                if streamed.diff_id != diff_id:
                    return False
                info = made_elsewhere(streamed, changeset.describe(folder), blob=blob)
                if self.layers.has(diff_id):
                    self.layers.replace(folder, info, self._aside(diff_id))
                else:
                    self.layers.keep(folder, info)
                return True
        except BadInput:
            return False

    def _set_aside(self, diff_id: str) -> None:
        """Out of use, and out of the build cache. A container that runs on it goes on as it is, so the folder
        stays aside until a prune is told that none does."""
        with removing(self.root):
            for path, made, _ in self.steps.all():
                if made == diff_id:
                    path.unlink(missing_ok=True)
            self.layers.discard(diff_id, self._aside(diff_id))

    def _aside(self, diff_id: str) -> Path:
        return self.root / "quarantine" / f"{hex_of(diff_id)}{temporary_name()}"

    def _mend_blob(self, damage: Damage) -> Damage:
        digest = damage.id
        stream = self.fetch(digest)
        if stream is not None:
            with stream, self.blobs.staging() as folder:
                staged: Staged = stage(
                    iter(lambda: stream.read(_CHUNK), b""), folder / "blob", digest, Budget()
                )
                if staged.digest == digest:
                    self.blobs.discard(digest, self.root / "trash")
                    self.blobs.adopt(staged.path, digest)
                    return replace(damage, outcome="fetched")
        if damage.what == _NOT_KEPT:
            return damage  # nothing is taken away from what runs
        self.blobs.discard(digest, self.root / "trash")
        return replace(damage, outcome="removed")

    def _mend_tag(self, damage: Damage) -> Damage:
        with removing(self.root):
            self.tags.remove(damage.id)
        return replace(damage, outcome="removed")


def from_layout(folder: Path) -> Fetch:
    """Content from an OCI layout on this machine: another store's export, a backup."""

    def fetch(digest: str) -> BinaryIO | None:
        path = folder / "blobs" / "sha256" / hex_of(digest)
        return cast(BinaryIO, path.open("rb")) if path.is_file() else None

    return fetch


def _named(diff_id: str, known: tuple[Image, ...]) -> list[str]:
    """The digests of blobs by which images name the layer."""
    return [blob for image in known for blob, layer in image.layers if layer == diff_id]


def _content(folder: Path) -> str:
    """The digest of the canonical stream; "" if it holds what no layer may."""
    try:
        return changeset.describe(folder).diff_id
    except (BerthError, OSError):
        return ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
