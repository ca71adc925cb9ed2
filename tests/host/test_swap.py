"""Berth's swap file: made, grown, used again after a reboot, and gone when it is no longer wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.errors import BadInput, HostProblem
from paas.host import swap
from paas.host.installation import Installation
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


@pytest.mark.parametrize("text", ["", "8", "8g", "-8G", "63M", "0G", "8 G", "lots", "9999999999G", "8G; id"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(BadInput, match="is not a size of swap"):
        swap.parse(text)


@pytest.mark.parametrize(
    ("memory", "free", "size"), [(24 * GIB, 60 * GIB, 15 * GIB), (4 * GIB, 900 * GIB, 4 * GIB)]
)
def test_a_sane_size(memory: int, free: int, size: int) -> None:
    assert swap.sane(memory, free) == size


def test_no_room_for_a_sane_size() -> None:
    with pytest.raises(HostProblem, match="no room for 1 GiB"):
        swap.sane(8 * GIB, 3 * GIB)
