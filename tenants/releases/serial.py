"""Specs of releases and builds as JSON and back. Fields unknown to this version are dropped, missing ones
default."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

from paas.specs import BuiltStage, HealthCheck, ImageSpec, ProcessSpec, Recipe
from tenants.releases.models import Build, Release

Spec = TypeVar("Spec", ImageSpec, ProcessSpec, HealthCheck, Recipe, BuiltStage)


def to_json(spec: ImageSpec | ProcessSpec | HealthCheck | Recipe) -> dict[str, Any]:
    return {key: _thawed(value) for key, value in asdict(spec).items()}


def from_json(kind: type[Spec], data: dict[str, Any]) -> Spec:
    known = {field.name for field in fields(kind)}
    return kind(**{key: _frozen(value) for key, value in data.items() if key in known})


def _thawed(value: Any) -> Any:
    """As JSON would give it back, so that rows just made and rows just read compare equal."""
    if isinstance(value, dict):
        return {key: _thawed(item) for key, item in value.items()}
    return [_thawed(item) for item in value] if isinstance(value, list | tuple) else value


def _frozen(value: Any) -> Any:
    """JSON's lists are tuples in every spec."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


def image(release: Release) -> ImageSpec:
    return from_json(ImageSpec, release.image)


def processes(release: Release) -> tuple[ProcessSpec, ...]:
    return tuple(from_json(ProcessSpec, item) for item in release.processes)


def process(release: Release, name: str) -> ProcessSpec | None:
    """One process type, without reading the others."""
    found = [item for item in release.processes if item["name"] == name]
    return from_json(ProcessSpec, found[0]) if found else None


def health(release: Release) -> HealthCheck:
    return from_json(HealthCheck, release.health)


def recipe(build: Build) -> Recipe | None:
    if build.recipe is None:
        return None
    stages = tuple(from_json(BuiltStage, item) for item in build.recipe["stages"])
    return replace(from_json(Recipe, build.recipe), stages=stages)
