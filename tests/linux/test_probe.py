"""What a host offers: everything is said, and nothing is left behind by looking."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paas.linux import probe, trials
from paas.linux.cgroups import Tree
from paas.linux.command import run

ROOT = Path(__file__).parents[2]


@pytest.mark.kernel
def test_survey_says_everything(tmp_path: Path) -> None:
    found = {row.name: row for row in probe.survey(tmp_path / "not" / "yet")}
    assert {"cgroups", "controller memory", "user namespaces", "id-mapped mounts", "nftables", "NFLOG"} <= set(
        found
    )
    assert {"swap", "swap accounting", "crun", "conmon", "criu", "disk space", "CAP_SYS_RESOURCE"} <= set(found)
    assert all(row.found and row.cost and row.remedy for row in found.values())
    assert [row.name for row in found.values() if row.required and not row.present] == []


def test_what_is_missing_is_said() -> None:
    rows = probe.kernel(dict.fromkeys(trials.NAMES, "cannot try: unshare: Operation not permitted"))
    assert not any(row.present for row in rows)
    assert {row.name for row in rows if not row.required} == {"NFLOG"}


@pytest.mark.parametrize(
    ("status", "has"), [("CapEff:\t000001ffffffffff\n", True), ("CapEff:\t0\n", False), ("", False)]
)
def test_has_capability(status: str, has: bool) -> None:
    assert probe.has_capability(status, probe.CAP_SYS_RESOURCE) is has


@pytest.mark.kernel
def test_looking_leaves_nothing_in_the_run_folder() -> None:
    """crun makes a folder of its own there even to say its version."""
    program = "from pathlib import Path; from paas.linux import probe; probe.survey(Path('/var/lib'))"
    script = f'mount -t tmpfs none /run && "{sys.executable}" -c "{program}" && ls -A /run'
    done = run(["unshare", "--mount", "--", "sh", "-c", script], cwd=ROOT)
    assert done.stdout == ""


@pytest.fixture
def sys_block(tmp_path: Path) -> Path:
    """/sys as for a state folder on a logical volume on a partition of a disk, and a v2 tree."""
    disk = tmp_path / "devices" / "sda"
    (disk / "sda2").mkdir(parents=True)
    (disk / "sda2" / "partition").write_text("2\n")
    (disk / "dev").write_text("8:0\n")
    (disk / "queue").mkdir()
    slaves = tmp_path / "devices" / "dm-0" / "slaves"
    slaves.mkdir(parents=True)
    (slaves / "sda2").symlink_to(disk / "sda2")
    return tmp_path


def test_the_disk_below_a_volume_is_found(sys_block: Path) -> None:
    assert probe._disks(sys_block / "devices" / "dm-0") == [sys_block / "devices" / "sda"]
    assert probe._disks(sys_block / "devices" / "absent") == []


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
    assert probe._is_shared(disk, Tree(2, (("io", sys_block),))) is shared
