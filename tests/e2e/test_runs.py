"""One-off commands, from the command line to a container and back, on a whole platform."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.platform import ROOT, Platform

pytestmark = pytest.mark.e2e
APP = "demo/hello"
RUNS = "/apps/demo/hello/runs"


@pytest.fixture
def signed_in_cli(platform: Platform) -> Platform:
    platform.cli("login", platform.dashboard, "--token", platform.token)
    return platform


def start(platform: Platform, *command: str, **more: Any) -> str:
    answer = platform.api(RUNS, "POST", {"command": list(command), **more})
    assert answer.status == 202, answer.body
    return str(answer.json["id"])


def until(platform: Platform, run: str, met: Callable[[dict[str, Any]], bool], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not met(found := platform.api(f"{RUNS}/{run}").json):
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


def is_over(run: dict[str, Any]) -> bool:
    return run["status"] not in ("queued", "running")


def output(platform: Platform, run: str) -> list[str]:
    return [line["text"] for line in platform.api(f"{RUNS}/{run}/log").json["lines"]]


def test_a_command_from_the_terminal(signed_in_cli: Platform) -> None:
    """What it prints, how it exits, and that the container contract holds for it."""
    script = "echo $BERTH_APP $BERTH_PROCESS; echo oops >&2; "
    script += "awk '/NoNewPrivs|CapEff/ {print $2}' /proc/self/status; cat /proc/self/uid_map; exit 42"
    done = signed_in_cli.cli("run", APP, "--", "sh", "-c", script, check=False)
    assert done.returncode == 42, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "hello run" and lines[1:3] == ["0000000000000000", "1"]
    assert int(lines[3].split()[1]) >= 2_000_000_000, "root in it is a tenant's id outside"
    assert "oops" in done.stderr and "oops" not in done.stdout
    newest = json.loads(signed_in_cli.cli("runs", "list", "-a", APP, "--json").stdout)[0]
    assert (newest["status"], newest["exit_code"]) == ("exited", 42)


def test_no_request_reaches_a_command_that_listens(platform: Platform) -> None:
    server = (
        "import http.server as h, os; print('up', flush=True); h.test(h.SimpleHTTPRequestHandler, port=8000)"
    )
    run = start(platform, "/app/.venv/bin/python", "-c", server)
    until(platform, run, lambda _: "up" in output(platform, run))
    assert all(b"Directory listing" not in platform.app("hello").body for _ in range(8))
    assert [row["process"] for row in platform.containers("hello")] == ["web"]
    assert platform.api(f"{RUNS}/{run}/cancel", "POST", {}).status == 202
    assert until(platform, run, is_over)["status"] == "cancelled"
    assert platform.api(f"{RUNS}/{run}/cancel", "POST", {}).status == 409


def begin(platform: Platform, *args: str) -> subprocess.Popen[str]:
    """`berth` with these words, that goes on."""
    environment = {**platform.environment, "XDG_CONFIG_HOME": str(platform.folder / "cli")}
    return subprocess.Popen(
        [sys.executable, "-m", "berth_cli.main", *args],
        env={**environment, "PYTHONPATH": str(ROOT)}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_log_is_followed_line_by_line_until_ctrl_c(signed_in_cli: Platform) -> None:
    signed_in_cli.app("hello", "/before")
    process = begin(signed_in_cli, "logs", "-f", "-n", "20", "-a", APP)
    assert process.stdout
    for path in ("/before", "/meanwhile", "/later"):
        signed_in_cli.app("hello", path)
        assert any(path in line for line in process.stdout), path
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_ctrl_c_stops_the_container(signed_in_cli: Platform) -> None:
    script = 'trap "echo last words; exit 9" TERM; echo ready; while :; do sleep 0.1; done'
    process = begin(signed_in_cli, "run", APP, "--", "sh", "-c", script)
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "last words\n"), err
    newest = signed_in_cli.api(RUNS).json[0]
    assert (newest["status"], newest["exit_code"]) == ("cancelled", 9)


def test_a_time_limit_ends_it(platform: Platform) -> None:
    run = until(platform, start(platform, "sleep", "300", time_limit=1), is_over)
    assert run["status"] == "timed-out"


def test_a_command_outlives_a_restart_and_its_end_is_seen(platform: Platform) -> None:
    script = "echo before; sleep 12; exit 5"
    lasting = start(platform, "sh", "-c", script)
    brief = start(platform, "sh", "-c", "echo soon; sleep 2; exit 6")
    until(platform, lasting, lambda _: "before" in output(platform, lasting))
    until(platform, brief, lambda _: "soon" in output(platform, brief))
    platform.down()
    time.sleep(2)  # the brief one ends while nobody looks
    platform.up("--no-example")
    ended = until(platform, brief, is_over)
    assert (ended["status"], ended["exit_code"]) == ("exited", 6)
    ended = until(platform, lasting, is_over)
    assert (ended["status"], ended["exit_code"]) == ("exited", 5)
    assert output(platform, lasting) == ["before"]


def test_a_worker_that_is_killed_loses_no_command(platform: Platform) -> None:
    run = start(platform, "sh", "-c", "sleep 3; echo done; exit 7")
    until(platform, run, lambda found: bool(found["started_at"]))
    for pid in _workers(platform):
        os.kill(pid, signal.SIGKILL)
    ended = until(platform, run, is_over)
    assert (ended["status"], ended["exit_code"], output(platform, run)) == ("exited", 7, ["done"])


def _workers(platform: Platform) -> list[int]:
    """The deploy workers of this platform, by the folder that they serve."""
    state = platform.environment["BERTH_STATE"]
    found = subprocess.run(
        ["pgrep", "-f", "--", f"^berth worker-deploy {state}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(pid) for pid in found.stdout.split()]


CALL = "import urllib.request as u; print(u.urlopen('http://hello.internal/', timeout=10).status)"
SEND = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=20)"  # an address of nobody's


def test_a_command_calls_its_app_by_name_and_sends_what_the_tenant_may(platform: Platform) -> None:
    """From the rows to the kernel and back: the policy that the API shows is what the kernel says it holds."""
    run = start(platform, "/app/.venv/bin/python", "-c", CALL)
    assert until(platform, run, is_over)["exit_code"] == 0, output(platform, run)
    assert output(platform, run) == ["200"]
    assert "hello.internal" in platform.api("/tenants/demo/network").json["names"]
    place = "/machine/tenants/demo/network"
    try:
        platform.api(place, "PUT", {"policy": "none"})
        end = time.monotonic() + 30
        while platform.api("/tenants/demo/network").json["held"]["policy"] != "none":
            assert time.monotonic() < end
            time.sleep(0.1)
        run = start(platform, "/app/.venv/bin/python", "-c", SEND)
        assert until(platform, run, is_over)["exit_code"] == 1
        assert "ConnectionRefusedError" in output(platform, run)[-1]
        assert platform.app("hello").status == 200
    finally:
        platform.api(place, "PUT", {"policy": "open"})
