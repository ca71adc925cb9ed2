"""A tree as a layer's canonical tar stream: hashed, copied and written in the same pass."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from paas.images.budget import Budget, go_on
from paas.images.layer_tree import LayerTree
from paas.images.walk import Walk
from paas.oci.tar import END, TarEntry, encode, padding

Write = Callable[[bytes | memoryview], object]


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a canonical stream was: its digest (the DiffID), its length, the content and entries in it."""

    diff_id: str
    tar_bytes: int
    size: int
    files: int


def copy(
    source: Path, target: Path, *, exclude: Collection[str], epoch: int | None, budget: Budget
) -> Streamed:
    """Copy an overlay upper folder into an empty folder, as a layer."""
    with LayerTree(target, Budget()) as tree:
        streamed = _stream(Walk(source, exclude, epoch), budget, put=tree.put)
        tree.finish()
    return streamed


def describe(layer: Path, look: Callable[[], object] = go_on) -> Streamed:
    """What an unpacked layer's canonical stream would be. `look` is called again and again, and may raise."""
    return _stream(Walk(layer), Budget(look=look))


def export(layer: Path, write: Write) -> Streamed:
    """Write an unpacked layer's canonical stream."""
    return _stream(Walk(layer), Budget(), write=write)


def _stream(
    walk: Walk,
    budget: Budget,
    *,
    put: Callable[[TarEntry, Iterator[memoryview]], None] | None = None,
    write: Write | None = None,
) -> Streamed:
    digest, length = hashlib.sha256(), 0

    def emit(data: bytes | memoryview) -> None:
        digest.update(data)
        if write:
            write(data)

    def content() -> Iterator[memoryview]:
        for chunk in walk.chunks():
            budget.look()
            emit(chunk)
            yield chunk

    for entry in walk:
        budget.add_file(entry.path)
        budget.add_bytes(entry.size, entry.path)  # before it is read: a sparse file may say anything
        header = encode(entry)
        emit(header)
        if put:
            put(entry, content())
        else:
            for _ in content():
                pass
        emit(bytes(padding(entry.size)))
        length += len(header) + entry.size + padding(entry.size)
    emit(END)
    return Streamed(f"sha256:{digest.hexdigest()}", length + len(END), budget.bytes, budget.files)
