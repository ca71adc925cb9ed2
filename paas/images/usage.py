"""Whose bytes: what owners of images use of a store in which they share layers. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# From the widest on: (tenant,), (tenant, app), (tenant, app, release). Owners are equal or have one length.
Owner = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """Bytes of content. `unique` is what nobody outside has: what would be freed if the owner went."""

    bytes: int
    unique: int

    @property
    def shared(self) -> int:
        return self.bytes - self.unique


def shares(layers: Mapping[Owner, Iterable[str]], sizes: Mapping[str, int]) -> dict[Owner, Share]:
    """The share of every owner, and of every wider one: a tenant's is that of all of its apps together.

    A layer that several releases of one app have is counted once for the app, and is unique to it if no other
    app has it. A layer without a size is not in the store, and counts nothing.
    """
    have = _by_prefix(layers)
    holders: dict[int, dict[str, set[Owner]]] = defaultdict(lambda: defaultdict(set))
    for owner, found in have.items():
        for layer in found:
            holders[len(owner)][layer].add(owner)
    return {
        owner: Share(
            bytes=sum(sizes.get(layer, 0) for layer in found),
            unique=sum(sizes.get(layer, 0) for layer in found if len(holders[len(owner)][layer]) == 1),
        )
        for owner, found in have.items()
    }


def sharers(layers: Mapping[Owner, Iterable[str]], width: int) -> dict[str, int]:
    """For each layer how many owners of this width have it: of width 2, how many apps."""
    counted: dict[str, int] = defaultdict(int)
    for owner, found in _by_prefix(layers).items():
        if len(owner) == width:
            for layer in found:
                counted[layer] += 1
    return dict(counted)


def _by_prefix(layers: Mapping[Owner, Iterable[str]]) -> dict[Owner, set[str]]:
    have: dict[Owner, set[str]] = defaultdict(set)
    for owner, found in layers.items():
        for width in range(1, len(owner) + 1):
            have[owner[:width]].update(found)
    return have
