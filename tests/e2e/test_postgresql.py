"""A whole platform on PostgreSQL, by the how-to and back again, and what a server that goes away does to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.platform import PORT, ROOT, Platform, packed
from tests.postgresql.cluster import PASSWORD, QUOTED_PASSWORD, Cluster, cluster

pytestmark = pytest.mark.e2e
CGROUPS = Path("/sys/fs/cgroup")
SECONDS = 60.0
MOST_CONNECTIONS = 20  # as the how-to has it
DOCKERFILE = """
FROM python:3
RUN {step}
COPY app.py .
ENV BEFORE={start}
CMD ["python3", "-u", "app.py"]
"""
# Takes its time to start, and writes 24 MB when asked to.
APP = """
import http.server, os, time
class Loud(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        for _ in range(3000 if self.path == "/flood" else 0):
            print("x" * 8000)
        self.send_response(200)
        self.end_headers()
time.sleep(int(os.environ["BEFORE"]))
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Loud).serve_forever()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture(scope="module")
def commands() -> list[str]:
    """Those of the how-to, after `sudo`."""
    found = re.findall(r"^    sudo (.+)", (ROOT / "docs/how-to/use-postgresql.md").read_text(), re.M)
    assert [line.split()[0] for line in found] == ["-u", "-u", found[2].split()[0], "DATABASE_URL="]
    return found


@pytest.fixture(scope="module")
def berth(platform: Platform, server: Cluster, commands: list[str]) -> Iterator[Platform]:
    """On PostgreSQL; afterwards on SQLite again."""
    make_user, make_database, there, back = commands
    for command in (make_user, make_database):
        server.run(*shlex.split(command)[2:], input=f"{PASSWORD}\n" * 2)
    token = platform.token
    platform.documented(there.replace("PASSWORD", QUOTED_PASSWORD).replace("localhost", server.host))
    try:
        platform.make_token()
        yield platform
    finally:
        server.start()
        platform.documented(back)
        platform.token = token


def source(app: str = APP, *, step: str = "true", start: int = 0) -> bytes:
    """`step` runs in its build; its start takes `start` seconds."""
    dockerfile = DOCKERFILE.format(step=step, start=start)
    return packed(ROOT / "examples/broken/fails-to-build", **{"Dockerfile": dockerfile, "app.py": app})


def until(met: Callable[[], Any], what: Callable[[], object] = lambda: "") -> Any:
    end = time.monotonic() + SECONDS
    while not (found := met()):
        assert time.monotonic() < end, what()
        time.sleep(0.1)
    return found


def control_plane(berth: Platform) -> dict[int, str]:
    """The processes that supervisord started."""
    parent = Path(berth.environment["BERTH_RUN"], "supervisor/pid").read_text().strip()
    listing = ["ps", "--ppid", parent, "-o", "pid=,args="]
    lines = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines()
    return {int(line.split(maxsplit=1)[0]): line.split(maxsplit=1)[1] for line in lines}


def log_of(berth: Platform, folder: str, name: str) -> str:
    path = Path(berth.environment["BERTH_STATE"], "logs", folder, name)
    return path.read_text() if path.exists() else ""


@pytest.fixture(scope="module")
def browser(berth: Platform) -> Iterator[httpx.Client]:
    """The first administrator, signed in by the printed link."""
    host = f"berth.localhost:{PORT}"
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", headers={"Host": host}, timeout=60) as client:
        path = berth.sign_in_link().partition(host)[2]
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(path).text)
        assert token
        origin = {"Origin": berth.dashboard}
        answer = client.post(path, data={"csrfmiddlewaretoken": token[1]}, headers=origin)
        assert answer.status_code == 302 and client.get("/account/").status_code == 200
        yield client


def test_a_first_deploy_answers(berth: Platform, server: Cluster) -> None:
    assert berth.api("/apps").json == []
    berth.create("loud")
    release = berth.deploy("loud", source())
    assert release["status"] == "live", json.dumps(release)
    assert berth.app("loud").status == 200
    assert server.sql("SELECT status FROM releases_release", "berth") == "live"


def test_open_pages_hold_no_connections(berth: Platform, server: Cluster) -> None:
    streams = [http.client.HTTPConnection("127.0.0.1", PORT, timeout=60) for _ in range(2 * MOST_CONNECTIONS)]
    headers = {"Host": f"berth.localhost:{PORT}", "Authorization": f"Bearer {berth.token}"}
    for stream in streams:
        stream.request("GET", "/streams/t/demo/loud/log/", headers=headers)
    answers = [stream.getresponse() for stream in streams]
    assert {answer.status for answer in answers} == {200}
    with ThreadPoolExecutor(16) as pool:
        assert {answer.status for answer in pool.map(berth.api, ["/apps"] * 64)} == {200}
    count = server.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'berth'")
    for stream, answer in zip(streams, answers, strict=True):
        answer.close()
        stream.close()
    assert 0 < int(count) <= MOST_CONNECTIONS


def test_a_failed_release_shows_what_the_app_wrote(berth: Platform) -> None:
    berth.create("odd")
    text = "import sys; sys.stdout.buffer.write(b'nul \\0 and \\xff\\n'); sys.exit(3)\n"
    release = berth.deploy("odd", source(text))
    assert release["status"] == "failed"
    assert "nul \u2400 and \ufffd" in release["error"]["details"]["log"]


def test_a_restart_in_a_build(berth: Platform, server: Cluster, browser: httpx.Client) -> None:
    """Pages say when to come back, apps serve on, and the step that runs meanwhile is not run again."""
    processes, (container,) = control_plane(berth), berth.containers("loud")
    step = "echo begun; sleep 1000; echo slept"
    build = berth.api("/apps/demo/loud/deploys", "POST", source(step=step), "application/gzip").json
    running = "SELECT id FROM containers_container WHERE kind = 'build' AND status = 'running'"
    builds_container = until(lambda: server.sql(running, "berth"))
    until(lambda: "begun" in log_of(berth, "builds", f"{build['id']}.log"))
    server.stop()
    for path in ("/", "/machine/", "/t/demo/loud/", "/streams/live/", "/nowhere/", "/healthz/"):
        answer = browser.get(path)
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "5"), path
    for method, path in (("GET", "/apps"), ("POST", "/apps/demo/loud/restart")):
        told = berth.api(path, method)
        assert (told.status, told.headers["Retry-After"]) == (503, "5") and told.json["error"]["hint"]
    assert berth.app("loud").status == 200
    server.start()
    until(lambda: browser.get("/t/demo/loud/").status_code == 200)
    assert [row["id"] for row in berth.containers("loud")] == [container["id"]]
    end_sleep(builds_container)
    until(lambda: berth.releases("loud")[0]["version"] == 2)
    assert berth.settled("loud")["status"] == "live"
    assert log_of(berth, "builds", f"{build['id']}.log").count("begun\n") == 1
    assert server.sql(f"SELECT attempts FROM releases_build WHERE id = '{build['id']}'", "berth") == "1"
    assert control_plane(berth) == processes


def test_a_restart_in_a_roll_out(berth: Platform, server: Cluster) -> None:
    """It begins anew by itself. Meanwhile the release before it serves, and a flood of output is cut short."""
    until(lambda: len(berth.containers("loud")) == 1)  # the one before may still finish what it has
    (container,) = berth.containers("loud")
    berth.api("/apps/demo/loud/deploys", "POST", source(start=4), "application/gzip")
    until(lambda: [row["status"] for row in berth.releases("loud") if row["version"] == 3] == ["starting"])
    server.stop()
    assert berth.app("loud", "/flood").status == 200
    until(lambda: "bytes of output were dropped" in log_of(berth, "containers", f"{container['id']}.log"))
    server.start()
    until(lambda: berth.api("/apps").status == 200)
    assert berth.settled("loud")["status"] == "live" and berth.app("loud").status == 200
    dropped = f"SELECT log_dropped_bytes > 0 FROM containers_container WHERE id = '{container['id']}'"
    until(lambda: server.sql(dropped, "berth") == "t")


def end_sleep(container_id: str) -> None:
    """The step's command goes on to what follows its sleep."""
    for pid in {
        int(pid) for path in CGROUPS.rglob(f"{container_id}/cgroup.procs") for pid in path.read_text().split()
    }:
        if Path(f"/proc/{pid}/comm").read_text() == "sleep\n":
            os.kill(pid, signal.SIGKILL)


def test_a_server_that_is_away_is_told_by_bin_up(berth: Platform, server: Cluster) -> None:
    server.stop()
    done = subprocess.run(
        [ROOT / "bin/up", "--detach"], env=berth.environment, capture_output=True, text=True, check=False
    )
    server.start()
    assert done.returncode == 1 and "PostgreSQL does not let Berth in" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and QUOTED_PASSWORD not in done.stderr
    berth.up()


def test_the_way_back_leads_to_what_was_there(berth: Platform, server: Cluster, commands: list[str]) -> None:
    berth.documented(commands[3])
    until(lambda: berth.app("hello").status == 200)
    assert berth.app("loud").status == 404
    assert server.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'berth'") == "0"
