"""Every example, deployed as its owner would, and what its owner sees."""

from __future__ import annotations

import json

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
    again = platform.deploy(name, packed(EXAMPLES / example))
    assert again["version"] == 2 and again["status"] == "live"


@pytest.mark.parametrize(
    ("example", "says"),
    [
        ("crashes-at-start", "before it was ready"),
        ("never-listens", "nothing listens on port"),
        ("bad-config", "berth.toml"),
        ("fails-to-build", "exit"),
    ],
)
def test_a_broken_example_says_why(platform: Platform, example: str, says: str) -> None:
    name = example.replace("-", "")
    platform.create(name)
    outcome = platform.deploy(name, packed(EXAMPLES / "broken" / example))
    assert outcome["status"] == "failed"
    assert says in outcome["error"]["summary"], outcome["error"]
    assert outcome["error"]["hint"]


def test_a_broken_release_leaves_the_old_one_serving(platform: Platform) -> None:
    platform.create("steady")
    source = EXAMPLES / "hello-python"
    assert platform.deploy("steady", packed(source))["status"] == "live"
    broken = platform.deploy("steady", packed(source, **{"app.py": "raise SystemExit('no database')\n"}))
    assert broken["status"] == "failed" and broken["version"] == 2
    assert "no database" in json.dumps(broken["error"])
    assert platform.app("steady").status == 200


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


def test_the_command_line(platform: Platform) -> None:
    platform.cli("login", platform.dashboard, "--token", platform.token)
    platform.cli("create", "demo/fromcli")
    done = platform.cli("deploy", str(EXAMPLES / "hello-python"), "--app", "demo/fromcli")
    assert "v1" in done.stdout + done.stderr
    running = json.loads(platform.cli("ps", "--app", "demo/fromcli", "--json").stdout)
    assert [row["status"] for row in running] == ["running"]
    assert platform.cli("releases", "--app", "demo/fromcli").stdout
    refused = platform.cli("destroy", "--app", "demo/fromcli", "--confirm", "wrong", check=False)
    assert refused.returncode == 1 and platform.app("fromcli").status == 200
    platform.cli("destroy", "--app", "demo/fromcli", "--confirm", "fromcli")
