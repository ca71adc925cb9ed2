"""A step's key in the build cache: a digest of all that can change what the step makes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from paas.builder.copying import named_sources
from paas.builder.plan import Copy, FilesStep, Operation, Step
from paas.builder.tree import Entry, Tree
from paas.oci.chain import chain_id
from paas.oci.digest import canonical_json

_FORMAT = 1  # goes up when the same step comes to make something else
_FOR_PEOPLE = ("title", "file", "line", "hint")


def step_key(
    step: Step, *, layers: Sequence[str], tenant_id: str, source: Tree, stages: Sequence[Sequence[str]]
) -> str:
    """SHA-256 in hexadecimal. Keys are the tenant's own: nobody is served what another's code made.

    `layers` are those below the step, `stages` the layers of the plan's stages that are built already.
    """
    described = {key: value for key, value in asdict(step).items() if key not in _FOR_PEOPLE}
    operations = step.operations if isinstance(step, FilesStep) else ()
    document = {
        "format": _FORMAT,
        "tenant": tenant_id,
        "parent": chain_id(layers),
        "kind": type(step).__name__,
        "step": described,
        "inputs": [list(_inputs(operation, source, stages)) for operation in operations],
    }
    # A file's name may be any bytes: those that are no UTF-8 are kept apart from each other all the same.
    return hashlib.sha256(canonical_json(_spelt(document))).hexdigest()


def _inputs(operation: Operation, source: Tree, stages: Sequence[Sequence[str]]) -> Iterator[Any]:
    if not isinstance(operation, Copy):
        return
    if operation.stage is not None:
        yield chain_id(stages[operation.stage])
        return
    for named in named_sources(operation, source):
        if named.path:
            yield _facts(named, named.path, source)
        if named.kind == "folder":
            start = source.real_path(named.path)
            for entry in source.walk(start):
                yield _facts(entry, entry.path[len(start) :], source)


def _facts(entry: Entry, path: str, source: Tree) -> list[str | int]:
    """Content, mode and target; not the times, which an upload may change without changing anything."""
    content = source.digest(entry) if entry.kind == "file" else entry.target
    return [path, entry.kind, entry.mode, content]


def _spelt(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {key: _spelt(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelt(item) for item in value]
    return value
