"""What the patterns of a COPY name, and what is below it. The same for the cache key and for the copy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from paas.builder import ignore
from paas.builder.glob import has_wildcard
from paas.builder.ignore import Ignore
from paas.builder.plan import Copy
from paas.builder.tree import Entry, Tree
from paas.errors import BadInput

_MOST_NEAR = 20


class NotThere(BadInput):
    """No file is what a pattern names."""


@dataclass(frozen=True, slots=True)
class Source:
    """`start` is a folder's real path; `kept` what COPY --parents keeps of the path that was written."""

    entry: Entry
    start: str
    kept: str
    exclude: Ignore


def named_sources(operation: Copy, origin: Tree) -> list[Source]:
    """In the order of the patterns; BadInput for one that names nothing, or when no wildcard fits anything."""
    exclude = ignore.built_in(operation.exclude, "--exclude")
    found = []
    for pattern in operation.sources:
        whole = pattern.replace("/./", "/") if operation.parents else pattern
        paths = origin.matching(whole, deep=operation.parents)
        if not paths and not has_wildcard(whole):
            raise _nothing(whole, origin)
        pivot = pattern.partition("/./")[0] if "/./" in pattern else ""
        for path in paths:
            entry = origin.entry(path)
            if entry is not None and not exclude(entry.name):
                kept = path.removeprefix(f"{pivot}/") if pivot else path
                start = origin.real_path(path) if entry.kind == "folder" else ""
                found.append(Source(entry, start, kept, exclude))
    if not found and not operation.exclude:
        raise _nothing(operation.sources[0], origin)
    return found


def below(source: Source, origin: Tree) -> Iterator[Entry]:
    """What is in a folder, without what is excluded; parents first. A further name of a file that was given
    already has that one's path, below the folder, as its `first`."""
    prefix = len(source.start) + 1 if source.start else 0
    names: dict[tuple[int, int], str] = {}
    for entry in origin.walk(source.start):
        path = entry.path[prefix:]
        if source.exclude.patterns and source.exclude(path):
            continue
        if entry.inode and (first := names.setdefault(entry.inode, path)) != path:
            yield replace(entry, first=first)
        else:
            yield entry


def _nothing(pattern: str, origin: Tree) -> BadInput:
    if origin.ignore(pattern) and origin.entry(pattern):
        return BadInput(f"{pattern!r} is left out by .dockerignore", hint=f"add `!{pattern}` to .dockerignore")
    if origin.ignore(pattern):  # `berth deploy` leaves out the same and sends none of it
        reason = f"{pattern!r} is not there: .dockerignore keeps it out, also of what `berth deploy` sends"
        return NotThere(reason, hint=f"add `!{pattern}` to .dockerignore, if it is in your folder")
    folder = _nearest(pattern.strip("/"), origin)
    near = ", ".join(entry.name for entry in origin.inside(folder)[:_MOST_NEAR])
    where = f"in {folder}" if folder else "at the top"
    return NotThere(f"{pattern!r} is not there", hint=f"{where} there are: {near or 'no files'}")


def _nearest(path: str, origin: Tree) -> str:
    """The folder that is there and would be above `path`, or above those that would be; "" is the top."""
    above = path.rpartition("/")[0]
    while above and not ((entry := origin.entry(above)) and entry.kind == "folder"):
        above = above.rpartition("/")[0]
    return above
