"""An image as registries want it: its layers compressed, and what is said of it beside it in an index.

What is said names the image by its manifest's digest, which is another one with compressed layers. So they are
compressed before anything is said or sent, in the tenant's fences. Whoever pulls for a platform gets the image.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from paas.errors import HostProblem
from paas.images.save import FolderSink, write_documents
from paas.oci.digest import hex_of, of_bytes
from paas.oci.index import blob_path
from paas.oci.manifest import parse_manifest
from paas.oci.reference import Reference
from paas.worker.provenance import said_of
from paas.worker.transfer import Transfer, read_manifest
from tenants.releases.models import Release


def prepare(layout: Path, release: Release, transfer: Transfer, reference: Reference) -> None:
    """The layout has the release's image as it is in the store; afterwards, what is pushed."""
    with transfer.compressed(layout, reference) as packed:
        raw = read_manifest(packed)
        manifest = parse_manifest(raw)
        config = _config(layout, manifest.config.digest)
        shutil.rmtree(layout)
        layout.mkdir(mode=0o755)
        said = said_of(release, as_digest=of_bytes(raw))
        write_documents(FolderSink(layout), raw, config, name=str(reference), said=said)
        for digest in {layer.digest for layer in manifest.layers}:
            # A rename follows no link: whatever lies there is looked at inside the tenant's fences alone.
            (packed / hex_of(digest)).rename(layout / blob_path(digest))


def _config(layout: Path, digest: str) -> bytes:
    """As it was: only layers are compressed."""
    try:
        return (layout / blob_path(digest)).read_bytes()
    except OSError:
        raise HostProblem("compressing the image gave another one", hint="push it again") from None
