"""The unit that bin/up --systemd writes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from paas.host import programs, systemd
from paas.host.installation import Installation
from paas.isolation.capabilities import mask
from paas.isolation.control_plane import NOT_EVEN_ROOT
from paas.paths import Paths

ROOT = Path(__file__).resolve().parents[2]


HERE = Installation(ROOT, Paths(state=Path("/s/tate"), run=Path("/r/un")))
TEXT = systemd.unit(HERE)


def unit() -> dict[str, str]:
    """Its lines, by name."""
    return dict(line.split("=", 1) for line in TEXT.splitlines() if "=" in line and not line.startswith("#"))


def test_its_commands_exist_and_take_their_options() -> None:
    for name in ("ExecStart", "ExecStop"):
        program, *options = unit()[name].split()
        known = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
        assert [option for option in options if option not in known] == []


def test_it_is_this_installations() -> None:
    assert unit()["Environment"] == "BERTH_STATE=/s/tate BERTH_RUN=/r/un"
    assert unit()["PIDFile"] == str(HERE.supervisor_pid)
    assert systemd.is_of(TEXT, HERE)
    assert not systemd.is_of(TEXT, Installation(ROOT, Paths(state=Path("/s"), run=Path("/r/un"))))


def test_containers_outlive_it() -> None:
    assert unit()["KillMode"] == "process"


def test_it_has_no_right_that_its_programs_may_not_have() -> None:
    refused = unit()["CapabilityBoundingSet"].removeprefix("~").split()
    assert mask(refused) == NOT_EVEN_ROOT
    words = {f"-{name.removeprefix('CAP_').lower()}" for name in refused}
    assert set(programs.NOT_EVEN_ROOT.split(",")) == words


@pytest.mark.parametrize(
    ("cgroups", "within"),
    [
        ("0::/system.slice/berth.service\n", True),
        ("0::/user.slice/user-0.slice/session-1.scope\n", False),
        ("3:cpu:/system.slice\n1:name=systemd:/system.slice/berth.service\n0::/\n", True),
        ("0::/system.slice/other-berth.service\n", False),
    ],
)
def test_the_units_own_bin_up_starts_the_processes_itself(cgroups: str, within: bool) -> None:
    assert systemd.is_within(cgroups) is within
