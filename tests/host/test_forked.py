"""What supervisord forks: from a process that is fit for it, and as if it had been executed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from paas.linux import processes

AFTER_IMPORTS = """
import os, sys, threading
from pathlib import Path
import tests.settings
from paas.host import forked
forked.import_all()
files = {os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.exists()}
print(threading.active_count(), len(os.listdir("/proc/self/task")), [it for it in files if it[:7] == "socket:"])
"""
RENAME = """
import os, sys
from paas.linux import processes
processes.rename("worker-transfer", "berth worker-transfer /s")
command = open("/proc/self/cmdline").read().rstrip(chr(0))
print(command, "for", os.environ["BERTH_STATE"], flush=True)
sys.stdin.read()
"""
GIVE_UP = """
from paas.linux import privileges
privileges.give_up("nobody")
privileges.end_with_parent()
print(open("/proc/thread-self/status").read())
"""


def python(source: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_imported_ahead_starts_no_thread_and_opens_no_connection() -> None:
    assert python(AFTER_IMPORTS) == "1 1 []\n"


def test_a_forked_program_is_known_by_its_name(tmp_path: Path) -> None:
    """Its command as ps(1) shows it, its mark in the environment, and nothing beside them."""
    environment = {
        "BERTH_STATE": str(tmp_path),
        **processes.room_for_a_name(),
        "PYTHONPATH": ":".join(sys.path),
    }
    child = subprocess.Popen(
        [sys.executable, "-c", RENAME],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout
        assert child.stdout.readline() == f"berth worker-transfer /s for {tmp_path}\n"
        assert processes.of_installation(tmp_path) == {child.pid: "worker-transfer"}
        child.communicate()


@pytest.mark.kernel
def test_who_gives_up_root_has_nothing_left() -> None:
    pairs = (line.partition(":") for line in python(GIVE_UP).splitlines())
    status = {name: value.split() for name, _, value in pairs}
    assert set(status["Uid"]) == {"65534"} and set(status["Gid"]) == {"65534"} and status["Groups"] == []
    assert {status[kind][0] for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == ["1"]
