"""The unit that bin/up --systemd writes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from paas.host import systemd
from paas.host.installation import Installation
from paas.paths import Paths

ROOT = Path(__file__).resolve().parents[2]


def unit() -> dict[str, str]:
    """Its lines, by name."""
    text = systemd.unit(Installation(ROOT, Paths(state=Path("/s/tate"), run=Path("/r/un"))))
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def test_its_commands_exist_and_take_their_options() -> None:
    for name in ("ExecStart", "ExecStop"):
        program, *options = unit()[name].split()
        known = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
        assert [option for option in options if option not in known] == []


def test_it_is_this_installations() -> None:
    assert unit()["Environment"] == "BERTH_STATE=/s/tate BERTH_RUN=/r/un"
    assert unit()["PIDFile"] == "/r/un/supervisor/pid"


def test_containers_outlive_it() -> None:
    assert unit()["KillMode"] == "process"
