"""`manage.py store`: the image store by hand, as root on the machine, whether or not a worker runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser

from paas.errors import BerthError, NotFound
from paas.images import from_layout
from paas.oci.digest import is_digest
from paas.templatetags.berth import size
from paas.worker import engine, upkeep

_OUTCOMES = {"": "not mended", "rebuilt": "mended from a copy here", "fetched": "mended from elsewhere",
             "removed": "lost, taken out of use"}  # fmt: skip


class Command(BaseCommand):
    help = "The image store: usage, prune, fsck, load an image into it, save one out of it."

    def add_arguments(self, parser: CommandParser) -> None:
        parts = parser.add_subparsers(dest="part", required=True)
        parts.add_parser("usage", help="Sizes and names")
        prune = parts.add_parser("prune", help="Remove what nothing needs")
        prune.add_argument("--dry-run", action="store_true", help="Only say what it would free")
        fsck = parts.add_parser("fsck", help="Read everything and look for damage")
        fsck.add_argument("--mend", action="store_true", help="Mend it, or take it out of use")
        fsck.add_argument(
            "--from", dest="layout", type=Path, help="An OCI layout to fetch what is missing from"
        )
        load = parts.add_parser("load", help="An OCI layout (folder or archive) or a `docker save` archive")
        load.add_argument("source", help="a path, or - for standard input")
        load.add_argument("name", help="what builds call it after FROM: debian:12")
        load.add_argument("--image", default="", help="its name in the archive, when that holds several")
        save = parts.add_parser("save", help="An archive that is an OCI layout and for `docker load`")
        save.add_argument("image", help="a name or a digest")
        save.add_argument("target", help="a path, or - for standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, options["part"])(options)
        except BerthError as error:
            raise CommandError(str(error)) from error

    def usage(self, options: dict[str, Any]) -> None:
        store = engine.store()
        sizes = store.sizes()
        self.stdout.write(f"{len(sizes.layers)} layers, {size(sum(sizes.layers.values()))}")
        self.stdout.write(f"{sizes.blobs} blobs, {size(sizes.blob_bytes)}")
        for name, digest in store.tags().items():
            self.stdout.write(f"{name} {digest}")

    def prune(self, options: dict[str, Any]) -> None:
        found = upkeep.prune(dry_run=options["dry_run"])
        verb = "would free" if options["dry_run"] else "freed"
        self.stdout.write(
            f"{verb} {size(found['bytes'])}: {found['layers']} layers ({size(found['layer_bytes'])}), "
            f"{found['blobs']} blobs ({size(found['blob_bytes'])}), "
            f"{found['abandoned']} left by interrupted work ({size(found['abandoned_bytes'])}), "
            f"{found['steps']} build steps"
        )

    def fsck(self, options: dict[str, Any]) -> None:
        fetch = from_layout(options["layout"]) if options["layout"] else lambda digest: None
        damage = engine.store().fsck(upkeep.to_be_whole(), mend=options["mend"], fetch=fetch)
        found = [upkeep.describe(one) for one in damage]
        for one in found:
            concerns = f"; concerns {', '.join(one['releases'])}" if one["releases"] else ""
            became = _OUTCOMES[one["outcome"]]
            self.stdout.write(f"{one['kind']} {one['id']}: {one['what']}; {became}{concerns}")
        if found and not options["mend"]:
            raise CommandError(f"{len(found)} damaged; mend with --mend")
        if lost := [one for one in found if one["outcome"] == "removed"]:
            raise CommandError(
                f"{len(lost)} of {len(found)} could not be mended: taken out of use. Deploy again the releases "
                "concerned, or they may not start again; bin/up makes Berth's own base images anew, load others"
            )

    def load(self, options: dict[str, Any]) -> None:
        store, source = engine.store(), Path(options["source"])
        if source.is_dir():
            loaded = store.load_layout(source, name=options["image"])
        elif options["source"] == "-":
            loaded = store.load_archive(cast(BinaryIO, sys.stdin.buffer), name=options["image"])
        else:
            with source.open("rb") as file:
                loaded = store.load_archive(cast(BinaryIO, file), name=options["image"])
        store.tag(options["name"], loaded.digest)
        self.stdout.write(f"{options['name']} {loaded.digest}")

    def save(self, options: dict[str, Any]) -> None:
        store, name = engine.store(), options["image"]
        digest = name if is_digest(name) else store.resolve(name)
        if not store.is_complete(digest):
            raise NotFound(f"the image {name} is not here in full", hint="load or build it again")
        tag = "" if is_digest(name) else name
        if options["target"] == "-":
            store.save_archive(digest, cast(BinaryIO, sys.stdout.buffer), name=tag)
            return
        with Path(options["target"]).open("xb") as file:
            store.save_archive(digest, cast(BinaryIO, file), name=tag)
