"""An image that was uploaded in place of source: an OCI layout, or what `docker save` writes."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, cast

from django.conf import settings

from paas.builder.sandbox import Look
from paas.errors import BadInput
from paas.images import Loaded, LoadLimits, UnpackReport
from paas.oci.index import parse_archived
from paas.worker import kept
from paas.worker.sandbox import BuildSandbox
from tenants.releases.models import Build, Source

_LONGEST = 4 * 1024 * 1024


def is_image(folder: Path) -> bool:
    """Whether an upload is one. Other things are called manifest.json, too: only Docker's lists images."""
    if _read(folder / "oci-layout") is not None and _read(folder / "index.json") is not None:
        return True
    try:
        return bool(parse_archived(_read(folder / "manifest.json") or b""))
    except BadInput:
        return False


def load(build: Build, folder: Path, unpacked: UnpackReport, sandbox: BuildSandbox) -> Loaded:
    """Into the store. From the archive itself where that has the files as they are: older versions of Docker
    wrote links, which nobody follows in a folder."""
    limits = LoadLimits(max_bytes=settings.PULL_MAX_BYTES)
    store = kept.store_for(build.app.tenant, "the image")
    is_as_it_came = build.source.kind != Source.Kind.ZIP and not unpacked.stripped

    def into_store(look: Look) -> Loaded:
        if not is_as_it_came:
            return store.load_layout(folder, limits=limits, look=look)
        with (settings.PATHS.sources / build.source_id).open("rb") as file:
            return store.load_archive(cast(BinaryIO, file), limits=limits, look=look)

    return sandbox.confined(into_store, is_light=False)


def _read(path: Path) -> bytes | None:
    """A plain file of the upload: a link in it may lead anywhere."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(_LONGEST)
