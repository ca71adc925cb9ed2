"""Berth's swap file: made, grown, used again after a reboot, and gone when it is no longer wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.errors import BadInput, HostProblem
from paas.host import swap, zram
from paas.host.installation import Installation
from paas.host.swap import Wanted
from paas.linux.command import run
from paas.paths import Paths

MIB = 1024 * 1024
GIB = 1024 * MIB


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    found = Installation(tmp_path, Paths(state=tmp_path / "a state", run=tmp_path / "run"))
    found.paths.state.mkdir()
    yield found
    swap.remove(found)


def test_nothing_is_made_unasked(here: Installation) -> None:
    swap.ensure(here, "0", print)
    assert not here.swap.exists()


@pytest.mark.kernel
def test_it_is_made_once_and_used(here: Installation) -> None:
    said: list[str] = []
    swap.ensure(here, "64M", said.append)
    found = here.swap.stat()
    assert (found.st_size, found.st_mode & 0o777, found.st_blocks * 512 >= 64 * MIB) == (64 * MIB, 0o600, True)
    assert swap.is_on(here.swap)
    swap.ensure(here, "64M", said.append)
    swap.ensure(
        here, "auto", said.append
    )  # what is there stays as it is, however the disk has filled meanwhile
    assert (said, here.swap.stat().st_ino) == (["making 64 MiB"], found.st_ino)
    run(["swapoff", here.swap])  # as after a reboot
    swap.ensure(here, "64M", said.append)
    assert swap.is_on(here.swap) and here.swap.stat().st_ino == found.st_ino


@pytest.mark.kernel
def test_another_size_and_none(here: Installation) -> None:
    swap.ensure(here, "64M", print)
    swap.ensure(here, "96M", print)
    assert here.swap.stat().st_size == 96 * MIB and swap.is_on(here.swap)
    swap.ensure(here, "0", print)
    assert not here.swap.exists() and not swap.is_on(here.swap)


@pytest.mark.kernel
def test_more_than_the_disk_has(here: Installation) -> None:
    with pytest.raises(HostProblem, match="do not fit"):
        swap.ensure(here, "999999999G", print)
    assert list(here.paths.state.iterdir()) == []


@pytest.mark.kernel
def test_in_memory_compressed_and_back_in_a_file(here: Installation, tmp_path: Path) -> None:
    said: list[str] = []
    id = zram.id_of(here.paths.state)
    swap.ensure(here, "64M", said.append)
    swap.ensure(here, "zram:64M", said.append)
    device = zram.find(id)
    assert device and zram.size(device) == 64 * MIB and swap.is_on(device) and not here.swap.exists()
    assert zram.find(zram.id_of(tmp_path)) is None, "another copy's is not ours"
    for again in ("zram:64M", "zram"):
        swap.ensure(here, again, said.append)
    assert zram.find(id) == device and len(said) == 2
    swap.ensure(here, "zram:96M", said.append)
    device = zram.find(id)
    assert device and zram.size(device) == 96 * MIB and swap.is_on(device)
    swap.ensure(here, "64M", said.append)
    assert zram.find(id) is None and swap.is_on(here.swap) and not swap.is_on(device)
    swap.ensure(here, "zram:64M", said.append)
    swap.off(here)  # as bin/down --all does
    assert not swap.exists(here)


@pytest.mark.kernel
def test_what_zram_does_not_take_leaves_no_device(here: Installation) -> None:
    before = sorted(zram.BLOCK.glob("zram*"))
    with pytest.raises(HostProblem, match="cannot set up /dev/zram"):
        zram.make(zram.id_of(here.paths.state), 4096)  # too small for a swap header
    assert sorted(zram.BLOCK.glob("zram*")) == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8",
        "8g",
        "-8G",
        "63M",
        "0G",
        "8 G",
        "lots",
        "9999999999G",
        "8G; id",
        "zram:",
        "zram:0",
        "zram:8",
        "ZRAM",
    ],
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(BadInput, match="is not a size of swap"):
        swap.parse(text)


@pytest.mark.parametrize(
    ("memory", "free", "size"), [(24 * GIB, 60 * GIB, 15 * GIB), (4 * GIB, 900 * GIB, 4 * GIB)]
)
def test_a_sane_size(memory: int, free: int, size: int) -> None:
    assert swap.sane(memory, free) == size


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0", Wanted(0)),
        ("auto", Wanted(None)),
        ("512M", Wanted(512 * MIB)),
        ("zram", Wanted(None, in_memory=True)),
        ("zram:4G", Wanted(4 * GIB, in_memory=True)),
    ],
)
def test_what_is_wanted(text: str, wanted: Wanted) -> None:
    assert swap.parse(text) == wanted


def test_a_sane_size_in_memory() -> None:
    assert swap.sane_in_memory(24 * GIB + 4096) == 12 * GIB


def test_no_room_for_a_sane_size() -> None:
    with pytest.raises(HostProblem, match="no room for 1 GiB"):
        swap.sane(8 * GIB, 3 * GIB)
