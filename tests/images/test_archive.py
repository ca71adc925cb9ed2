"""Uploaded sources: what an honest archive gives, and what each hostile one is told."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from paas.errors import BadInput, Conflict
from paas.images import UnpackReport, unpack
from tests.images.conftest import open_descriptors

MIB = 2**20


def member(
    name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **facts: object
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    for key, value in facts.items():
        setattr(info, key, value)
    return info, data


def tar_gz(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1, errors="surrogateescape") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


def zipped(path: Path, *members: tuple[str, bytes, int]) -> Path:
    """Members as (name, data, mode); a mode of 0 is an archive from DOS."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data, mode in members:
            info = zipfile.ZipInfo("placeholder")
            info.filename = name  # ZipInfo itself would tidy it up
            info.create_system, info.external_attr = (3, mode << 16) if mode else (0, 0)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out" / "source"


def unpacked(archive: Path, target: Path, *, max_bytes: int = 4 * MIB, max_files: int = 100) -> UnpackReport:
    kind = {".zip": "zip", ".tar": "tar"}.get(archive.suffix, "tar.gz")
    return unpack(archive, kind, target, max_bytes=max_bytes, max_files=max_files)  # type: ignore[arg-type]


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# --- honest
def test_a_tar_is_unpacked_and_its_single_folder_taken_off(tmp_path: Path, target: Path) -> None:
    archive = tar_gz(
        tmp_path / "a.tgz",
        member("app-1.0", tarfile.DIRTYPE, mode=0o775),
        member("app-1.0/app.py", data=b"print()", mode=0o644, mtime=1_700_000_000),
        member("app-1.0/bin/run", data=b"#!/bin/sh", mode=0o755),
        member("app-1.0/current", tarfile.SYMTYPE, linkname="bin/run"),
        member("app-1.0/twin.py", tarfile.LNKTYPE, linkname="app-1.0/app.py"),
    )
    assert unpacked(archive, target) == UnpackReport(files=6, bytes=16, stripped="app-1.0")
    assert names(target) == {"app.py", "bin", "bin/run", "current", "twin.py"}
    assert (target / "app.py").stat().st_mtime == 1_700_000_000
    assert (target / "current").read_bytes() == b"#!/bin/sh"
    assert stat.S_IMODE((target / "bin/run").stat().st_mode) == 0o755
    assert (target / "twin.py").samefile(target / "app.py")


def test_a_tar_without_compression(tmp_path: Path, target: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info, data = member("index.html", data=b"hello")
        tar.addfile(info, io.BytesIO(data))
    assert unpacked(tmp_path / "a.tar", target).files == 1
    assert (target / "index.html").read_bytes() == b"hello"


@pytest.mark.parametrize("cut", [1, 700])
def test_a_tar_that_ends_too_early(tmp_path: Path, target: Path, cut: int) -> None:
    with tarfile.open(tmp_path / "whole", "w") as tar:
        info, data = member("index.html", data=b"x" * 1000)
        tar.addfile(info, io.BytesIO(data))
    (tmp_path / "a.tar").write_bytes((tmp_path / "whole").read_bytes()[: 512 + 1000 - cut])
    with pytest.raises(BadInput):
        unpacked(tmp_path / "a.tar", target)
    assert not list(target.iterdir())


def test_a_zip_is_unpacked_with_modes_and_links(tmp_path: Path, target: Path) -> None:
    archive = zipped(
        tmp_path / "a.zip",
        ("app/", b"", stat.S_IFDIR | 0o755),
        ("app/größe.txt", b"x" * 1000, stat.S_IFREG | 0o640),
        ("app/run", b"#!", stat.S_IFREG | 0o755),
        ("app/link", b"run", stat.S_IFLNK | 0o777),
        ("__MACOSX/app/._run", b"of the Finder", stat.S_IFREG | 0o644),
    )
    assert unpacked(archive, target).stripped == "app"
    assert names(target) == {"größe.txt", "run", "link"}
    assert (target / "link").readlink() == Path("run")
    assert stat.S_IMODE((target / "größe.txt").stat().st_mode) == 0o640


def test_a_zip_from_windows_has_the_other_slash(tmp_path: Path, target: Path) -> None:
    unpacked(zipped(tmp_path / "a.zip", ("app\\src\\a.py", b"1", 0), ("app\\b.py", b"2", 0)), target)
    assert names(target) == {"src", "src/a.py", "b.py"}


def test_a_zip_with_64_bit_fields_and_a_comment(tmp_path: Path, target: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as writer:
        with writer.open(zipfile.ZipInfo("streamed"), "w", force_zip64=True) as file:
            file.write(b"x" * 10)
        writer.writestr("second", b"y")
        writer.comment = b"c" * 1000
    unpacked(archive, target)
    assert (target / "streamed").read_bytes() == b"x" * 10


def test_two_folders_at_the_top_stay(tmp_path: Path, target: Path) -> None:
    archive = tar_gz(tmp_path / "a.tgz", member("a/x"), member("b/y"))
    assert unpacked(archive, target).stripped is None
    assert names(target) == {"a", "a/x", "b", "b/y"}


def test_a_folder_inside_may_be_called_as_the_one_taken_off(tmp_path: Path, target: Path) -> None:
    unpacked(tar_gz(tmp_path / "a.tgz", member("app/app/app", data=b"1")), target)
    assert names(target) == {"app", "app/app"}


def test_the_later_of_two_entries_counts(tmp_path: Path, target: Path) -> None:
    archive = tar_gz(tmp_path / "a.tgz", member("a", data=b"first"), member("b"), member("a", data=b"2nd"))
    unpacked(archive, target)
    assert (target / "a").read_bytes() == b"2nd"


def test_setuid_and_owners_mean_nothing(tmp_path: Path, target: Path) -> None:
    archive = tar_gz(
        tmp_path / "a.tgz",
        member("su", mode=0o6777, uid=1234, gid=55),
        member("d", tarfile.DIRTYPE, mode=0o7000),
        member("closed", tarfile.DIRTYPE, mode=0o555),
        member("closed/f", mode=0o444),
    )
    unpacked(archive, target)
    assert stat.S_IMODE((target / "su").stat().st_mode) == 0o777
    modes = [stat.S_IMODE((target / name).stat().st_mode) for name in ("d", "closed", "closed/f")]
    assert modes == [0o500, 0o555, 0o444], "as docs/reference/cli.md says"
    assert (target / "su").stat().st_uid == os.getuid()


def test_an_archive_of_several_gzip_members(tmp_path: Path, target: Path) -> None:
    plain = gzip.decompress(tar_gz(tmp_path / "a.tgz", member("a", data=b"x" * 2000)).read_bytes())
    (tmp_path / "b.tgz").write_bytes(gzip.compress(plain[:1000]) + gzip.compress(plain[1000:]))
    assert unpacked(tmp_path / "b.tgz", target).bytes == 2000


# --- hostile
HOSTILE_TAR: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], str]] = {
    "parent": ([member("../evil")], r"'\.\./evil' points outside"),
    "parent inside": ([member("a/../../evil")], r"'a/\.\./\.\./evil' points outside"),
    "absolute": ([member("/tmp/evil")], r"'/tmp/evil' has an absolute name"),
    "link then write": (
        [member("l", tarfile.SYMTYPE, linkname="/tmp"), member("l/evil", data=b"x")],
        r"'l/evil' lies beneath 'l', which is no folder",
    ),
    "folder beneath a link": (
        [member("l", tarfile.SYMTYPE, linkname="/tmp"), member("l/evil/", tarfile.DIRTYPE)],
        r"'l/evil' lies beneath 'l', which is no folder",
    ),
    "link inside then write": (
        [member("d/x"), member("l", tarfile.SYMTYPE, linkname="d"), member("l/evil", data=b"x")],
        r"beneath 'l', which is no folder",
    ),
    "hard link up": ([member("h", tarfile.LNKTYPE, linkname="../../etc/passwd")], r"'h' is a hard link to"),
    "hard link absolute": (
        [member("h", tarfile.LNKTYPE, linkname="/etc/passwd")],
        r"'h' is a hard link to '/etc",
    ),
    "hard link through a link": (
        [member("l", tarfile.SYMTYPE, linkname="/etc"), member("h", tarfile.LNKTYPE, linkname="l/passwd")],
        r"'h' is a hard link to 'l/passwd'",
    ),
    "hard link to nothing": ([member("h", tarfile.LNKTYPE, linkname="gone")], r"'h' is a hard link to 'gone'"),
    "hard link to itself": (
        [member("h"), member("h", tarfile.LNKTYPE, linkname="h")],
        r"'h' is a hard link to 'h'",
    ),
    "hard link to a folder": (
        [member("d/x"), member("h", tarfile.LNKTYPE, linkname="d")],
        r"'h' is a hard link",
    ),
    "hard link to the root": ([member("h", tarfile.LNKTYPE, linkname=".")], r"'h' is a hard link"),
    "character device": ([member("null", tarfile.CHRTYPE, devmajor=1, devminor=3)], r"'null' is a device"),
    "block device": ([member("sda", tarfile.BLKTYPE, devmajor=8)], r"'sda' is a device"),
    "named pipe": ([member("pipe", tarfile.FIFOTYPE)], r"'pipe' is a device or a named pipe"),
    "line feed": ([member("a\nb")], r"'a\\\\nb' has a control character"),
    "escape": ([member("a\x1b]0;b")], r"has a control character"),
    "not UTF-8": ([member("a\udcff")], r"is not UTF-8"),
    "sparse": ([member("s", tarfile.GNUTYPE_SPARSE)], r"'s' is a sparse file"),
    "unknown kind": ([member("v", b"V")], r"of a kind that is not known"),
    "replaces the root": ([member(".", data=b"x")], r"replace its own root folder"),
    "file over a folder": ([member("d/x"), member("d", data=b"x")], r"'d' is both a folder and a file"),
    "folders without end": ([member("d/" * 200 + "f")], r"more than 128 folders deep"),
    "name too long": ([member("n" * 256)], r"a name that is too long"),
    "empty link": ([member("l", tarfile.SYMTYPE, linkname="")], r"'l' is a link to nothing"),
}


@pytest.mark.parametrize("case", HOSTILE_TAR)
def test_a_hostile_tar_is_refused_with_the_entrys_name_and_nothing_stays(
    tmp_path: Path, target: Path, case: str
) -> None:
    members, message = HOSTILE_TAR[case]
    before = open_descriptors()
    with pytest.raises(BadInput, match=message):
        unpacked(tar_gz(tmp_path / "a.tgz", *members), target)
    assert list(target.iterdir()) == []
    assert list(target.parent.iterdir()) == [target]
    assert not Path("/tmp/evil").exists()
    assert open_descriptors() == before


HOSTILE_ZIP: dict[str, tuple[tuple[str, bytes, int], str]] = {
    "parent": (("../evil", b"x", 0o100644), r"'\.\./evil' points outside"),
    "parent by Windows": (("..\\evil", b"x", 0), r"'\.\./evil' points outside"),
    "absolute": (("/tmp/evil", b"x", 0o100644), r"has an absolute name"),
    "absolute by Windows": (("\\tmp\\evil", b"x", 0), r"has an absolute name"),
    "endless link": (("l", b"x" * MIB, stat.S_IFLNK | 0o777), r"'l' is a link with a target that is too long"),
    "device": (("null", b"", stat.S_IFCHR | 0o666), r"'null' is a device"),
    "pipe": (("pipe", b"", stat.S_IFIFO | 0o666), r"'pipe' is a device or a named pipe"),
    "socket": (("sock", b"", stat.S_IFSOCK | 0o666), r"'sock' is a device"),
    "line feed": (("a\nb", b"", 0o100644), r"control character"),
}


@pytest.mark.parametrize("case", HOSTILE_ZIP)
def test_a_hostile_zip_is_refused_with_the_entrys_name(tmp_path: Path, target: Path, case: str) -> None:
    hostile, message = HOSTILE_ZIP[case]
    with pytest.raises(BadInput, match=message):
        unpacked(zipped(tmp_path / "a.zip", ("honest", b"1", 0o100644), hostile), target)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_a_symbolic_link_stays_one_wherever_it_leads(tmp_path: Path, target: Path, kind: str) -> None:
    """Each virtual environment has one to /usr/bin/python3; a build opens none of them on the host's side."""
    links = {"absolute": "/etc/passwd", "up": "../../x", "circle": "circle", "gone": "nowhere"}
    if kind == "zip":
        members = ((name, to.encode(), stat.S_IFLNK | 0o777) for name, to in links.items())
        archive = zipped(tmp_path / "a.zip", *members)
    else:
        archive = tar_gz(
            tmp_path / "a.tgz", *(member(name, tarfile.SYMTYPE, linkname=to) for name, to in links.items())
        )
    unpacked(archive, target)
    assert {path.name: str(path.readlink()) for path in target.iterdir()} == links


# --- bombs
def test_a_gzip_bomb_stops_at_the_limit(tmp_path: Path, target: Path) -> None:
    bomb = tar_gz(tmp_path / "a.tgz", member("bomb", data=bytes(64 * MIB)))
    assert bomb.stat().st_size < MIB
    with pytest.raises(BadInput, match=r"unpacks to more than 4,194,304 bytes, at 'bomb'") as caught:
        unpacked(bomb, target)
    assert caught.value.details == {"limit": 4 * MIB, "entry": "bomb"}
    assert list(target.iterdir()) == []


def test_a_zip_bomb_stops_at_the_limit(tmp_path: Path, target: Path) -> None:
    bomb = zipped(tmp_path / "a.zip", ("bomb", bytes(64 * MIB), 0o100644))
    with pytest.raises(BadInput, match=r"unpacks to more than 4,194,304 bytes, at 'bomb'"):
        unpacked(bomb, target)


def test_zip_entries_that_share_their_content_are_each_counted(tmp_path: Path, target: Path) -> None:
    """David Fifield's bomb: many names in the directory, all of one piece of data."""
    plain = zipped(tmp_path / "a.zip", ("n00", bytes(MIB), 0o100644)).read_bytes()
    at, end = plain.index(b"PK\1\2"), plain.index(b"PK\5\6")
    central = b"".join(plain[at:end].replace(b"n00", b"n%02d" % i) for i in range(50))
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 50, 50, len(central), at, 0)
    (tmp_path / "b.zip").write_bytes(plain[:at] + central + tail)
    with pytest.raises(BadInput, match=r"more than 4,194,304 bytes, at 'n04'"):
        unpacked(tmp_path / "b.zip", target)


@pytest.mark.parametrize("make", [
    lambda path: tar_gz(path / "a.tgz", *(member(f"f{i}") for i in range(200))),
    lambda path: tar_gz(path / "a.tgz", *(member("same", tarfile.DIRTYPE) for _ in range(200))),
    lambda path: tar_gz(path / "a.tgz", *(member("/".join(f"{i}{d}" for d in range(60))) for i in range(4))),
    lambda path: zipped(path / "a.zip", *((f"f{i}", b"", 0o100644) for i in range(200))),
    lambda path: zipped(path / "a.zip", *((f"__MACOSX/{i}", b"", 0o100644) for i in range(200))),
])  # fmt: skip
def test_too_many_entries_stop_at_the_limit(tmp_path: Path, target: Path, make: Callable[[Path], Path]) -> None:
    with pytest.raises(BadInput, match=r"more than 100 files and folders"):
        unpacked(make(tmp_path), target)
    assert list(target.iterdir()) == []


def test_headers_without_end_stop_as_well(tmp_path: Path, target: Path) -> None:
    block = bytearray(tarfile.TarInfo("x").tobuf()[:512])
    block[124:136], block[156:157], block[148:156] = b"%011o\0" % MIB, b"x", b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    record = b"%d c=%s\n" % (MIB, b"c" * (MIB - 11))
    (tmp_path / "a.tgz").write_bytes(gzip.compress((bytes(block) + record) * 20, 1))
    with pytest.raises(BadInput, match="unpacks to more than"):
        unpacked(tmp_path / "a.tgz", target)


# --- damaged
@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
@pytest.mark.parametrize(
    "data", [b"", b"hello" * 200, gzip.compress(b"hello" * 200, mtime=0), b"PK\5\6" + bytes(18 + 4)]
)
def test_what_is_no_archive(tmp_path: Path, target: Path, kind: str, data: bytes) -> None:
    archive = tmp_path / ("a.zip" if kind == "zip" else "a.tgz")
    archive.write_bytes(data)
    if kind == "zip" and data.startswith(b"PK\5\6"):
        assert unpacked(archive, target).files == 0  # an empty zip, with a comment
        return
    with pytest.raises(BadInput):
        unpacked(archive, target)


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
def test_a_damaged_archive_is_told_apart_from_a_crash(tmp_path: Path, target: Path, suffix: str) -> None:
    if suffix == ".zip":
        whole = zipped(tmp_path / "a.zip", ("a", os.urandom(3000), 0o100644), ("b", b"b" * 900, 0)).read_bytes()
    else:
        whole = tar_gz(tmp_path / "a.tgz", member("a", data=os.urandom(3000)), member("b")).read_bytes()
    archive = tmp_path / f"broken{suffix}"
    for cut in range(1, len(whole) - 1, 97):
        archive.write_bytes(whole[:cut])
        with pytest.raises(BadInput):
            unpacked(archive, target)
    archive.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    with pytest.raises(BadInput, match=r"damaged|checksum"):
        unpacked(archive, target)


def test_an_encrypted_zip_says_so(tmp_path: Path, target: Path) -> None:
    data = bytearray(zipped(tmp_path / "a.zip", ("a", b"1", 0o100644)).read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(BadInput, match="'a' is encrypted"):
        unpacked(tmp_path / "a.zip", target)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(Conflict, match="holds something already"):
        unpacked(tar_gz(tmp_path / "a.tgz", member("a")), tmp_path)
    assert (tmp_path / "mine").exists()
