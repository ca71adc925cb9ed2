"""A build of what was built before: its image is there, so nothing is unpacked, planned or looked for."""

from __future__ import annotations

from paas.errors import BerthError
from paas.images import Store
from paas.specs import BuildReport
from tenants.releases import serial, unchanged
from tenants.releases.models import Build, Release


def key_of(build: Build) -> str:
    return unchanged.key_of(build.app, build.source)


def report_of(build: Build, store: Store, key: str) -> tuple[Build, BuildReport] | None:
    """The build of this app that answers this one, and what this one gives then; None if it has to be made."""
    release = unchanged.former(build.app, key)
    if release is None or release.build is None or not _stands(store, release):
        return None
    return release.build, unchanged.report(release)


def _stands(store: Store, release: Release) -> bool:
    """Whether its image is here, with all that it needs, and would stand on the same images today."""
    assert release.build is not None
    image = serial.image(release)
    try:
        for name, digest in release.build.bases or ():
            if store.resolve(name) != digest or not store.is_complete(digest):
                return False
        return store.use_image(image) and store.image(image.digest) == image
    except BerthError:  # of a name, a document or a layer: whoever builds it tells what is wrong
        return False
