"""A step's key in the build cache: a digest of all that can change what the step makes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from paas.builder.plan import Copy, RunStep, StageMount, Step
from paas.builder.sources import Source, below, named_sources
from paas.builder.tree import Entry, Tree
from paas.images.budget import go_on
from paas.oci.chain import chain_id

_FORMAT = 3  # goes up when the same step comes to make something else
_LEFT_OUT = ("title", "file", "line", "hint", "unkeyed_env")  # for people, or of no weight


def step_key(
    step: Step,
    *,
    layers: Sequence[str],
    tenant_id: str,
    source: Tree,
    stages: Sequence[Sequence[str]],
    look: Callable[[], object] = go_on,
) -> str:
    """SHA-256 in hexadecimal. Keys are the tenant's own: nobody is served what another's code made.

    `layers` are those below the step, `stages` the layers of the plan's stages that are built already. `look`
    is called for each file that is read, and may raise.
    """
    described = {key: value for key, value in asdict(step).items() if key not in _LEFT_OUT}
    if isinstance(step, RunStep):
        # Fields alone do not tell a cache from a secret.
        described["mounts"] = [[type(mount).__name__, asdict(mount)] for mount in step.mounts]
    document = {
        "format": _FORMAT,
        "tenant": tenant_id,
        "parent": chain_id(layers),
        "kind": type(step).__name__,
        "step": described,
        "inputs": list(_inputs(step, source, stages, look)),
    }
    # In ASCII, so that file names that are no UTF-8 (surrogates in Python) can be written, each as itself.
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode("ascii")).hexdigest()


def _inputs(
    step: Step, source: Tree, stages: Sequence[Sequence[str]], look: Callable[[], object]
) -> Iterator[list[Any]]:
    """What each mount of a stage and each operation reads."""
    if isinstance(step, RunStep):
        yield [chain_id(stages[mount.stage]) for mount in step.mounts if isinstance(mount, StageMount)]
        return
    for operation in step.operations:
        if isinstance(operation, Copy):
            yield list(_copied(operation, source, stages, look))
        else:
            yield []


def _copied(
    operation: Copy, source: Tree, stages: Sequence[Sequence[str]], look: Callable[[], object]
) -> Iterator[Any]:
    if operation.stage is not None:
        yield chain_id(stages[operation.stage])
        return
    for named in named_sources(operation, source):
        if named.entry.path:
            yield _facts(named.entry, named.entry.path, source)
        if named.entry.kind == "folder":
            yield from _content(named, source, look)


def _content(named: Source, source: Tree, look: Callable[[], object]) -> Iterator[Any]:
    for entry in below(named, source):
        look()
        yield _facts(entry, entry.path[len(named.start) :], source)


def _facts(entry: Entry, path: str, source: Tree) -> list[str | int]:
    """Content, mode, target and a hard link's first name; not the times, which an upload may change without
    changing anything."""
    content = source.digest(entry) if entry.kind == "file" else entry.target
    return [path, entry.kind, entry.mode, content, entry.first]
