"""Which disk a folder is on, as /sys tells it; tried on folders like those."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.linux import disks
from paas.linux.cgroups import Tree


@pytest.fixture
def sys_block(tmp_path: Path) -> Path:
    """/sys as for a logical volume on a partition of a disk, and a v2 tree."""
    disk = tmp_path / "devices" / "sda"
    (disk / "sda2").mkdir(parents=True)
    (disk / "sda2" / "partition").write_text("2\n")
    (disk / "dev").write_text("8:0\n")
    (disk / "queue").mkdir()
    slaves = tmp_path / "devices" / "dm-0" / "slaves"
    slaves.mkdir(parents=True)
    (slaves / "sda2").symlink_to(disk / "sda2")
    return tmp_path


@pytest.mark.parametrize(("device", "disk"), [("sda/sda2", "sda"), ("sda", "sda"), ("dm-0", "dm-0")])
def test_a_file_system_is_on_a_whole_disk_or_volume(sys_block: Path, device: str, disk: str) -> None:
    number = sys_block.stat().st_dev
    numbers = sys_block / "dev"
    numbers.mkdir()
    (numbers / f"{os.major(number)}:{os.minor(number)}").symlink_to(sys_block / "devices" / device)
    assert disks.holding(sys_block, numbers) == sys_block / "devices" / disk


def test_files_in_memory_are_on_no_disk() -> None:
    assert disks.holding(Path("/dev/shm")) is None


def test_the_disk_below_a_volume_is_found(sys_block: Path) -> None:
    disk = sys_block / "devices" / "sda"
    assert disks.below(sys_block / "devices" / "dm-0") == disks.below(disk) == [disk]
    assert disks.number(disk) == "8:0"


@pytest.mark.parametrize(
    ("scheduler", "costs", "shared"),
    [
        ("[none] mq-deadline", "", False),
        ("mq-deadline [bfq] none", "", True),
        ("[none]", "8:0 enable=1 ctrl=auto rpct=95.00\n", True),
        ("[none]", "8:0 enable=0 ctrl=auto\n8:00 enable=1\n", False),
    ],
)
def test_a_disk_is_shared_by_bfq_or_by_cost(sys_block: Path, scheduler: str, costs: str, shared: bool) -> None:
    disk = sys_block / "devices" / "sda"
    (disk / "queue" / "scheduler").write_text(scheduler + "\n")
    (sys_block / "io.cost.qos").write_text(costs)
    assert disks.is_shared(disk, Tree(2, (("io", sys_block),))) is shared
