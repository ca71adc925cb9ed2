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
from tenants.releases.models import Build, Release, Source


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
        images=_images(build),
        recipe=masked(recipe, mask) if recipe else None,
    )


def _images(build: Build | None) -> tuple[tuple[str, str], ...]:
    """All that it was made from; of an image that was pulled, what it was called and what came for that."""
    if build is None:
        return ()
    if build.source.kind == Source.Kind.IMAGE:
        made = build.releases.filter(cause=Release.Cause.DEPLOY).first()
        return ((build.source.name, made.image["digest"]),) if made else ()
    return tuple((name, digest) for name, digest in build.bases or ())


def _of_commit(release: Release, steps: tuple[tuple[str, str], ...]) -> Provenance:
    """A container's changes lie on an image, which the last step names where it is known, as it does when and
    by which Berth they were taken. Source and other images are those of the build below."""
    step, build = engine.store().history(release.image["digest"])[-1], release.build
    berth, _, version = step.author.partition(" ")
    return Provenance(
        source=build.source.digest if build else "",
        builder="commit",
        base=step.comment if is_digest(step.comment) else "",
        version=version if berth == "berth" else "",
        steps=steps,
        built_at=step.created,
        images=_images(build),
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
