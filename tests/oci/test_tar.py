from __future__ import annotations

import io
import tarfile
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paas.errors import BadInput
from paas.images.tar_reader import TarReader
from paas.oci.tar import BLOCK, END, TarEntry, decode, decode_pax, encode, padding, pax_record, to_text

part = st.binary(min_size=1, max_size=60).filter(lambda b: not set(b) & {0, ord("/")}).map(to_text)
paths = st.lists(part, min_size=1, max_size=8).map("/".join)
capabilities = st.just(()) | st.binary(max_size=24).map(lambda value: (("security.capability", value),))
mtimes = st.integers(-(2**31), 2**33)
ids = st.integers(0, 65535)
modes = st.integers(0, 0o7777)


def entries() -> st.SearchStrategy[TarEntry]:
    common = {"path": paths, "mode": modes, "uid": ids, "gid": ids, "mtime": mtimes}
    return st.one_of(
        st.builds(TarEntry, kind=st.just("file"), xattrs=capabilities, **common),
        st.builds(TarEntry, kind=st.sampled_from(["dir", "fifo"]), **common),
        st.builds(TarEntry, kind=st.sampled_from(["link", "symlink"]), target=paths, **common),
    )


def written(*entries: tuple[TarEntry, bytes]) -> bytes:
    return b"".join(encode(entry) + data + bytes(padding(len(data))) for entry, data in entries) + END


@given(st.lists(entries(), max_size=5))
def test_what_is_written_is_read_again(given: list[TarEntry]) -> None:
    archive = written(*((entry, b"") for entry in given))
    assert list(TarReader(io.BytesIO(archive))) == given


@given(entries())
@example(TarEntry("d" * 100))
@example(TarEntry("d" * 101))
@example(TarEntry("p" * 155 + "/" + "n" * 100))
@example(TarEntry("p" * 156 + "/" + "n" * 100))
@example(TarEntry("p" * 155 + "/" + "n" * 100, "dir"))
@example(TarEntry("x", "symlink", target="t" * 101))
def test_pythons_tarfile_reads_the_same(entry: TarEntry) -> None:
    with tarfile.open(fileobj=io.BytesIO(written((entry, b"")))) as tar:
        (member,) = tar.getmembers()
    assert (member.name, member.mode, member.uid, member.gid) == (entry.path, entry.mode, entry.uid, entry.gid)
    assert (member.mtime, member.linkname) == (entry.mtime, entry.target)


@given(paths, st.binary(max_size=2000), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_what_tarfile_writes_is_read(path: str, data: bytes, form: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as tar:
        member = tarfile.TarInfo(path)
        member.size, member.mtime = len(data), 77.5
        tar.addfile(member, io.BytesIO(data))
    reader = TarReader(io.BytesIO(buffer.getvalue()))
    found = [(entry.path, b"".join(map(bytes, reader.chunks())), entry.mtime) for entry in reader]
    assert found == [(path.rstrip("/"), data, 77)]


@given(st.text(min_size=1, max_size=200), st.binary(max_size=1200))
@example("k", b"v" * 92)
@example("k", b"v" * 93)
@example("k", b"v" * 993)
def test_a_pax_record_counts_its_own_length(key: str, value: bytes) -> None:
    record = pax_record(key.encode("utf-8", "ignore").replace(b"=", b"") or b"k", value)
    assert int(record.split(b" ")[0]) == len(record)
    assert list(decode_pax(record + record).values()) == [value]


def test_plain_entries_take_one_block() -> None:
    assert len(encode(TarEntry("usr/bin/env", mtime=1_700_000_000, size=2**30))) == BLOCK
    assert len(encode(TarEntry("größe"))) > BLOCK


def test_numbers_beyond_octal_are_read() -> None:
    block = bytearray(encode(TarEntry("large")))
    block[124:136] = b"\x80" + (2**40).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    header = decode(bytes(block))
    assert header is not None
    assert header.size == 2**40


@given(st.binary(min_size=BLOCK, max_size=BLOCK).filter(any))
def test_noise_is_damage_never_a_crash(block: bytes) -> None:
    with pytest.raises(BadInput):
        list(TarReader(io.BytesIO(block + END)))


@given(st.data())
def test_a_flipped_byte_gives_an_error_or_an_entry(data: st.DataObject) -> None:
    archive = bytearray(written((TarEntry("a" * 120, size=3), b"abc"), (TarEntry("b", "dir"), b"")))
    archive[data.draw(st.integers(0, len(archive) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(BadInput):
        assert len(list(TarReader(io.BytesIO(archive)))) <= 2


@pytest.mark.parametrize("length", [BLOCK, BLOCK + 1, 2 * BLOCK - 1, 100])
def test_an_archive_that_is_cut_short(length: int) -> None:
    archive = written((TarEntry("a", size=700), b"x" * 700))
    with pytest.raises(BadInput, match="ends in the middle"):
        list(TarReader(io.BytesIO(archive[:length])))


def test_a_huge_header_is_not_read_into_memory() -> None:
    block = bytearray(encode(TarEntry("x", size=2**32)))
    block[156:157] = b"x"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(BadInput, match=r"a header of 4,294,967,296 bytes"):
        list(TarReader(io.BytesIO(bytes(block) + END)))
