"""How the files of two stacks differ: two images, or a running container and its image.

Only what layers have that are not common to both is looked at, so that two releases of an app on one base are
compared in a moment, whatever the base's size.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal

from paas.contents.stack import Entry, Stack
from paas.contents.text import difference

What = Literal["added", "removed", "changed"]
MOST_CHANGES = 5_000
MOST_TEXT_BYTES = 1024 * 1024
_CHUNK = 1024 * 1024
Mask = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Change:
    """One path. `aspects` of a changed one: kind, content, mode, owner, target. `text` is a unified difference,
    of a file that came or went against nothing; empty where the content is no text, is too large, or did not
    change."""

    path: str
    what: What
    left: Entry | None
    right: Entry | None
    aspects: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """By path. `more`: how many beyond MOST_CHANGES were counted and left out."""

    found: tuple[Change, ...]
    more: int = 0


def compare(left: Stack, right: Stack, *, leave_out: Collection[str] = (), mask: Mask = str) -> Changes:
    """Both stacks open. `leave_out`: paths that do not count themselves. `mask` sees every text."""
    found: list[Change] = []
    more = 0
    for path in sorted(_candidates(left, right)):
        change = _change(path, left, right) if path not in leave_out else None
        if change is None:
            continue
        if len(found) == MOST_CHANGES:
            more += 1
            continue
        found.append(change)
    return Changes(_with_texts(_without_dull_folders(found), left, right, mask), more)


def _candidates(left: Stack, right: Stack) -> set[str]:
    """Every path that may differ."""
    same = _common(left, right)
    paths: set[str] = set()
    for stack in (left, right):
        for number in range(same, len(stack.folders)):
            for mark in stack.marks(number):
                paths.add(mark.path)
                if mark.hides:  # what was below it may show in the other stack
                    for other in (left, right):
                        paths.update(entry.path for entry in other.walk(mark.path))
    return paths


def _common(left: Stack, right: Stack) -> int:
    """How many layers, from the bottom, are the same."""
    count = 0
    for one, other in zip(left.folders, right.folders, strict=False):
        if one != other:
            break
        count += 1
    return count


def _change(path: str, left: Stack, right: Stack) -> Change | None:
    before, after = left.entry(path), right.entry(path)
    if before is None or after is None:
        if before is after:
            return None
        return Change(path, "removed" if after is None else "added", before, after)
    aspects = tuple(_aspects(before, after, left, right))
    return Change(path, "changed", before, after, aspects) if aspects else None


def _aspects(before: Entry, after: Entry, left: Stack, right: Stack) -> list[str]:
    if before.inode == after.inode:
        return []
    differing = []
    if before.kind != after.kind:
        differing.append("kind")
    elif before.kind == "file" and not _same_content(before, after, left, right):
        differing.append("content")
    if before.target != after.target:
        differing.append("target")
    if before.mode != after.mode:
        differing.append("mode")
    if (before.uid, before.gid) != (after.uid, after.gid):
        differing.append("owner")
    return differing


def _same_content(before: Entry, after: Entry, left: Stack, right: Stack) -> bool:
    if before.size != after.size:
        return False
    try:
        with left.opened(before) as one, right.opened(after) as other:
            while chunk := os.read(one, _CHUNK):
                if os.read(other, len(chunk)) != chunk:
                    return False
            return not os.read(other, 1)
    except OSError:  # gone while we looked: a running container's own doing
        return False


def _with_texts(found: list[Change], left: Stack, right: Stack, mask: Mask) -> tuple[Change, ...]:
    """As many as there is room for; first of what changed, which new files, often many, would leave none."""
    texts: dict[str, str] = {}
    room = MOST_TEXT_BYTES
    for change in sorted(filter(_has_text, found), key=lambda change: change.what != "changed"):
        if room <= 0:
            break
        texts[change.path] = difference(left, right, change.path, mask)
        room -= len(texts[change.path])
    return tuple(replace(change, text=texts.get(change.path, "")) for change in found)


def _has_text(change: Change) -> bool:
    if change.what == "changed":
        return "content" in change.aspects
    entry = change.left or change.right
    return entry is not None and entry.kind == "file"


def _without_dull_folders(found: list[Change]) -> list[Change]:
    """A folder that came or went with what is in it says nothing more than that does."""
    above: set[str] = set()
    for change in found:
        if change.what != "changed":
            folder = change.path
            while (folder := folder.rpartition("/")[0]) and folder not in above:
                above.add(folder)
    return [change for change in found if change.what == "changed" or change.path not in above]
