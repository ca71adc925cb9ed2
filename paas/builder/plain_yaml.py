"""A tenant's YAML, read outside the tenant's limits: a mapping of plain values, and no larger than it looks."""

from __future__ import annotations

from typing import Any, NoReturn

import yaml

from paas.errors import BadInput

_MAX_DEPTH = 20
_MAX_VALUES = 10_000


def mapping(text: str, name: str, begin: str) -> dict[str, Any]:
    """{} for an empty text. Raises BadInput with the line; `begin` says how one begins ("build:")."""
    try:
        _require_small(text, name)
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = str(getattr(error, "problem", "") or "is no YAML")
        _wrong(name, mark.line + 1 if mark else 1, problem, "mend it")
    if not isinstance(document, dict | None):
        _wrong(name, 1, "is not a mapping", f"begin with `{begin}`")
    return document or {}


def _require_small(text: str, name: str) -> None:
    """A few lines of aliases can stand for gigabytes, and PyYAML takes minutes over a few thousand brackets."""
    sizes: dict[str, int] = {}  # of what an anchor names, in values
    inside: list[tuple[str | None, int]] = []  # the collections that are open, and the values before each
    values = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = inside.pop()
            if anchor:
                sizes[anchor] = values - before
        elif isinstance(event, yaml.AliasEvent):
            anchor = event.anchor or ""
            if anchor not in sizes:
                _wrong(name, line, f"`*{anchor[:60]}` stands for nothing that is complete above it", "mend it")
            values += sizes[anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            inside.append((event.anchor, values))
            values += 1
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            if event.anchor:
                sizes[event.anchor] = 1
        if len(inside) > _MAX_DEPTH:
            _wrong(name, line, f"is nested deeper than {_MAX_DEPTH}", "flatten it")
        if values > _MAX_VALUES:
            _wrong(
                name, line, f"stands for more than {_MAX_VALUES:,} values", "shorten it, or use fewer aliases"
            )


def _wrong(file: str, line: int, reason: str, hint: str) -> NoReturn:
    raise BadInput(f"{file}, line {line}: {reason}", hint=hint, details={"file": file, "line": line})
