"""Tar headers: one canonical spelling out, the usual spellings in (POSIX.1-2017 pax, tar(5), OCI layer.md).

Names are text decoded from UTF-8; bytes that are none travel as surrogate escapes. Writing uses plain ustar
headers, and a pax header in front only where a value does not fit. Reading knows ustar, pax and GNU long names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from paas.errors import BadInput

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
Kind = Literal["file", "dir", "symlink", "link", "fifo", "char", "block"]
KINDS: Final[dict[bytes, Kind]] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "link",
    b"2": "symlink",
    b"3": "char",
    b"4": "block",
    b"5": "dir",
    b"6": "fifo",
}
_TYPES: Final[dict[Kind, bytes]] = {
    "file": b"0",
    "link": b"1",
    "symlink": b"2",
    "char": b"3",
    "block": b"4",
    "dir": b"5",
    "fifo": b"6",
}
XATTR: Final = "SCHILY.xattr."
_MAX_ID = 0o7777777
_MAX_SIZE = 0o77777777777
_CHECKSUM = slice(148, 156)


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One member. `path` has no leading or trailing slash; `target` is a link's; `mtime` in whole seconds."""

    path: str
    kind: Kind = "file"
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    target: str = ""
    xattrs: tuple[tuple[str, bytes], ...] = ()


def padding(size: int) -> int:
    """Bytes between content of this size and the next header."""
    return -size % BLOCK


# --- writing ------------------------------------------------------------------------------------
def encode(entry: TarEntry) -> bytes:
    """The canonical header of an entry: equal entries give equal bytes."""
    path = to_bytes(entry.path) + (b"/" if entry.kind == "dir" else b"")
    target = to_bytes(entry.target)
    split = _split(path)
    records = _pax_records(entry, path, target, fits=split is not None)
    return _pax_header(records) + _block(entry, *(split or (path[:100], b"")), _TYPES[entry.kind], target[:100])


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _split(path: bytes) -> tuple[bytes, bytes] | None:
    """A path as ustar's (name, prefix), or None if it does not fit."""
    if len(path) <= 100:
        return path, b""
    cut = path.rfind(b"/", 0, 156) if len(path) <= 256 else -1
    name = path[cut + 1 :]
    return (name, path[:cut]) if cut > 0 and 0 < len(name) <= 100 else None


def _pax_records(entry: TarEntry, path: bytes, target: bytes, *, fits: bool) -> list[tuple[bytes, bytes]]:
    records: list[tuple[bytes, bytes]] = []
    if not fits or not path.isascii():
        records.append((b"path", path))
    if len(target) > 100 or not target.isascii():
        records.append((b"linkpath", target))
    for key, value, top in (
        (b"size", entry.size, _MAX_SIZE),
        (b"uid", entry.uid, _MAX_ID),
        (b"gid", entry.gid, _MAX_ID),
        (b"mtime", entry.mtime, _MAX_SIZE),
    ):
        if not 0 <= value <= top:
            records.append((key, b"%d" % value))
    records.extend((to_bytes(XATTR + key), value) for key, value in entry.xattrs)
    return sorted(records)


def _pax_header(records: list[tuple[bytes, bytes]]) -> bytes:
    if not records:
        return b""
    body = b"".join(pax_record(key, value) for key, value in records)
    # A fixed name: what old tars, which know no pax, would call the file that they extract.
    header = _block(TarEntry("", size=len(body)), b"PaxHeaders/entry", b"", b"x", b"")
    return header + body + bytes(padding(len(body)))


def pax_record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where LENGTH counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if rest + len(str(length)) != length:
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


def _block(entry: TarEntry, name: bytes, prefix: bytes, kind: bytes, target: bytes) -> bytes:
    """512 bytes; a number that does not fit is 0 here and in the pax header."""
    head = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name.ljust(100, b"\0"),
        entry.mode,
        _fitting(entry.uid, _MAX_ID),
        _fitting(entry.gid, _MAX_ID),
        _fitting(entry.size, _MAX_SIZE),
        _fitting(entry.mtime, _MAX_SIZE),
    )
    tail = b"%s%sustar\00000%s0000000\x000000000\x00%s" % (
        kind,
        target.ljust(100, b"\0"),
        bytes(64),
        prefix.ljust(155, b"\0"),
    )
    checksum = sum(head) + sum(tail) + 8 * 32
    return b"%s%06o\0 %s%s" % (head, checksum, tail, bytes(12))


def _fitting(value: int, top: int) -> int:
    return value if 0 <= value <= top else 0


# --- reading ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class RawHeader:
    """A header block as it stands; `kind` is tar's own letter, `b"x"` and `b"L"` among them."""

    kind: bytes
    path: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    target: str


def decode(block: bytes) -> RawHeader | None:
    """The header in a block of 512 bytes; None for a block of zeros, which ends an archive."""
    if block.count(0) == BLOCK:
        return None
    _check(block)
    name = _string(block, 0, 100)
    if block[257:263] == b"ustar\0" and (prefix := _string(block, 345, 500)):
        name = f"{prefix}/{name}"
    return RawHeader(
        kind=block[156:157],
        path=name,
        mode=_number(block, 100, 108) & 0o7777,
        uid=_number(block, 108, 116),
        gid=_number(block, 116, 124),
        size=_size(block),
        mtime=_number(block, 136, 148),
        target=_string(block, 157, 257),
    )


def decode_pax(body: bytes) -> dict[str, bytes]:
    """The records of a pax header's body."""
    records: dict[str, bytes] = {}
    while body:
        digits, blank, _ = body[:12].partition(b" ")
        if not blank or not digits.isdigit():
            raise BadInput("archive is damaged: a pax record has no length")
        length = int(digits)
        record, body = body[len(digits) + 1 : length], body[length:]
        key, equals, value = record.partition(b"=")
        if length < 5 or not equals or not value.endswith(b"\n"):
            raise BadInput("archive is damaged: a pax record is cut short")
        records[to_text(key)] = value[:-1]
    return records


def _check(block: bytes) -> None:
    stored = _number(block, 148, 156)
    if stored != sum(block) - sum(block[_CHECKSUM]) + 8 * 32:
        raise BadInput("archive is damaged or not a tar archive: a header's checksum is wrong")


def _string(block: bytes, start: int, end: int) -> str:
    return to_text(block[start:end].partition(b"\0")[0])


def _size(block: bytes) -> int:
    size = _number(block, 124, 136)
    if size < 0:
        raise BadInput("archive is damaged: an entry has a negative size")
    return size


def _number(block: bytes, start: int, end: int) -> int:
    """Octal digits, or GNU's base-256 where the first bit is set."""
    field = block[start:end]
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
        return value - (1 << 8 * len(field) - 1) if field[0] & 0x40 else value
    digits = field.strip(b"\0 ").partition(b"\0")[0]
    try:
        return int(digits, 8) if digits else 0
    except ValueError as error:
        raise BadInput("archive is damaged: a header holds a number that is none") from error
