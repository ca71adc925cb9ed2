"""Looking inside images and containers for those who asked: rows -> folders of the store -> an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from paas import __version__
from paas.contents import Change, Changes, Entry, Package, Stack, compare, packages, settings_of
from paas.contents.bill import bill
from paas.contents.masking import masking
from paas.errors import HostProblem, NotFound
from paas.images.usage import sharers
from paas.specs import ImageSpec
from paas.worker import engine, jobs, lock, upkeep
from paas.worker.provenance import provenance
from tenants.inspections import observations
from tenants.inspections.differences import secrets_of
from tenants.inspections.models import Inspection
from tenants.releases import serial

log = structlog.get_logger()
Answer = dict[str, Any]
Mask = Callable[[str], str]
MOST_FILES = 20_000
_OURS = HostProblem("this could not be looked at", hint="tell the administrator when it happened")
_APPS = 2  # the width of an owner that is an app


def inspect(inspection_id: str) -> None:
    """Answer a question that waits; a second message for it finds it answered, or somebody at it."""
    with lock.held(f"inspection-{inspection_id}") as mine:
        related = ("app__tenant", "release__build__source", "before", "container")
        waiting = Inspection.objects.select_related(*related).filter(status=Inspection.Status.QUEUED)
        found = waiting.filter(pk=inspection_id).first() if mine else None
        if found is not None:
            _answer(found)


def _answer(inspection: Inspection) -> None:
    with jobs.told(partial(observations.failed, inspection), _OURS):
        observations.answered(inspection, _ANSWERS[Inspection.Kind(inspection.kind)](inspection))


# --- an image
def _image(inspection: Inspection) -> Answer:
    assert inspection.release is not None
    image = serial.image(inspection.release)
    mask = masking(secrets_of(inspection.release))
    with _stack(image) as stack:
        inside = _packages(stack, mask)
    layers = list(_layers(image, inspection.app_id, mask))
    steps = [(layer["instruction"], layer["diff_id"]) for layer in layers]
    made = provenance(inspection.release, steps, mask)
    return {
        "layers": layers,
        "packages": [asdict(package) for package in inside],
        "config": settings_of(engine.store().config(image.digest), mask),
        "provenance": asdict(made),
        "bill": bill(str(inspection.app), image.digest, inside, made, version=__version__),
    }


def _layers(image: ImageSpec, app_id: str, mask: Mask) -> Iterator[dict[str, Any]]:
    """Bottom first, each with what made it and how many other apps have it."""
    store = engine.store()
    makers = [step.created_by for step in store.history(image.digest) if not step.empty_layer]
    owned = upkeep.owned_layers()
    apps = sharers({owner: layers for owner, layers in owned.items() if owner[1] != app_id}, _APPS)
    for number, diff_id in enumerate(image.layers):
        info = store.layer_info(diff_id)
        yield {
            "diff_id": diff_id,
            "instruction": mask(makers[number]) if number < len(makers) else "",
            "size": info.size,
            "files": info.files,
            "others": apps.get(diff_id, 0),
        }


def _layer(inspection: Inspection) -> Answer:
    assert inspection.release is not None
    mask = masking(secrets_of(inspection.release))
    files: list[dict[str, Any]] = []
    more = 0
    with Stack([_folder(inspection.layer)]) as alone:
        for mark in alone.marks(0):
            if len(files) == MOST_FILES:
                more += 1
                continue
            entry = alone.entry(mark.path)
            facts = _facts(entry, mask) if entry else {"kind": "removed"}
            files.append({"path": _path(mark.path, mask), **facts})
    return {"files": files, "more": more}


# --- differences
def _releases(inspection: Inspection) -> Answer:
    before, after = inspection.before, inspection.release
    assert before is not None and after is not None
    return _between(serial.image(before), serial.image(after), masking(secrets_of(before, after)))


def _base(inspection: Inspection) -> Answer:
    release = inspection.release
    assert release is not None
    below = provenance(release, ()).base
    if not below:
        raise NotFound(f"nothing is known of what the image of {release} stands on", hint="deploy it again")
    return _between(engine.store().image(below), serial.image(release), masking(secrets_of(release)))


def _between(one: ImageSpec, other: ImageSpec, mask: Mask) -> Answer:
    configs = [settings_of(engine.store().config(image.digest), mask) for image in (one, other)]
    with _stack(one) as left, _stack(other) as right:
        return {**_difference(left, right, mask), "configs": configs}


def _container(inspection: Inspection) -> Answer:
    row, release = inspection.container, inspection.release
    assert row is not None and release is not None
    image = serial.image(release)
    upper, made_by_us = engine.runtime().written(row.pk)
    with _stack(image) as left, _stack(image, upper=upper) as right:
        return _difference(left, right, masking(secrets_of(release)), leave_out=made_by_us)


def _difference(left: Stack, right: Stack, mask: Mask, **options: Any) -> Answer:
    found: Changes = compare(left, right, mask=mask, **options)
    return {
        "files": [_told(change, mask) for change in found.found],
        "more": found.more,
        "packages": _package_changes(_packages(left, mask), _packages(right, mask)),
    }


# --- what of it may be seen
def _told(change: Change, mask: Mask) -> dict[str, Any]:
    return {
        "path": _path(change.path, mask),
        "what": change.what,
        "aspects": list(change.aspects),
        "before": _facts(change.left, mask) if change.left else None,
        "after": _facts(change.right, mask) if change.right else None,
        "text": change.text,  # `compare` masked it
    }


def _path(path: str, mask: Mask) -> str:
    """Masked as it is shown, from the root: a secret may begin with the slash."""
    return mask(f"/{path}").removeprefix("/")


def _facts(entry: Entry, mask: Mask) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "mode": f"{entry.mode:04o}",
        "owner": f"{entry.uid}:{entry.gid}",
        "size": entry.size,
        "target": mask(entry.target),
    }


def _packages(stack: Stack, mask: Mask) -> tuple[Package, ...]:
    return tuple(replace(found, place=_path(found.place, mask)) for found in packages(stack))


def _package_changes(before: tuple[Package, ...], after: tuple[Package, ...]) -> list[dict[str, Any]]:
    """By name and place, so that an upgrade is one line."""
    one, other = ({(p.ecosystem, p.name, p.place): p.version for p in found} for found in (before, after))
    return [
        {"ecosystem": key[0], "name": key[1], "place": key[2], "before": one.get(key), "after": other.get(key)}
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    ]


def _stack(image: ImageSpec, *, upper: Path | None = None) -> Stack:
    folders = [_folder(diff_id) for diff_id in image.layers]
    return Stack([*folders, upper], live=True) if upper else Stack(folders)


def _folder(diff_id: str) -> Path:
    if not engine.store().has_layer(diff_id):
        raise NotFound(
            f"layer {diff_id[:19]} is not in the image store any more", hint="build it again: deploy"
        )
    return engine.store().layer_path(diff_id)


_ANSWERS: dict[Inspection.Kind, Callable[[Inspection], Answer]] = {
    Inspection.Kind.IMAGE: _image,
    Inspection.Kind.LAYER: _layer,
    Inspection.Kind.RELEASES: _releases,
    Inspection.Kind.BASE: _base,
    Inspection.Kind.CONTAINER: _container,
}
