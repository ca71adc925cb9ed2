"""What a host offers: everything is said, and nothing is left behind by looking."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paas.linux import cgroup_use, probe, trials
from paas.linux.cgroups import Tree, host_tree
from paas.linux.command import run

ROOT = Path(__file__).parents[2]


@pytest.mark.kernel
def test_survey_says_everything(tmp_path: Path) -> None:
    found = {row.name: row for row in probe.survey(tmp_path / "not" / "yet")}
    assert {"cgroups", "controller memory", "user namespaces", "id-mapped mounts", "nftables", "NFLOG"} <= set(
        found
    )
    assert {"swap", "swap accounting", "crun", "conmon", "criu", "disk space", "CAP_SYS_RESOURCE"} <= set(found)
    assert {"disk limits", f"controller {'io' if host_tree().version == 2 else 'blkio'}"} <= set(found)
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


@pytest.mark.parametrize("tree", [Tree(1, ()), Tree(2, ())])
def test_a_disk_that_no_controller_limits_is_said(tmp_path: Path, tree: Tree) -> None:
    row = probe.disk_limits(tree, tmp_path)
    assert (row.present, row.required) == (False, False)


def test_files_without_a_disk_are_said() -> None:
    """As on tmpfs: neither limits nor shares can be."""
    row = probe.disk_limits(host_tree(), Path("/dev/shm"))
    assert (row.present, row.found) == (False, "no disk is known to hold /dev/shm")
    assert probe.disk_shares(host_tree(), Path("/dev/shm")) == []


def test_what_cgroup_v1_cannot_do_is_said() -> None:
    rows = {version: {row.name: row for row in probe.cgroups(Tree(version, ()))} for version in (1, 2)}
    assert "cgroup v2" not in rows[2] and not rows[1]["cgroup v2"].present
    assert "no lower limits" in rows[1]["cgroup v2"].cost
    assert rows[1]["waits for disks"].present == cgroup_use.delays_are_counted()
