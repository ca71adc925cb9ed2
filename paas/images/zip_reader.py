"""Reading a zip archive entry by entry with bounded memory (PKWARE APPNOTE.TXT 6.3).

The central directory alone says what is in it. It is read as a stream, because the standard library's zipfile
makes an object of each entry before the first can be counted: a few hundred megabytes hold millions.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

from paas.errors import BadInput
from paas.images.names import shown
from paas.oci.tar import Kind, TarEntry

_END = struct.Struct("<4s4H2IH")
_END64_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_CHUNK = 256 * 1024
_STORED, _DEFLATED = 0, 8
_KINDS: dict[int, Kind] = {
    0: "file",
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
}


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    method: int
    crc: int
    packed: int
    offset: int


class ZipReader:
    """Iterate to get entries; `chunks()` gives the content of the entry last yielded. Sizes are as claimed:
    count what `chunks` gives instead."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._member = _Member("", _STORED, 0, 0, 0)

    def __iter__(self) -> Iterator[TarEntry]:
        position, end = self._central_directory()
        while position < end:
            fields, name, extra, length = self._central(position)
            position += length
            yield self._entry(fields, name, extra)

    def chunks(self) -> Iterator[memoryview]:
        crc = 0
        for data in self._plain():
            crc = zlib.crc32(data, crc)
            yield memoryview(data)
        if crc != self._member.crc:
            raise BadInput(f"archive is damaged: the checksum of {shown(self._member.name)!r} is wrong")

    def _entry(self, fields: tuple[int, ...], name: bytes, extra: bytes) -> TarEntry:
        made_by, _, flags, method, time, date, crc, packed, size, *_, attributes, offset = fields
        path = _decode(name, utf8=bool(flags & 0x800))
        from_dos = made_by >> 8 == 0
        if from_dos:  # some Windows programs write their own separator
            path = path.replace("\\", "/")
        if flags & 0x2041:
            raise BadInput(f"archive entry {shown(path)!r} is encrypted", hint="pack it without a password")
        if method not in (_STORED, _DEFLATED):
            raise BadInput(
                f"archive entry {shown(path)!r} is compressed by method {method}",
                hint='pack it with "deflate", as zip does by default',
            )
        size, packed, offset = _wide(size, packed, offset, extra)
        self._member = _Member(path, method, crc, packed, offset)
        mode = 0 if from_dos else attributes >> 16
        kind = "dir" if path.endswith("/") else _KINDS.get(stat.S_IFMT(mode), "char")
        return TarEntry(
            path=path.rstrip("/"),
            kind=kind,
            mode=stat.S_IMODE(mode) or (0o755 if kind == "dir" else 0o644),
            size=size,
            mtime=_seconds(date, time),
            target=self._link_target(path) if kind == "symlink" else "",
        )

    def _link_target(self, path: str) -> str:
        target = b""
        for chunk in self.chunks():
            target += chunk
            if len(target) > 4096:
                raise BadInput(f"archive entry {shown(path)!r} is a link with a target that is too long")
        return target.decode("utf-8", "surrogateescape")

    def _plain(self) -> Iterator[bytes]:
        if self._member.method == _STORED:
            yield from self._packed()
            return
        inflate = zlib.decompressobj(-15)
        try:
            for data in self._packed():
                rest = data
                while rest and not inflate.eof:
                    yield inflate.decompress(rest, _CHUNK)
                    rest = inflate.unconsumed_tail
            yield inflate.flush()
        except zlib.error as error:
            raise BadInput(f"archive is damaged at {shown(self._member.name)!r}: {error}") from error
        if not inflate.eof:
            raise _damaged()

    def _packed(self) -> Iterator[bytes]:
        header = _LOCAL.unpack(self._at(self._member.offset, _LOCAL.size))
        if header[0] != b"PK\3\4":
            raise _damaged()
        position = self._member.offset + _LOCAL.size + header[-2] + header[-1]
        left = self._member.packed
        while left:
            data = self._at(position, min(left, _CHUNK))
            position, left = position + len(data), left - len(data)
            yield data

    # --- where the parts are
    def _central(self, position: int) -> tuple[tuple[int, ...], bytes, bytes, int]:
        fields = _CENTRAL.unpack(self._at(position, _CENTRAL.size))
        if fields[0] != b"PK\1\2":
            raise _damaged()
        name, extra, comment = fields[10:13]
        rest = self._at(position + _CENTRAL.size, name + extra)
        return fields[1:], rest[:name], rest[name:], _CENTRAL.size + name + extra + comment

    def _central_directory(self) -> tuple[int, int]:
        """Start and end of the central directory in the file."""
        length = self._stream.seek(0, 2)
        tail_at = max(0, length - 65535 - _END.size)
        tail = self._at(tail_at, length - tail_at)
        found = tail.rfind(b"PK\5\6", 0, max(0, len(tail) - _END.size + 4))
        if found < 0:
            raise BadInput("file is not a zip archive, or it is cut short", hint="pack or upload it again")
        size, start = _END.unpack_from(tail, found)[5:7]
        if size == 0xFFFFFFFF or start == 0xFFFFFFFF:
            size, start = self._wide_end(tail_at + found)
        if start + size > length:
            raise _damaged()
        return start, start + size

    def _wide_end(self, end_at: int) -> tuple[int, int]:
        locator = _END64_LOCATOR.unpack(self._at(end_at - _END64_LOCATOR.size, _END64_LOCATOR.size))
        record = _END64.unpack(self._at(locator[2], _END64.size))
        if locator[0] != b"PK\6\7" or record[0] != b"PK\6\6":
            raise _damaged()
        return record[8], record[9]

    def _at(self, position: int, count: int) -> bytes:
        if position < 0:
            raise _damaged()
        self._stream.seek(position)
        data = self._stream.read(count)
        if len(data) != count:
            raise _damaged()
        return data


def _decode(name: bytes, *, utf8: bool) -> str:
    """Names are UTF-8 or code page 437 by a flag; many programs write UTF-8 and do not set it."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("utf-8", "surrogateescape") if utf8 else name.decode("cp437")


def _wide(size: int, packed: int, offset: int, extra: bytes) -> tuple[int, int, int]:
    """Values that do not fit 32 bits are in extra field 1, in this order, only those marked as missing."""
    values = [size, packed, offset]
    missing = [index for index, value in enumerate(values) if value == 0xFFFFFFFF]
    while missing and len(extra) >= 4:
        tag, length = struct.unpack_from("<HH", extra)
        if tag == 1:
            if length < 8 * len(missing) or len(extra) < 4 + length:
                raise _damaged()
            for place, index in enumerate(missing):
                values[index] = struct.unpack_from("<Q", extra, 4 + 8 * place)[0]
            break
        extra = extra[4 + length :]
    return values[0], values[1], values[2]


def _seconds(date: int, time: int) -> int:
    """DOS time has no zone: taken as UTC, so that the same archive always gives the same tree."""
    try:
        moment = datetime(
            1980 + (date >> 9),
            date >> 5 & 15,
            date & 31,
            time >> 11,
            time >> 5 & 63,
            (time & 31) * 2,
            tzinfo=UTC,
        )
    except ValueError:
        return 315532800  # 1980-01-01, where zip's time begins
    return int(moment.timestamp())


def _damaged() -> BadInput:
    return BadInput("zip archive is damaged", hint="pack or upload it again")
