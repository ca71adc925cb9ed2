"""What a container writes: kept small, counted, and of no effect on whoever reads it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest

from paas.logs import LINE_MAX
from paas.runtime.conmon import LOG_SIZE_MAX
from tests.e2e.hostile.conftest import Attack
from tests.e2e.hostile.tenant import APP, SLUG, Hostile
from tests.e2e.platform import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]
MIB = 1024 * 1024


def sizes(mallory: Hostile) -> int:
    """Of the largest log of any container."""
    logs = Path(mallory.platform.environment["BERTH_STATE"], "logs", "containers")
    return max(file.stat().st_size for file in logs.iterdir())


def test_a_flood(mallory: Hostile, attack: Attack, seconds: float) -> None:
    with attack("log flood"):
        run = mallory.start("python3", "output.py", "flood", str(seconds + 2))
        ended = mallory.ended(run)
    assert ended["exit_code"] == 0
    lines, dropped = mallory.kept(run)
    assert dropped > 0 and any(line["stream"] == "berth" for line in lines)
    assert sizes(mallory) <= LOG_SIZE_MAX + 65536


def test_one_endless_line(mallory: Hostile, attack: Attack, seconds: float) -> None:
    """A hundred MiB of it a second that an attack may take: a GiB where ten are asked for."""
    with attack("one line of a GB"):
        run = mallory.start("python3", "output.py", "one_line", str(100 * seconds))
        ended = mallory.ended(run)
    assert ended["exit_code"] == 0
    lines, dropped = mallory.kept(run)
    assert dropped > 0
    # What came last is dropped with the rest when it came too fast. Then the log says so, beside the torn line.
    assert lines[-1]["text"][-5:] == "after" or "berth" in {line["stream"] for line in lines[-2:]}
    assert max(len(line["text"]) for line in lines) <= LINE_MAX
    assert sizes(mallory) <= LOG_SIZE_MAX + 65536


def test_tricks_on_terminals(mallory: Hostile, attack: Attack) -> None:
    """`berth run` writes to the very terminal that is to be tricked."""
    env = {**os.environ, "BERTH_URL": mallory.platform.dashboard, "BERTH_TOKEN": mallory.token}
    argv = [
        sys.executable,
        "-m",
        "berth_cli.main",
        "run",
        f"{SLUG}/{APP}",
        "--",
        "python3",
        "output.py",
        "tricks",
    ]
    with attack("ANSI, OSC, bidi"):
        done = subprocess.run(
            [*argv, "0"],
            env={**env, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=True,
        )
    shown = done.stdout.decode()
    assert "red" in shown and "link" in shown
    assert {c for c in shown if unicodedata.category(c) in ("Cc", "Cf")} == {"\n"}


def test_who_ignores_sigterm_is_killed(mallory: Hostile, attack: Attack, stubborn: str, seconds: float) -> None:
    """Another one begins to ignore it for the table; the end of its ten seconds nobody waits for."""
    with attack("ignoring SIGTERM"):
        mallory.ignores_the_end()
        time.sleep(seconds)
        ended = mallory.ended(stubborn)
    assert (ended["status"], ended["exit_code"]) == ("cancelled", 137)
