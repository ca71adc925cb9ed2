"""The content store: layers by DiffID, images by the digest of their manifest, base images by name.

    blobs/sha256/<hex>        manifests, configs, and layers of foreign images as they came
    layers/<hex>/             unpacked layers, ids 0-based, whiteouts as overlayfs has them
    layers-meta/<hex>.json    their facts
    steps/<kk>/<key>          the build cache
    incoming/                 images that are being read
    trash/                    what prune is removing
    owners/<tenant>/<hex>-…   what a tenant brought (see paas.images.tenant_store)
    quarantine/               damaged layers that a container may still run on

What base images are called stands beside it, in `<store>-names/` (see paas.images.tags).

Every write is idempotent and atomic; what is half-written has a temporary name and is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from paas.errors import NotFound
from paas.images.blobs import Blobs
from paas.images.budget import Budget, go_on
from paas.images.fsck import Checker, Damage, Fetch
from paas.images.graph import all_blobs
from paas.images.layers import LayerInfo, Layers
from paas.images.load import Loaded, Loader, LoadLimits
from paas.images.lock import adding
from paas.images.prune import Keep, Pruner, PruneReport, StepAges
from paas.images.save import Checked, Saver, checked_name
from paas.images.steps import Steps
from paas.images.tags import Tags, names_of
from paas.oci.attestation import Predicate
from paas.oci.config import History, ImageConfig, image_spec, parse_config
from paas.oci.descriptor import CONFIG, LAYER, Descriptor
from paas.oci.digest import of_bytes
from paas.oci.manifest import Manifest, parse_manifest
from paas.specs import ImageSpec

DAY = 86400.0
_FOLDERS = (
    "blobs",
    "blobs/sha256",
    "layers",
    "layers-meta",
    "steps",
    "incoming",
    "trash",
    "quarantine",
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of content: of each layer by DiffID, and of all blobs together."""

    layers: dict[str, int]
    blobs: int
    blob_bytes: int


class Store:
    """Root's: the folder is closed to others, since layers may hold setuid files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in _FOLDERS:
            (root / name).mkdir(mode=0o700, exist_ok=True)
        self._blobs = Blobs(root)
        self._layers = Layers(root)
        self._saver = Saver(self._blobs, self._layers)
        self._tags = Tags(names_of(root))
        self._tags.folder.mkdir(mode=0o700, exist_ok=True)
        self._steps = Steps(root / "steps")
        self.shared = self  # for what is nobody's: base images and languages

    # --- layers
    def commit_changeset(
        self,
        upper: Path,
        *,
        exclude: Collection[str] = (),
        epoch: int | None = None,
        max_bytes: int | None = None,
        max_files: int | None = None,
        look: Callable[[], object] = go_on,
    ) -> LayerInfo:
        """An overlay upper folder as a layer; the folder stays as it is.

        `exclude`: paths below it left out with all beneath ("etc/resolv.conf"). `epoch`: later times are given
        as this one (seconds), so that equal content has one DiffID. Above a limit, BadInput names the entry.
        `look` is called again and again meanwhile, and may raise: like any error, that leaves nothing behind.
        """
        budget = Budget(max_bytes, max_files, "changeset", look)
        paths = frozenset(path.strip("/") for path in exclude)
        return self._layers.commit(upper, exclude=paths, epoch=epoch, budget=budget)

    def import_layer(
        self,
        tar_stream: BinaryIO,
        *,
        expected: str | None = None,
        canonical: bool = False,
        max_bytes: int | None = None,
        max_files: int | None = None,
    ) -> LayerInfo:
        """A tar stream (plain, gzip or zstd) as a layer. Its DiffID is the digest of the plain stream.

        `expected` is the DiffID that it must have. `canonical` gives it the DiffID of its canonical stream
        instead, for a layer that is ours to name. Limits are on the plain stream.
        """
        budget = Budget(max_bytes, max_files, "layer")
        return self._layers.import_(tar_stream, expected=expected, canonical=canonical, budget=budget)

    def export_layer(self, diff_id: str, target: BinaryIO) -> None:
        """Write a layer's tar stream; HostProblem, at its end, if that no longer has its DiffID."""
        checked = Checked(target.write)
        self._saver.stream(diff_id, checked.write)
        checked.demand(diff_id)

    def layer_path(self, diff_id: str) -> Path:
        return self._layers.path(diff_id)

    def has_layer(self, diff_id: str) -> bool:
        return self._layers.has(diff_id)

    def layer_info(self, diff_id: str) -> LayerInfo:
        return self._layers.info(diff_id)

    # --- images
    def put_image(self, config: ImageConfig) -> ImageSpec:
        """Keep an image whose layers are all here."""
        with adding(self.root):
            layers = tuple(
                Descriptor(LAYER, diff_id, self.layer_info(diff_id).tar_bytes) for diff_id in config.diff_ids
            )
            document = config.to_json()
            manifest = Manifest(Descriptor(CONFIG, of_bytes(document), len(document)), layers).to_json()
            self._blobs.put(document, manifest)
            self._layers.sync()
        return image_spec(of_bytes(manifest), parse_config(document))

    def image(self, digest: str) -> ImageSpec:
        return image_spec(digest, self.config(digest))

    def config(self, digest: str) -> ImageConfig:
        """The config of the image with this manifest digest: what a build on top of it starts from."""
        manifest = parse_manifest(self._blobs.get(digest))
        return parse_config(self._blobs.get(manifest.config.digest))

    def history(self, digest: str) -> tuple[History, ...]:
        return self.config(digest).history

    def is_complete(self, digest: str) -> bool:
        """Whether the image and all of its layers are here."""
        try:
            return all(self.has_layer(diff_id) for diff_id in self.config(digest).diff_ids)
        except NotFound:
            return False

    def use_image(self, spec: ImageSpec) -> bool:
        """Whether all of its layers are here; if so it counts as young, so that a prune under way leaves it and
        its documents alone."""
        with adding(self.root):
            here = all(self._layers.use(diff_id) for diff_id in spec.layers)
            if here:
                self._blobs.use(spec.digest)
            return here

    # --- images from elsewhere, and for elsewhere
    def load_archive(
        self,
        stream: BinaryIO,
        *,
        name: str = "",
        limits: LoadLimits | None = None,
        look: Callable[[], object] = go_on,
    ) -> Loaded:
        """The image called `name` of a tar archive (plain, gzip, zstd): an OCI layout, or of `docker save`.

        Without a name there must be one only. Of several platforms this machine's is taken. BadInput,
        NotFound and whatever `look` raises, which is called again and again, leave nothing behind. Memory does
        not grow with the image; disk is needed for the archive and what it unpacks to.
        """
        return Loader(self._blobs, self._layers, limits or LoadLimits(), look).from_archive(stream, name=name)

    def load_layout(
        self,
        folder: Path,
        *,
        name: str = "",
        limits: LoadLimits | None = None,
        look: Callable[[], object] = go_on,
    ) -> Loaded:
        """The same of an OCI layout's folder, which anybody may have written but nobody writes to any more."""
        return Loader(self._blobs, self._layers, limits or LoadLimits(), look).from_folder(folder, name=name)

    def save_archive(
        self, digest: str, target: BinaryIO, *, name: str = "", said: Sequence[Predicate] = ()
    ) -> None:
        """Write the image as a tar archive that is an OCI layout and that `docker load` takes, too.

        What is `said` of it goes with it, as statements in an index; `docker load` does not see them. All
        digests are those that the image has here. NotFound, before the first byte, when a layer as it came
        is no longer here; HostProblem, in the middle, when one turns out to be damaged.
        """
        self._saver.to_archive(digest, target, name=checked_name(name), said=said)

    def save_layout(self, digest: str, folder: Path, *, name: str = "") -> None:
        """The same as files in an empty folder."""
        self._saver.to_folder(digest, folder, name=checked_name(name))

    # --- names
    def tag(self, name: str, digest: str) -> None:
        with adding(self.root):
            self._blobs.get(digest)
            self._tags.put(name, digest)

    def untag(self, name: str) -> None:
        """Its image stays until a prune, and longer where something else needs it. Again is fine."""
        self._tags.remove(name)

    def resolve(self, name: str) -> str:
        """The manifest digest of a base image ("debian:12", "docker.io/library/debian:12"), or NotFound."""
        return self._tags.get(name)

    def tags(self) -> dict[str, str]:
        return dict(sorted(self._tags.all()))

    # --- the build cache
    def cached_step(self, key: str) -> str | None:
        """The DiffID that this step made, if its layer is still here."""
        diff_id = self._steps.get(key)
        return diff_id if diff_id and self._layers.use(diff_id) else None

    def remember_step(self, key: str, diff_id: str) -> None:
        with adding(self.root):
            self.layer_info(diff_id)
            self._steps.put(key, diff_id)

    # --- removing
    def prune(
        self,
        keep: Iterable[str],
        *,
        keep_layers: Iterable[str] = (),
        dry_run: bool = False,
        step_age: float = 7 * DAY,
        grace: float = 3600,
        hurried: Collection[str] = (),
    ) -> PruneReport:
        """Remove what is reachable neither from the images kept (manifest digests), nor from a tag, nor from a
        build step used within `step_age` seconds, nor named in `keep_layers` (DiffIDs), and is older than
        `grace` seconds. A dry run only tells. Steps that made a `hurried` layer (DiffIDs) go after `grace`."""
        ages = StepAges(step_age, grace, frozenset(hurried))
        pruner = Pruner(self.root, self._blobs, self._layers, self._steps, ages, grace)
        kept = Keep(frozenset((*keep, *self.tags().values())), frozenset(keep_layers))
        return pruner.run(kept, dry_run=dry_run)

    def sizes(self) -> Sizes:
        """What is here, for whoever adds it up."""
        known = ((d, self._layers.facts(d)) for d in self._layers.known() if self._layers.has(d))
        blobs = [self._blobs.path(digest).stat().st_size for digest in all_blobs(self._blobs)]
        return Sizes({d: facts.size for d, facts in known if facts}, len(blobs), sum(blobs))

    def fsck(
        self, needed: Set[str] = frozenset(), *, mend: bool = False, fetch: Fetch = lambda digest: None
    ) -> tuple[Damage, ...]:
        """What no longer has the content that its digest says, what is missing of images that are needed (by
        their manifests' digests), and tags that lead nowhere. Reads everything.

        With `mend` a layer is unpacked again from a blob that was kept, or from what `fetch` gives by digest;
        what can be had from nowhere is taken out of use, so that the next build makes it anew.
        """
        checker = Checker(self.root, self._blobs, self._layers, self._tags, self._steps, fetch)
        return checker.run(needed, mend=mend)
