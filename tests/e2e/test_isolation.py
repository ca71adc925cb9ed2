"""The control plane's own fences on a running platform, tried as other users of the host; and its report."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform import PORT, ROOT, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]
OF_ROOT = {"worker-deploy", "worker-build", "worker-transfer", "agent", "waker"}


def programs(platform: Platform) -> dict[int, str]:
    """Every process of the platform's programs, their children too."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it ended meanwhile
            continue
        names = (it.partition("=")[2].strip() for it in words if it.startswith("SUPERVISOR_PROCESS_NAME="))
        name = next(names, "")
        if name and f"BERTH_STATE={platform.environment['BERTH_STATE']}" in words:
            found[int(process.name)] = name
    return found


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_what_answers_the_network_has_no_privilege_and_can_gain_none(platform: Platform) -> None:
    berth = subprocess.run(["id", "-u", "berth"], check=True, capture_output=True, text=True).stdout.strip()
    group = subprocess.run(["id", "-g", "berth"], check=True, capture_output=True, text=True).stdout.strip()
    found = {pid: name for pid, name in programs(platform).items() if name not in OF_ROOT}
    assert set(found.values()) == {"web", "streams", "valkey", "caddy"}
    for pid, name in found.items():
        it = status(pid)
        assert set(it["Uid"].split()) == {berth}, name
        assert set((it["Gid"] + " " + it["Groups"]).split()) == {group}, name
        assert {it[kind] for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}, name
        assert it["NoNewPrivs"] == "1", name


def test_nothing_but_the_ingress_listens_beyond_loopback(platform: Platform) -> None:
    pids = set(programs(platform))
    shown = subprocess.run(["ss", "-Hlntup"], check=True, capture_output=True, text=True).stdout
    ours = [line.split() for line in shown.splitlines() if pids & set(map(int, re.findall(r"pid=(\d+)", line)))]
    assert {line[4].rpartition(":")[2] for line in ours} == {str(PORT)}


def as_user(user: str, *argv: str) -> int:
    """Its exit status, as a user of the host with no other group and no right."""
    drop = [
        "setpriv",
        f"--reuid={user}",
        f"--regid={'berth' if user == 'berth' else 'nogroup'}",
        "--clear-groups",
    ]
    return subprocess.run(
        [*drop, "--bounding-set=-all", "--", *argv], check=False, capture_output=True
    ).returncode


CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


def test_other_users_of_the_host_reach_no_socket(platform: Platform) -> None:
    sockets = Path(platform.environment["BERTH_RUN"], "sockets")
    names = {path.name for path in sockets.iterdir()}
    assert {"valkey.sock", "web.sock", "streams.sock", "caddy.sock"} <= names
    for name in names:
        assert as_user("berth", "/usr/bin/python3", "-c", CONNECT, str(sockets / name)) == 0, name
        assert as_user("nobody", "/usr/bin/python3", "-c", CONNECT, str(sockets / name)) != 0, name
    door = Path(platform.environment["BERTH_RUN"], "supervisor", "socket")
    assert as_user("berth", "/usr/bin/python3", "-c", CONNECT, str(door)) != 0


def test_the_web_processes_cannot_read_tenants_files(platform: Platform) -> None:
    """Nor through the folders of a worker, in whose mount namespace the disks are."""
    state, run = (Path(platform.environment[name]) for name in ("BERTH_STATE", "BERTH_RUN"))
    worker = next(pid for pid, name in programs(platform).items() if name == "worker-deploy")
    disks = Path(f"/proc/{worker}/root{run}/disks")
    tenant = next(disks.iterdir())
    assert (tenant / "containers").is_dir()  # as root: it is there
    for path in (state / "store", state / "tenants", state / "work", tenant / "containers", disks):
        assert as_user("berth", "ls", str(path)) != 0, path
    for bundle in (run / "bundles").iterdir():
        assert as_user("berth", "cat", str(bundle / "config.json")) != 0
    for path in (state / "db", state / "secrets", state / "logs"):
        assert as_user("berth", "ls", str(path)) == 0 and as_user("nobody", "ls", str(path)) != 0


def looked(platform: Platform) -> dict[str, Any]:
    assert platform.api("/machine/isolation", "POST", {}).status == 202
    end = time.monotonic() + 60
    while True:
        report: dict[str, Any] = platform.api("/machine/isolation").json
        if report["status"] not in ("queued", "running"):
            assert report["status"] == "done", report
            return report
        assert time.monotonic() < end
        time.sleep(0.1)


def broken(report: dict[str, Any]) -> dict[str, str]:
    return {row["id"]: row["found"] for row in report["answer"]["rows"] if row["outcome"] == "fail"}


def check(platform: Platform) -> subprocess.CompletedProcess[str]:
    up = [str(ROOT / "bin" / "up"), "--check"]
    return subprocess.run(up, env=platform.environment, capture_output=True, text=True, check=False)


@contextmanager
def no_agent(platform: Platform) -> Iterator[None]:
    """It stands still meanwhile."""
    agent = platform.pid("agent")
    os.kill(agent, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(agent, signal.SIGCONT)


def failures_of(platform: Platform, tenant: str) -> list[tuple[str, str]]:
    answer = json.loads(platform.cli("isolation", "-t", tenant, "--json").stdout)["answer"]
    rows = [*answer["tenant"], *(row for container in answer["containers"] for row in container["rows"])]
    return [(row["id"], row["found"]) for row in rows if row["outcome"] == "fail"]


def test_every_promise_holds_and_a_regress_fails_loudly(platform: Platform) -> None:
    report = looked(platform)
    assert {row["outcome"] for row in report["answer"]["rows"]} == {"pass"}
    failed = {row["tenant"]: row["failed"] for row in report["tenants"]}
    assert "demo" in failed
    assert {tenant: failures_of(platform, tenant) for tenant, count in failed.items() if count} == {}
    assert "every promise held" in check(platform).stdout
    with no_agent(platform):  # which would make it again within ten seconds, before anybody looks
        subprocess.run(["nft", "flush chain inet beberth forward"], check=True)
        report = looked(platform)
    try:
        lacks = "the nftables table beberth lacks rules: chain forward"
        assert broken(report) == {"fences": f"{lacks}; Berth has just made them again"}
        assert not any(row["failed"] for row in report["tenants"]), "they were looked at afterwards"
        told = check(platform)
        assert told.returncode == 1 and "BROKEN" in told.stdout
        log = Path(platform.environment["BERTH_STATE"], "logs/processes/worker-transfer.log").read_text()
        assert any("error" in line and lacks in line for line in log.splitlines() if "isolation.broken" in line)
        platform.cli("login", platform.dashboard, "--token", platform.token)
        shown = platform.cli("isolation", "-t", "demo", "--json")
        containers = json.loads(shown.stdout)["answer"]["containers"]
        assert {row["outcome"] for row in containers[0]["rows"]} == {"pass"}
    finally:
        subprocess.run(["nft", "delete table inet beberth"], check=True)  # which the agent makes again
    end = time.monotonic() + 30
    while broken(looked(platform)):
        assert time.monotonic() < end
        time.sleep(0.5)
    assert check(platform).returncode == 0
