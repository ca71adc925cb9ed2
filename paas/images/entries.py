"""Putting what an archive holds into a tree: each entry by its kind, what means harm refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from paas.errors import BadInput
from paas.images.budget import Budget
from paas.images.names import Parts, shown, source_parts
from paas.images.tree import Chunks, Tree
from paas.oci.tar import TarEntry

READ_AHEAD = 4 * 1024 * 1024
_MOST_OF_A_HEADER = 4096


def whole_stream(budget: Budget, look: Callable[[], object]) -> Budget:
    """What may be read of an archive whose content may fill `budget`: long headers cost time though they leave
    no file."""
    content = (budget.max_bytes or 0) + _MOST_OF_A_HEADER * (budget.max_files or 0)
    return Budget(content + READ_AHEAD, look=look)


def put(tree: Tree, parts: Parts, entry: TarEntry, chunks: Chunks, budget: Budget) -> None:
    """BadInput for what is no file, folder or link, and for a link that leads to what is not in the archive."""
    match entry.kind:
        case "dir":
            tree.put_folder(parts, entry)
        case "file":
            tree.put_file(parts, entry, _counted(chunks, entry.path, budget))
        case "symlink":
            tree.put_symlink(parts, entry)
        case "link":
            tree.put_link(parts, _link_target(entry))
        case _:
            raise BadInput(
                f"archive entry {shown(entry.path)!r} is a device or a named pipe",
                hint="pack files, folders and links only",
            )


def _link_target(entry: TarEntry) -> Parts:
    try:
        return source_parts(entry.target)
    except BadInput as error:
        raise BadInput(
            f"archive entry {shown(entry.path)!r} is a hard link to {shown(entry.target)!r}, outside it",
            hint="replace it by the file itself",
        ) from error


def _counted(chunks: Chunks, name: str, budget: Budget) -> Iterator[memoryview]:
    for chunk in chunks:
        budget.add_bytes(len(chunk), name)
        yield chunk
