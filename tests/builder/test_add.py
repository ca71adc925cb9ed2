"""ADD of archives, told by their content and unpacked into real overlays; hostile ones are refused by name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from paas.builder import copying
from paas.errors import BadInput
from tests.builder.conftest import Bench

pytestmark = pytest.mark.kernel
NAME = "security.capability"
CAPABILITIES = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep
LINK, HARD, FIFO, DEVICE = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.BLKTYPE


def member(
    name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, **facts: object
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.mtime = len(content), kind, 1_000_000_000
    for key, value in facts.items():
        setattr(info, key, value)
    return info, content


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True).stdout


PLAIN = tar(
    member("top", b"T", uid=1000, gid=50, mode=0o640),
    member("sub", kind=tarfile.DIRTYPE, mode=0o711, uid=7, gid=8),
    member("sub/f", b"F", mode=0o4755, uid=9),
    member("sub/link", kind=LINK, linkname="/etc/passwd"),
    member("sub/hard", kind=HARD, linkname="sub/f"),
    member("implied/g", b"G"),
)
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "two xz streams": lambda data: lzma.compress(data[:700]) + bytes(8) + lzma.compress(data[700:]),
    "two bzip2 streams": lambda data: bz2.compress(data[:700]) + bz2.compress(data[700:]),
}


def dockerfile(*lines: str) -> str:
    return "\n".join(["FROM debian:12", *lines, 'CMD ["x"]'])


@pytest.mark.parametrize("name", PACKERS)
def test_an_archive_is_unpacked_whatever_its_name(bench: Bench, name: str) -> None:
    image = bench.build(
        {"Dockerfile": dockerfile("ADD --chown=app:staff --chmod=600 any /new/x"), "any": PACKERS[name](PLAIN)}
    ).image
    top = bench.look(image, "new/x")

    def facts(path: str) -> tuple[int, int, int]:
        found = (top / path).stat(follow_symlinks=False)
        return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)

    assert (top / "sub/f").read_text() == "F"
    assert facts("top") == (1000, 50, 0o640)
    assert facts("sub") == (7, 8, 0o711)
    assert facts("sub/f") == facts("sub/hard") == (9, 0, 0o4755)
    assert (top / "sub/f").stat().st_ino == (top / "sub/hard").stat().st_ino
    assert str((top / "sub/link").readlink()) == "/etc/passwd"
    # Where the archive says nothing, --chown does.
    assert facts(".") == facts("implied") == (1000, 50, 0o755)
    assert (top / "top").stat().st_mtime == 1_000_000_000


def test_what_is_no_archive_or_is_not_to_be_unpacked_is_copied(bench: Bench) -> None:
    files: dict[str, str | bytes] = {
        "Dockerfile": dockerfile(
            "ADD empty.tar half.tar.gz text.gz short /a/", "ADD --unpack=false real.tar /b", "COPY real.tar /c/"
        ),
        "empty.tar": b"",
        "half.tar.gz": gzip.compress(PLAIN)[:20],
        "text.gz": gzip.compress(b"text" * 200),
        "short": b"\x1f\x8b",
        "real.tar": PLAIN,
    }
    image = bench.build(files).image
    for name in ("a/empty.tar", "a/half.tar.gz", "a/text.gz", "a/short", "b", "c/real.tar"):
        assert bench.look(image, name).read_bytes() == files[Path(name).name if name != "b" else "real.tar"]


def test_it_goes_over_what_is_there(bench: Bench) -> None:
    """As `tar -x`: folders are merged, files and links replaced, and none of them is followed."""
    bench.base(
        "full:1",
        {
            "x/sub/kept": "kept",
            "x/sub/f": "old",
            "x/link@": "/etc",
            "x/to@": "sub",
            "etc/passwd": "root:x:0:0::/:\n",
        },
    )
    archive = tar(
        member("sub", kind=tarfile.DIRTYPE, mode=0o700),
        member("sub/f", b"new"),
        member("link", b"a file now"),
        member("to", kind=tarfile.DIRTYPE, mode=0o755),
        member("to/f", b"in a folder"),
    )
    image = bench.build({"Dockerfile": "FROM full:1\nADD a.tar /x\nCMD x", "a.tar": archive}).image
    top = bench.store.layer_path(image.layers[-1])
    assert [bench.read(image, f"x/{name}") for name in ("sub/f", "link", "to/f")] == [
        "new",
        "a file now",
        "in a folder",
    ]
    assert not (top / "etc").exists()
    assert stat.S_IMODE((top / "x/sub").stat().st_mode) == 0o700
    assert bench.read(image, "x/sub/kept") == "kept"


def test_the_folder_that_was_packed_says_how_the_one_it_goes_into_is(bench: Bench) -> None:
    """Also one that is there, or that a link leads to; `/` itself is in no layer."""
    old, new = (
        member("./", kind=tarfile.DIRTYPE, uid=uid, gid=uid + 1, mode=mode)
        for uid, mode in ((5, 0o700), (12, 0o2710))
    )
    bench.base("full:1", {"there/k": "", "link@": "there2", "there2/k": "", "etc/passwd": "a:x:1000:1::/:\n"})
    lines = [f"ADD one {path}" for path in ("/new/deep", "/there", "/link", "/")]
    lines += ["ADD --chown=a --chmod=700 two /own", "ADD none /none"]
    image = bench.build(
        {
            "Dockerfile": "\n".join(["FROM full:1", *lines, "CMD x"]),
            "one": tar(new, member("f", b"")),
            "two": tar(old, member("f", b""), new),
            "none": tar(member("f", b"")),
        }
    ).image

    def facts(root: Path) -> dict[str, tuple[int, int, int, float]]:
        found = {path: (root / path).stat() for path in ("new", "new/deep", "there", "there2", "own", "none")}
        return {path: (s.st_uid, s.st_gid, stat.S_IMODE(s.st_mode), s.st_mtime) for path, s in found.items()}

    made = bench.merged(image, facts)
    packed = (12, 13, 0o2710, 1_000_000_000)
    assert [made[path] for path in ("new/deep", "there", "there2", "own")] == [packed] * 4
    assert made["new"][:3] == made["none"][:3] == (0, 0, 0o755)
    assert bench.look(image, "link").is_symlink()


def test_capabilities_of_an_archive_are_kept_and_no_other_attribute(bench: Bench) -> None:
    attributes = {"SCHILY.xattr.security.capability": CAPABILITIES.decode(), "SCHILY.xattr.user.note": "x"}
    archive = tar(
        member("tool", b"T", mode=0o755, uid=9, pax_headers=attributes),
        member("alias", kind=HARD, linkname="tool"),
    )
    image = bench.build({"Dockerfile": dockerfile("ADD --chown=app a /x/"), "a": archive}).image
    for name in ("x/tool", "x/alias"):
        path = bench.look(image, name)
        assert {key: os.getxattr(path, key) for key in os.listxattr(path)} == {NAME: CAPABILITIES}
    damaged = tar(member("tool", b"T", pax_headers={"SCHILY.xattr.security.capability": "damaged"}))
    with pytest.raises(BadInput, match=r"line 2: ADD a /x/: entry 'tool' has capabilities that"):
        bench.build({"Dockerfile": dockerfile("ADD a /x/"), "a": damaged})


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([member(".", b"x")], "would replace its own root folder"),
        ([member("./", kind=tarfile.DIRTYPE, uid=70_000)], "an id above 65,535"),
        ([member("../up", b"x")], "'../up' points outside"),
        ([member("a/../../up", b"x")], "points outside"),
        ([member("/etc/passwd", b"x")], "'/etc/passwd' has an absolute name"),
        ([member("l", kind=LINK, linkname="/etc"), member("l/passwd", b"x")], "'l/passwd' lies beneath 'l'"),
        ([member("l", kind=LINK, linkname=".."), member("l/l/etc/passwd", b"x")], "lies beneath 'l'"),
        ([member("h", kind=HARD, linkname="../etc/passwd")], "is a hard link to '../etc/passwd'"),
        ([member("h", kind=HARD, linkname="/etc/passwd")], "is a hard link to '/etc/passwd'"),
        ([member("h", kind=HARD, linkname="none")], "no file before it"),
        (
            [member("etc", kind=LINK, linkname="/etc"), member("h", kind=HARD, linkname="etc/passwd")],
            "no file before it",
        ),
        ([member("disk", kind=DEVICE, devmajor=254)], "'disk' is a device or a named pipe"),
        ([member("pipe", kind=FIFO)], "'pipe' is a device or a named pipe"),
        ([member("a\x1bb", b"")], "control character"),
        ([member("f", b"", uid=70_000)], "an id above 65,535"),
        ([member("/".join("d" * 200), b"")], "more than 128 folders deep"),
    ],
)
def test_a_hostile_archive_is_refused_with_the_entrys_name(
    bench: Bench, members: list[tuple[tarfile.TarInfo, bytes]], words: str
) -> None:
    archive = tar(member("first", b""), *members)
    with pytest.raises(BadInput) as caught:
        bench.build({"Dockerfile": dockerfile("ADD a /x/"), "a": gzip.compress(archive)})
    assert caught.value.summary.startswith("Dockerfile, line 2: ADD a /x/: ")
    assert words in caught.value.summary
    assert not list((bench.folder / "rootfs").glob("*/root/*"))


def test_a_link_of_the_image_is_not_followed_either(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    bench.base("hostile:1", {"x/l@": str(tmp_path / "outside")})
    files: dict[str, str | bytes] = {
        "Dockerfile": "FROM hostile:1\nADD a /x\nCMD x",
        "a": tar(member("l/f", b"x")),
    }
    with pytest.raises(BadInput, match="'l/f' lies beneath 'l', which is no folder"):
        bench.build(files)
    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.parametrize(
    "packed", [gzip.compress, bz2.compress, lzma.compress, zstd], ids=["gz", "bz2", "xz", "zst"]
)
def test_bombs_meet_the_layers_limits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, packed: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(copying, "MAX_LAYER_BYTES", 1024**2)
    monkeypatch.setattr(copying, "MAX_LAYER_FILES", 1000)
    big, many = tar(member("big", bytes(2 * 1024**2))), tar(*(member(f"f{n}") for n in range(1200)))
    for archive, words in (
        (big, "unpacks to more than 1,048,576 bytes, at 'big'"),
        (many, "more than 1,000 files"),
    ):
        with pytest.raises(BadInput, match=words):
            bench.build({"Dockerfile": dockerfile("ADD a /x/"), "a": packed(archive)})


@pytest.mark.parametrize(
    "packed", [gzip.compress, bz2.compress, lzma.compress, zstd], ids=["gz", "bz2", "xz", "zst"]
)
def test_a_damaged_archive_is_said_to_be(bench: Bench, packed: Callable[[bytes], bytes]) -> None:
    data = packed(tar(member("f", bytes(range(256)) * 5000)))
    for broken in (data[:-12], data[:-6] + b"damage"):
        with pytest.raises(BadInput, match=r"line 2: ADD a /x/: archive (is damaged|ends)"):
            bench.build({"Dockerfile": dockerfile("ADD a /x/"), "a": broken})
