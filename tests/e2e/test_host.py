"""What bin/up and bin/down promise: fast the second time, least rights, a clean host at the end."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

import pytest

from paas.host.run_folder import mounted_below
from paas.linux import processes
from paas.linux.cgroups import Cgroup
from tests.e2e.platform import ROOT, Platform
from tests.e2e.test_apps import counting_visits

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]


def supervisord(platform: Platform) -> int:
    return int(Path(platform.environment["BERTH_RUN"], "supervisor", "pid").read_text())


def owners(platform: Platform) -> dict[str, str]:
    """Program -> the user that it runs as, from its process."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        text = status.read_text()
        if f"PPid:\t{supervisord(platform)}\n" in text:
            uid = int(text.partition("Uid:\t")[2].split()[0])
            found[(status.parent / "cmdline").read_text().replace("\0", " ")] = pwd.getpwuid(uid).pw_name
    return found


def test_up_again_takes_seconds_and_changes_nothing(platform: Platform) -> None:
    before = supervisord(platform), platform.containers("hello")
    began = time.monotonic()
    platform.up()
    assert time.monotonic() - began < 15
    after = supervisord(platform), platform.containers("hello")
    assert after[0] == before[0]
    assert [c["id"] for c in after[1]] == [c["id"] for c in before[1]]


def test_a_pid_file_that_systemd_deleted_is_there_again(platform: Platform) -> None:
    """It deletes the file when a start of the unit fails, and waits for it in the next."""
    before = supervisord(platform)
    Path(platform.environment["BERTH_RUN"], "supervisor", "pid").unlink()
    platform.up("--no-example")
    assert supervisord(platform) == before


def test_only_worker_agent_and_waker_are_root(platform: Platform) -> None:
    for line, user in owners(platform).items():
        of_root = line.startswith(("berth worker-", "berth agent ")) or "paas.sleep.waker" in line
        wanted = "root" if of_root else "berth"
        assert user == wanted, line


def test_the_web_process_reaches_neither_images_nor_roots_doors(platform: Platform) -> None:
    state, run = (Path(platform.environment[name]) for name in ("BERTH_STATE", "BERTH_RUN"))
    closed = [
        state / "store" / "layers",
        state / "tenants",
        run / "supervisor" / "socket",
        state / "environment",
    ]
    for path in closed:
        assert path.exists()
        assert _as_berth("test", "-r", str(path)) != 0, path
    assert _as_berth("test", "-r", str(state / "secrets" / "field-keys")) == 0
    assert _as_berth("test", "-w", str(state / "secrets" / "field-keys")) != 0
    assert _as_berth("test", "-w", str(state / "code" / "manage.py")) != 0


def test_apps_outlive_a_killed_supervisord_and_are_adopted(platform: Platform) -> None:
    before = [c["id"] for c in platform.containers("hello") if c["status"] == "running"]
    old = supervisord(platform)
    os.kill(old, signal.SIGKILL)
    time.sleep(2)  # what ends with it has ended
    assert platform.app("hello").status == 200
    platform.up()
    assert supervisord(platform) != old
    assert [c["id"] for c in platform.containers("hello") if c["status"] == "running"] == before
    assert platform.app("hello").status == 200
    workers = [line for line in owners(platform) if line.startswith("berth worker-")]
    assert len(workers) == 3


def test_down_all_leaves_nothing_behind_and_up_brings_it_back(platform: Platform) -> None:
    """Nor does a bin/up in another terminal, which starts again what dies, take it for a death. What is on a
    volume is on the same disk afterwards."""
    platform.create("kept")
    assert platform.deploy("kept", counting_visits())["status"] == "live"
    assert platform.app("kept").body == b"v1 "
    disks = disks_of(platform)
    other = [str(ROOT / "bin/up"), "--no-example"]
    with subprocess.Popen(
        other, env=platform.environment, stdin=subprocess.DEVNULL, stdout=PIPE, text=True
    ) as up:
        assert up.stdout and next(line for line in up.stdout if "Ctrl-C" in line)
        platform.down("--all")
        assert "stopped from elsewhere" in up.stdout.read()
    assert up.returncode == 0
    names = {
        "interfaces": _host("ip", "-o", "link"),
        "routes": _host("ip", "route", "show", "table", "all"),
        "tables": _host("nft", "list", "tables"),
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "loop devices": _host("losetup", "--list"),
    }
    ours = {
        "interfaces": ": be",
        "routes": "10.206.",
        "tables": " beberth",
        "mounts": platform.environment["BERTH_RUN"],
        "loop devices": platform.environment["BERTH_STATE"],
    }
    assert {what: [x for x in text.splitlines() if ours[what] in x] for what, text in names.items()} == {
        what: [] for what in names
    }
    assert not Path(platform.environment["BERTH_RUN"]).exists()
    assert [p for p in Path("/sys/fs/cgroup").glob("**/berth-e2e*") if p.is_dir()] == []
    assert _processes_with(platform.environment["BERTH_STATE"]) == []

    platform.up("--no-example")
    end = time.monotonic() + 60
    while platform.app("hello").status != 200:
        assert time.monotonic() < end
        time.sleep(0.2)
    while (answer := platform.app("kept")).status != 200:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert (answer.body, disks_of(platform)) == (b"v1 v1 ", disks)


def disks_of(platform: Platform) -> dict[str, int]:
    """Each tenant's disk and its inode."""
    folder = Path(platform.environment["BERTH_STATE"], "tenants")
    return {str(disk): disk.stat().st_ino for disk in folder.glob("*/disk.img")}


def test_a_restart_of_the_machine(platform: Platform) -> None:
    """As if it had lost its power: every process and all that the kernel knew of Berth are gone at once. What
    ran runs again, and what was stopped stays stopped."""
    assert platform.api("/apps/demo/kept/scale", "POST", {"formation": {"web": 0}}).status == 200
    assert platform.settled("kept")["status"] == "live"
    before = {name: platform.releases(name) for name in ("hello", "kept")}
    lose_power(platform)
    platform.up("--no-example")
    end = time.monotonic() + 60
    while platform.app("hello").status != 200:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert {name: platform.releases(name) for name in before} == before
    assert platform.containers("kept") == [] and len(platform.containers("hello")) == 1


def lose_power(platform: Platform) -> None:
    state, run = (Path(platform.environment[name]) for name in ("BERTH_STATE", "BERTH_RUN"))
    os.kill(supervisord(platform), signal.SIGKILL)
    while left := processes.of_installation(state):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    slices = Cgroup(platform.environment["BERTH_CGROUP_ROOT"])
    slices.kill()
    slices.remove()
    while links := re.findall(r"^\d+: (be\w+)", _host("ip", "-o", "link"), re.MULTILINE):
        for name in links:  # which may go by itself, with its container
            subprocess.run(["ip", "link", "delete", name], stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["nft", "delete", "table", "inet", "beberth"], check=True)
    for route in re.findall(r"^\S+ 10\.206\.\S+", _host("ip", "route"), re.MULTILINE):
        subprocess.run(["ip", "route", "delete", *route.split()], check=True)
    for point in reversed(mounted_below(run, Path("/proc/self/mountinfo").read_text())):
        subprocess.run(["umount", "--lazy", point], check=True)
    shutil.rmtree(run)


def test_check_finds_all_that_is_needed(platform: Platform) -> None:
    """What is missing has its cost and remedy below; tests/host has all that can be missing."""
    rows, _, rest = platform._script("up", "--check").partition("\n\n")
    found = {}
    for row in re.split(r"\n(?=  \S )", rows):
        line, *below = row.splitlines()
        match = re.fullmatch(r"  ([✓✗]) (.+?)  +\S.*", line)
        assert match, line
        found[match[2]] = match[1]
        assert match[1] == "✓" if not below else len(below) >= 2, row
    is_unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    controllers = ("memory", "cpu", "pids", "cpuset", "io" if is_unified else "blkio")
    must = ("cgroups", *(f"controller {name}" for name in controllers), "user namespaces", "id-mapped mounts",
            "overlayfs on id-mapped mounts", "nftables", "NFLOG", "crun", "conmon", "disk space")  # fmt: skip
    assert {name: found.get(name) for name in must} == dict.fromkeys(must, "✓")
    assert {"runc", "criu", "swap"} <= set(found)
    assert rest.startswith(("Berth runs here.\n", "Everything that Berth uses is here.\n"))


def _as_berth(*argv: str) -> int:
    drop = ["setpriv", "--reuid=berth", "--regid=berth", "--clear-groups", "--"]
    return subprocess.run([*drop, *argv], check=False).returncode


def _host(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _processes_with(text: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:  # it ended meanwhile
            continue
        if text in line and int(process.name) != os.getpid():
            found.append(line)
    return found
