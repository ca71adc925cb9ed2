"""Documents stay true: links lead somewhere, commands and options exist, the tutorial's app runs."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from typer.main import get_command

from berth_cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_bin_commands_and_their_options_exist(document: Path) -> None:
    for script, rest in re.findall(r"\bbin/(up|down)\b([^\n`|;,]*)", document.read_text()):
        known = _help(script)
        assert [option for option in re.findall(r"--[a-z-]+", rest) if option not in known] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_berth_commands_exist(document: Path) -> None:
    known = set(get_command(cli).commands)  # type: ignore[attr-defined]
    used = re.findall(r"^(?:    |.*`)berth ([a-z]+)\b", document.read_text(), re.M)
    assert set(used) <= known


def test_the_packages_to_remove_are_those_that_are_installed() -> None:
    line = re.search(r"apt-get remove (.+)", (ROOT / "docs/how-to/uninstall.md").read_text())
    assert line
    assert set(line[1].split()) <= set((ROOT / "packaging/debian-packages.txt").read_text().split())


def test_the_tutorials_app_says_hello(tmp_path: Path) -> None:
    text = (ROOT / "docs/tutorial/first-deploy.md").read_text()
    blocks = dict(re.findall(r"^`(app\.py|Procfile)`\n\n((?:(?:    .*)?\n)+)", text, re.M))
    for name, block in blocks.items():
        (tmp_path / name).write_text("".join(f"{line[4:]}\n" for line in block.splitlines()))
    assert (tmp_path / "Procfile").read_text().strip() == "web: python app.py"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=tmp_path, env={**os.environ, "PORT": str(port), "NAME": "harbour"},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert _body(f"http://127.0.0.1:{port}/") == "Hello, harbour\n"
    finally:
        process.kill()
        process.wait()


def _body(url: str) -> str:
    end = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.URLError:
            assert time.monotonic() < end
            time.sleep(0.05)


def _help(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"paas.host.{script}", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
