"""Reading a tar stream entry by entry with bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from paas.errors import BadInput
from paas.images.names import shown
from paas.oci.tar import BLOCK, KINDS, XATTR, RawHeader, TarEntry, decode, decode_pax, padding, to_text

_MAX_EXTENSION = 1024 * 1024  # a pax or GNU long-name header is held in memory
_CHUNK = 1024 * 1024
_EARLIEST, _LATEST = -(2**31), 2**33  # what ext4 can hold
_KEPT_XATTRS = frozenset({"security.capability"})


class TarReader:
    """Iterate to get entries; `chunks()` gives the content of the last one, which may be left unread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = 0
        self._padding = 0
        self._buffer = memoryview(bytearray(_CHUNK))

    def __iter__(self) -> Iterator[TarEntry]:
        pax: dict[str, bytes] = {}
        while header := decode(self._exactly(BLOCK)):
            match header.kind:
                case b"x":
                    pax |= decode_pax(self._extension(header))
                case b"L":
                    pax.setdefault("path", self._extension(header).partition(b"\0")[0])
                case b"K":
                    pax.setdefault("linkpath", self._extension(header).partition(b"\0")[0])
                case b"g":
                    self._extension(header)  # of the whole archive: git keeps a commit's id here
                case _:
                    yield self._begin(header, pax)
                    self._skip()
                    pax = {}

    def chunks(self) -> Iterator[memoryview]:
        """The content; each chunk is valid until the next is asked for."""
        while self._left:
            wanted = min(self._left, _CHUNK)
            count = self._stream.readinto(self._buffer[:wanted])  # type: ignore[attr-defined]
            if not count:
                raise _cut_short()
            self._left -= count
            yield self._buffer[:count]

    def _begin(self, header: RawHeader, pax: dict[str, bytes]) -> TarEntry:
        entry = _entry(header, pax)
        self._left = entry.size
        self._padding = padding(entry.size)
        return entry

    def _skip(self) -> None:
        for _ in self.chunks():
            pass
        self._exactly(self._padding)

    def _extension(self, header: RawHeader) -> bytes:
        if header.size > _MAX_EXTENSION:
            raise BadInput(
                f"archive holds a header of {header.size:,} bytes; at most {_MAX_EXTENSION:,} are read"
            )
        data = self._exactly(header.size)
        self._exactly(padding(header.size))
        return data

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise _cut_short()
        return data


def _entry(header: RawHeader, pax: dict[str, bytes]) -> TarEntry:
    path = to_text(pax["path"]) if "path" in pax else header.path
    if any(key.startswith("GNU.sparse.") for key in pax) or header.kind == b"S":
        raise BadInput(f"archive entry {shown(path)!r} is a sparse file", hint="pack it without tar's --sparse")
    if header.kind not in KINDS:
        raise BadInput(f"archive entry {shown(path)!r} is of a kind that is not known: {header.kind!r}")
    entry = TarEntry(
        path=path.rstrip("/"),
        kind="dir" if header.kind in (b"0", b"\0") and path.endswith("/") else KINDS[header.kind],
        mode=header.mode,
        uid=_number(pax, "uid", header.uid),
        gid=_number(pax, "gid", header.gid),
        mtime=min(max(_number(pax, "mtime", header.mtime), _EARLIEST), _LATEST),
        target=to_text(pax["linkpath"]) if "linkpath" in pax else header.target,
        xattrs=_xattrs(pax) if pax else (),
    )
    # Only files have content, whatever the size field of another kind says.
    return replace(entry, size=_number(pax, "size", header.size)) if entry.kind == "file" else entry


def _number(pax: dict[str, bytes], key: str, otherwise: int) -> int:
    if key not in pax:
        return otherwise
    try:
        value = int(pax[key].partition(b".")[0])
    except ValueError as error:
        raise BadInput(f"archive is damaged: {key} in a pax header is no number") from error
    if value < 0 and key != "mtime":
        raise BadInput(f"archive is damaged: {key} in a pax header is negative")
    return value


def _xattrs(pax: dict[str, bytes]) -> tuple[tuple[str, bytes], ...]:
    found = ((key.removeprefix(XATTR), value) for key, value in pax.items() if key.startswith(XATTR))
    return tuple(sorted((key, value) for key, value in found if key in _KEPT_XATTRS))


def _cut_short() -> BadInput:
    return BadInput(
        "archive ends in the middle of an entry", hint="it may have been cut short: pack or upload it again"
    )
