"""An image's bill of materials as a CycloneDX 1.6 document (ECMA-424)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from paas.contents.packages import Package
from paas.specs import BuiltStage, Recipe


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an image comes from; "" is not known. `source` and `base`, an image's, are "sha256:…". `version` is
    that of the Berth that built it. `steps` are (instruction, DiffID or "") of its layers in order. `images`
    are (name, digest) of all that it is made from, the base too. `changes_of` is a container ("web.1 of v3")
    whose changes are in it. `recipe` is all that its build did."""

    source: str
    base: str
    builder: str
    version: str
    steps: tuple[tuple[str, str], ...] = ()
    built_at: str = ""  # RFC 3339
    images: tuple[tuple[str, str], ...] = ()
    changes_of: str = ""
    recipe: Recipe | None = None


def slsa(made: Provenance) -> dict[str, Any]:
    """As the predicate of an in-toto statement: SLSA provenance v1. What is not known is not said."""
    builder = {"id": f"berth:{made.builder}" if made.builder else "berth"}
    return {
        "buildDefinition": {
            "buildType": "berth:layers",
            "externalParameters": {
                **(_asked(made.recipe) if made.recipe else {"steps": [step for step, _ in made.steps]}),
                **({"changesOf": made.changes_of} if made.changes_of else {}),
            },
            "resolvedDependencies": [*_needed(made)],
        },
        "runDetails": {
            "builder": {**builder, "version": {"berth": made.version}} if made.version else builder,
            "metadata": {"finishedOn": made.built_at} if made.built_at else {},
        },
    }


def _asked(recipe: Recipe) -> dict[str, Any]:
    """As the source's own files ask for it: config vars are no part of it."""
    return {
        **({"target": recipe.target} if recipe.target else {}),
        **({"buildArgs": dict(recipe.args)} if recipe.args else {}),
        "stages": [_stage(stage) for stage in recipe.stages],
    }


def _stage(stage: BuiltStage) -> dict[str, Any]:
    digest = {"digest": {"sha256": stage.digest.removeprefix("sha256:")}} if stage.digest else {}
    return {"name": stage.name, "base": {"name": stage.base, **digest}, "steps": list(stage.steps)}


def _needed(made: Provenance) -> Iterator[dict[str, Any]]:
    """The source, the image below and the others: stages, COPY --from, what a builder compiled with."""
    others = [(name, digest) for name, digest in made.images if digest != made.base]
    for name, digest in (("source", made.source), ("base", made.base), *others):
        if digest:
            named = [known for known, of in made.images if name == "base" and of == digest]
            yield {
                "name": name,
                "digest": {"sha256": digest.removeprefix("sha256:")},
                **({"annotations": {"image": named[0]}} if named else {}),
            }


def bill(
    name: str, digest: str, packages: Iterable[Package], made: Provenance, *, version: str
) -> dict[str, Any]:
    """`name` as people call the app, `digest` of the image's manifest, `version` that of this Berth."""
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": _metadata(name, digest, made, version),
        "components": [_component(package) for package in packages],
    }


def _metadata(name: str, digest: str, made: Provenance, version: str) -> dict[str, Any]:
    subject = {
        "type": "container",
        "bom-ref": digest,
        "name": name,
        "version": digest,
        "hashes": [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}],
    }
    facts = [(key, getattr(made, key)) for key in ("source", "base", "builder")]
    facts += [("builder-version", made.version), ("changes-of", made.changes_of)]
    facts += [(f"image:{name}", digest) for name, digest in made.images]
    facts += [(f"step:{number}", " ".join(step).strip()) for number, step in enumerate(made.steps, 1)]
    return {
        **({"timestamp": made.built_at} if made.built_at else {}),
        "tools": {"components": [{"type": "application", "name": "berth", "version": version}]},
        "component": subject,
        "properties": [{"name": f"berth:{key}", "value": value} for key, value in facts if value],
    }


def _component(package: Package) -> dict[str, Any]:
    place = [{"name": "berth:place", "value": f"/{package.place}"}] if package.place else []
    return {
        "type": "library",
        "bom-ref": f"{package.purl}#{package.place}" if package.place else package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        **({"properties": place} if place else {}),
    }
