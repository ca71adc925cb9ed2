"""Layers that come as tar streams from elsewhere: any compression, whiteouts, and nothing believed."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import subprocess

import pytest

from paas.errors import BadInput
from paas.images import Store
from paas.oci.tar import END, TarEntry, encode, padding
from tests.images.conftest import open_descriptors

pytestmark = pytest.mark.kernel


def tar(*entries: TarEntry, data: bytes = b"") -> bytes:
    body = b"".join(
        encode(entry) + (data + bytes(padding(len(data))) if entry.size else b"") for entry in entries
    )
    return body + END + bytes(8192)  # as GNU tar pads to a record


def modes(store: Store, diff_id: str) -> dict[str, str]:
    """Path -> "dir", "opaque", "whiteout" or "other"."""
    root = store.layer_path(diff_id)
    found = {}
    for path in root.rglob("*"):
        mode = path.lstat().st_mode
        kind = "whiteout" if stat.S_ISCHR(mode) and path.lstat().st_rdev == 0 else "other"
        if stat.S_ISDIR(mode):
            kind = "opaque" if "trusted.overlay.opaque" in os.listxattr(path) else "dir"
        found[str(path.relative_to(root))] = kind
    return found


def imported(store: Store, *entries: TarEntry) -> dict[str, str]:
    return modes(store, store.import_layer(io.BytesIO(tar(*entries))).diff_id)


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True, timeout=30).stdout


def test_the_diff_id_is_that_of_the_plain_stream_whatever_the_compression(store: Store) -> None:
    plain = tar(TarEntry("a", size=100_000), data=os.urandom(100_000))
    before = open_descriptors()
    made = [store.import_layer(io.BytesIO(form)) for form in (plain, gzip.compress(plain), zstd(plain))]
    assert {info.diff_id for info in made} == {f"sha256:{hashlib.sha256(plain).hexdigest()}"}
    assert made[0].tar_bytes == len(plain)
    assert open_descriptors() == before


def test_a_stream_that_is_not_what_was_promised_is_not_kept(store: Store) -> None:
    with pytest.raises(BadInput, match="layer has DiffID"):
        store.import_layer(io.BytesIO(tar(TarEntry("a"))), expected="sha256:" + "0" * 64)
    assert list((store.root / "layers").iterdir()) == []


def test_a_small_stream_cannot_ask_for_much_memory(store: Store) -> None:
    """zstd's window is what its reader must hold; up to 2 GiB can be asked for."""
    argv = ["zstd", "-qc", "--long=27"]
    greedy = subprocess.run(argv, input=tar(TarEntry("a")), stdout=subprocess.PIPE, check=True).stdout
    with pytest.raises(BadInput, match="requires too much memory"):
        store.import_layer(io.BytesIO(greedy))


def test_damaged_compression(store: Store) -> None:
    plain = tar(TarEntry("a", size=100_000), data=os.urandom(100_000))
    for damaged in (gzip.compress(plain)[:-20], b"\x1f\x8b" + os.urandom(100)):
        with pytest.raises(BadInput):
            store.import_layer(io.BytesIO(damaged))
    with pytest.raises(BadInput):
        store.import_layer(io.BytesIO(zstd(plain)[:-20]))
    assert list((store.root / "layers").iterdir()) == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd])
def test_a_bomb_stops_at_the_limit(store: Store, pack: object) -> None:
    bomb = tar(TarEntry("a", size=64 * 2**20), data=bytes(64 * 2**20))
    packed = pack(bomb)  # type: ignore[operator]
    with pytest.raises(BadInput, match="layer unpacks to more than 8,388,608 bytes"):
        store.import_layer(io.BytesIO(packed), max_bytes=8 * 2**20)
    with pytest.raises(BadInput, match="layer holds more than 3 files"):
        store.import_layer(io.BytesIO(tar(*(TarEntry(f"{i}") for i in range(5)))), max_files=3)


# --- whiteouts
def test_whiteouts_take_the_form_of_overlayfs(store: Store) -> None:
    found = imported(
        store, TarEntry("d", "dir"), TarEntry("d/.wh.gone"), TarEntry("e/.wh..wh..opq"), TarEntry(".wh.x")
    )
    assert found == {"d": "dir", "d/gone": "whiteout", "e": "opaque", "x": "whiteout"}


def test_a_whiteout_is_about_the_layers_below_in_either_order(store: Store) -> None:
    hidden_first = imported(store, TarEntry(".wh.d"), TarEntry("d", "dir"), TarEntry("d/new"))
    hidden_last = imported(store, TarEntry("d", "dir"), TarEntry("d/new"), TarEntry(".wh.d"))
    without_folder = imported(store, TarEntry(".wh.d"), TarEntry("d/new"))
    assert hidden_first == hidden_last == without_folder == {"d": "opaque", "d/new": "other"}
    assert imported(store, TarEntry(".wh.f"), TarEntry("f")) == {"f": "other"}
    assert imported(store, TarEntry("f"), TarEntry(".wh.f")) == {"f": "other"}


def test_notes_of_aufs_are_left_out(store: Store) -> None:
    assert imported(store, TarEntry(".wh..wh.plnk", "dir"), TarEntry(".wh..wh.plnk/1"), TarEntry("a")) == {
        "a": "other"
    }


@pytest.mark.parametrize("name", [".wh.", "d/.wh..", "d/.wh...", "d/.wh.x/y"])
def test_a_whiteout_of_nothing_and_a_file_in_a_whiteout(store: Store, name: str) -> None:
    with pytest.raises(BadInput, match=r"is a whiteout of nothing|lies in a whiteout"):
        imported(store, TarEntry(name))


# --- nothing believed
@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([TarEntry("../evil")], "points outside the layer"),
        ([TarEntry("a/../../evil")], "points outside the layer"),
        ([TarEntry("l", "symlink", target="/tmp"), TarEntry("l/evil")], "beneath 'l'"),
        ([TarEntry("l", "symlink", target="/tmp"), TarEntry("l/.wh.evil")], "beneath 'l'"),
        ([TarEntry("l", "symlink", target="/tmp"), TarEntry("l/.wh..wh..opq")], "beneath 'l'"),
        ([TarEntry("h", "link", target="../../etc/passwd")], "points outside the layer"),
        ([TarEntry("h", "link", target="etc/passwd")], "which is no file before it"),
        ([TarEntry(".wh.w"), TarEntry("h", "link", target="w")], "which is no file before it"),
        ([TarEntry("null", "char")], "'null' is a device"),
        ([TarEntry("sda", "block")], "'sda' is a device"),
        ([TarEntry("f", uid=65536)], "belongs to an id above 65,535"),
        ([TarEntry("f", gid=2**31)], "belongs to an id above 65,535"),
    ],
)
def test_a_hostile_layer_is_refused_with_the_entrys_name(
    store: Store, entries: list[TarEntry], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        imported(store, *entries)
    assert list((store.root / "layers").iterdir()) == []


def test_usual_oddities_of_images_are_taken(store: Store) -> None:
    found = imported(
        store,
        TarEntry(".", "dir"),
        TarEntry("./a", "dir"),
        TarEntry("/a/b"),
        TarEntry("dev/null", "char"),  # left out: a container has its own /dev
        TarEntry("soft", "symlink", target="/etc/passwd"),
        TarEntry("hard", "link", target="./a/b"),
        TarEntry("hard-soft", "link", target="soft"),
    )
    assert set(found) == {"a", "a/b", "soft", "hard", "hard-soft"}
