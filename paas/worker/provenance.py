"""Where a release's image comes from and what is in it: for a page, and for whoever it is exported to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from paas import __version__
from paas.builder.recipe import masked
from paas.contents import Stack, packages
from paas.contents.bill import Provenance, bill, slsa
from paas.oci.attestation import CYCLONEDX, PROVENANCE, Predicate
from paas.oci.digest import is_digest
from paas.worker import engine
from tenants.releases import serial
from tenants.releases.models import Release


def provenance(
    release: Release, steps: Iterable[tuple[str, str]], mask: Callable[[str], str] = str
) -> Provenance:
    """`steps` are (instruction, DiffID) of its layers, bottom first. The image must be in the store. `mask` is
    laid over what the build is told to have done."""
    if release.committed:
        return _of_commit(release, tuple(steps))
    build = release.build
    recipe = serial.recipe(build) if build else None
    return Provenance(
        source=build.source.digest if build else "",
        builder=build.builder if build else "",
        base=build.base if build else "",
        version=build.builder_version if build else "",
        steps=tuple(steps),
        built_at=build.finished_at.isoformat() if build and build.finished_at else "",
        images=tuple((name, digest) for name, digest in (build.bases if build else None) or ()),
        recipe=masked(recipe, mask) if recipe else None,
    )


def _of_commit(release: Release, steps: tuple[tuple[str, str], ...]) -> Provenance:
    """Nothing was built: a container's changes lie on an image, which the last step names where it is known."""
    below = engine.store().history(release.image["digest"])[-1].comment
    return Provenance(
        source="",
        builder="commit",
        base=below if is_digest(below) else "",
        version="",
        steps=steps,
        changes_of=release.committed,
    )


def said_of(release: Release, *, as_digest: str = "") -> tuple[Predicate, ...]:
    """What an export says of the image: how it was made, and the packages in it. Nothing, of one that is not
    whole: whoever writes it out tells what is missing. `as_digest` is its manifest's where that is another than
    here."""
    store, digest = engine.store(), release.image["digest"]
    if not store.is_complete(digest):
        return ()
    image = store.image(digest)
    makers = (step.created_by for step in store.history(image.digest) if not step.empty_layer)
    made = provenance(release, zip(makers, image.layers, strict=False))
    with Stack([store.layer_path(layer) for layer in image.layers]) as stack:
        inside = packages(stack)
    listed = bill(str(release.app), as_digest or image.digest, inside, made, version=__version__)
    return Predicate(PROVENANCE, slsa(made)), Predicate(CYCLONEDX, listed)
