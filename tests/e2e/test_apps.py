"""Every example, deployed as its owner would, and what its owner sees."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform import ROOT, Platform, packed

pytestmark = pytest.mark.e2e
EXAMPLES = ROOT / "examples"


def test_the_first_example_answers(platform: Platform) -> None:
    assert platform.app("hello").status == 200


@pytest.mark.parametrize(
    ("example", "path", "holds"),
    [
        ("flask-guestbook", "/", b"<form"),
        ("static-site", "/", b"<h1"),
        ("dockerfile-app", "/", b"<"),
    ],
)
def test_an_example_deploys_as_it_is(platform: Platform, example: str, path: str, holds: bytes) -> None:
    name = example.replace("-", "")
    platform.create(name)
    release = platform.deploy(name, packed(EXAMPLES / example))
    assert release["status"] == "live", json.dumps(release)
    answer = platform.app(name, path)
    assert answer.status == 200 and holds in answer.body
    again = platform.deploy(name, packed(EXAMPLES / example, **{"added.txt": "since"}))
    assert again["version"] == 2 and again["status"] == "live"


def test_a_folder_in_which_nothing_changed_is_neither_sent_nor_built(platform: Platform) -> None:
    platform.create("unchanged")
    sources = Path(platform.environment["BERTH_STATE"], "sources")
    platform.cli("login", platform.dashboard, "--token", platform.token)
    deploy = ("deploy", str(EXAMPLES / "static-site"), "--app", "demo/unchanged")
    assert "v1 is live" in platform.cli(*deploy).stdout
    before = set(sources.iterdir())
    again = platform.cli(*deploy)
    assert "Nothing changed: v1 serves just this already." in again.stdout and "v1 is live" in again.stdout
    assert set(sources.iterdir()) == before
    assert platform.app("unchanged").status == 200


BROKEN = {
    "crashes-at-start": (
        "web.1 exited with status 1 before it was ready",
        "read the end of its log, correct it and deploy again",
        ["KeyError: 'DATABASE_URL'"],
    ),
    "never-listens": (
        "web.1 was not ready within 5 s: nothing listens on port 8000 ($PORT)",
        "listen on 0.0.0.0 and the port in $PORT, or set [health] in berth.toml",
        [],
    ),
    "bad-config": (
        "berth.toml, line 6: processes.web.memmory: is not known",
        "did you mean 'memory'? allowed here: command, memory, cpu, count, private, port, sleep",
        [],
    ),
    "fails-to-build": (
        'Dockerfile, line 4: `RUN echo "compiling the assets" && echo "assets.map: no such file" >&2 '
        "&& exit 3` exited with 3",
        "the log above says why",
        ["assets.map: no such file"],
    ),
}


@pytest.mark.parametrize("example", BROKEN)
def test_a_broken_example_says_why(platform: Platform, example: str) -> None:
    name = example.replace("-", "")
    platform.create(name)
    outcome = platform.deploy(name, packed(EXAMPLES / "broken" / example))
    assert outcome["status"] == "failed"
    error = outcome["error"]
    assert (error["summary"], error["hint"], error["details"].get("log", [])[-1:]) == BROKEN[example]


IMPOSTOR = """\
FROM debian:12
RUN openssl req -x509 -newkey ed25519 -nodes -keyout /tmp/key -out /tmp/cert -subj /CN=impostor
RUN openssl s_server -quiet -accept 8443 -key /tmp/key -cert /tmp/cert & \
    sleep 1; uv pip install --target /tmp/x --index-url https://127.0.0.1:8443/simple flask
"""


def test_a_build_that_meets_an_untrusted_certificate_says_what_to_do(platform: Platform) -> None:
    platform.create("distrust")
    outcome = platform.deploy("distrust", packed(EXAMPLES / "static-site", Dockerfile=IMPOSTOR))
    assert outcome["status"] == "failed"
    assert "BERTH_BUILD_CA_BUNDLE" in outcome["error"]["hint"], outcome["error"]


def test_a_broken_release_leaves_the_old_one_serving(platform: Platform) -> None:
    platform.create("steady")
    source = EXAMPLES / "hello-python"
    assert platform.deploy("steady", packed(source))["status"] == "live"
    broken = platform.deploy("steady", packed(source, **{"app.py": "raise SystemExit('no database')\n"}))
    assert broken["status"] == "failed" and broken["version"] == 2
    assert "no database" in json.dumps(broken["error"])
    assert platform.app("steady").status == 200


def test_gunicorn_whose_workers_cannot_load_the_app_replaces_nothing(platform: Platform) -> None:
    """Its parent listens before they try."""
    platform.create("prefork")
    files = {"berth.toml": "", "Procfile": "web: gunicorn app:app\n", "requirements.txt": "gunicorn\n"}
    hello = "def app(environ, start):\n    start('200 OK', [])\n    return [b'hello']\n"
    source = EXAMPLES / "hello-python"
    live = platform.deploy("prefork", packed(source, **files, **{"app.py": hello}))
    assert live["status"] == "live", live["error"]
    broken = platform.deploy("prefork", packed(source, **files, **{"app.py": f"import nothere\n{hello}"}))
    assert broken["status"] == "failed"
    assert "No module named 'nothere'" in json.dumps(broken["error"])
    assert platform.app("prefork").body == b"hello"


SLOW = """
import http.server, os, time

class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        last = self.path.rpartition("/")[2]
        time.sleep(int(last) if last.isdigit() else 0)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["BERTH_RELEASE"].encode())

http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Slow).serve_forever()
"""


def test_a_request_that_is_under_way_is_finished_by_the_release_that_has_it(platform: Platform) -> None:
    """This app ends at once when it is asked to stop, as most do."""
    platform.create("slow")
    assert platform.deploy("slow", packed(EXAMPLES / "hello-python", **{"app.py": SLOW}))["status"] == "live"
    with ThreadPoolExecutor() as pool:
        under_way = pool.submit(platform.app, "slow", "/8")
        time.sleep(0.3)
        assert platform.api("/apps/demo/slow/restart", "POST").status < 300
        assert platform.settled("slow")["version"] == 2
        assert platform.app("slow").body == b"v2"
        assert not under_way.done()
        assert (under_way.result().status, under_way.result().body) == (200, b"v1")
    end = time.monotonic() + 30
    while len(platform.containers("slow")) > 1:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_change_roll_back_and_config(platform: Platform) -> None:
    page = "<h1>{}</h1>"
    platform.create("site")
    for text in ("one", "two"):
        assert platform.deploy("site", packed(EXAMPLES / "static-site", **{"index.html": page.format(text)}))
    assert b"two" in platform.app("site").body
    assert platform.api("/apps/demo/site/releases/rollback", "POST", {"version": 1}).status < 300
    assert platform.settled("site")["version"] == 3
    assert b"one" in platform.app("site").body
    assert platform.api("/apps/demo/site/config", "PATCH", {"changes": {"COLOUR": "blue"}}).status < 300
    assert platform.settled("site")["cause"] == "config"


VISITS = """
import http.server, os

class Visits(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        with open("/srv/data/visits", "a+") as file:
            file.write(os.environ["BERTH_RELEASE"] + " ")
            file.seek(0)
            self.wfile.write(file.read().encode())

http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Visits).serve_forever()
"""


def counting_visits() -> bytes:
    """An app that keeps on a volume which releases were asked for."""
    return packed(
        EXAMPLES / "hello-python", **{"app.py": VISITS, "berth.toml": "[volumes]\ndata = '/srv/data'\n"}
    )


def test_a_volume_outlives_releases_and_limits_are_read_from_the_kernel(platform: Platform) -> None:
    platform.create("visits")
    assert platform.deploy("visits", counting_visits())["version"] == 1
    assert platform.app("visits").status == 200
    assert platform.api("/apps/demo/visits/restart", "POST", {}).status < 300
    assert platform.settled("visits")["version"] == 2
    assert platform.app("visits").status == 200
    assert platform.api("/apps/demo/visits/releases/rollback", "POST", {"version": 1}).status < 300
    assert platform.settled("visits")["status"] == "live"
    assert platform.app("visits").body == b"v1 v2 v3 "
    (volume,) = platform.api("/apps/demo/visits/volumes").json
    assert (volume["name"], volume["path"], volume["mounted"]) == ("data", "/srv/data", True)
    refused = platform.api("/apps/demo/visits/volumes/data", "DELETE", {"confirm": "data"})
    assert refused.status == 409 and b"mounted by the present release" in refused.body
    end = time.monotonic() + 30
    while not (found := _limits(platform))["disk"]["known"]:
        assert time.monotonic() < end, found
        time.sleep(0.2)
    for name in ("memory", "cpu", "pids", "disk"):
        assert found[name]["effective"] == found[name]["asked"], found[name]


def _limits(platform: Platform) -> dict[str, Any]:
    return {limit["name"]: limit for limit in platform.api("/tenants/demo/quota").json["limits"]}
