"""Names in archives: what may become a path, and how a name is shown in an error."""

from __future__ import annotations

import unicodedata

from paas.errors import BadInput

Parts = tuple[str, ...]
MAX_DEPTH = 128
_MAX_PATH = 4096
_MAX_NAME = 255


def shown(name: str) -> str:
    """A name fit for a terminal, a log and a page: inert, and short."""
    inert = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name
    )
    return inert if len(inert) <= 200 else f"{inert[:197]}..."


def beginning(path: str) -> str:
    """Of one that lies too deep: a hundred more folders tell nobody more."""
    return shown(path if len(path) <= 60 else f"{path[:60]}...")


def layer_parts(name: str) -> Parts:
    """A layer's entry below its root. Leading `./` and `/` are usual there; `..` never is."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts or "\0" in name:
        raise BadInput(f"layer entry {shown(name)!r} points outside the layer")
    _check_lengths(parts, name)
    return parts


def source_parts(name: str) -> Parts:
    """An uploaded archive's entry below its root; anything odd is refused with its name."""
    if name.startswith("/"):
        raise BadInput(
            f"archive entry {shown(name)!r} has an absolute name", hint="pack the folder by relative names"
        )
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise BadInput(
            f"archive entry {shown(name)!r} has a control character or is not UTF-8", hint="rename that file"
        )
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise BadInput(f"archive entry {shown(name)!r} points outside the archive", hint="pack it without `..`")
    _check_lengths(parts, name)
    return parts


def _check_lengths(parts: Parts, name: str) -> None:
    if len(parts) > MAX_DEPTH:
        raise BadInput(f"entry {beginning(name)!r} lies more than {MAX_DEPTH} folders deep")
    longest = max((len(part.encode("utf-8", "surrogateescape")) for part in parts), default=0)
    if longest > _MAX_NAME or len(name) > _MAX_PATH:
        raise BadInput(f"entry {shown(name)!r} has a name that is too long (255 bytes, 4,096 for a path)")
