"""Documents stay true: links lead somewhere, commands and options exist, what is to be clicked is there.

That the commands do what is said of them is in tests/e2e/test_walkthrough.py.
"""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache

import pytest
from typer.main import get_command

from berth_cli.main import cli
from paas.network.apply import WANTED
from tests.docs.commands import COMMANDS, DOCUMENTS, ROOT, blocks


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_bin_commands_and_their_options_exist(document: str) -> None:
    for script, rest in re.findall(r"\bbin/(up|down)\b([^\n`|;,]*)", (ROOT / document).read_text()):
        known = _help(script)
        assert [option for option in re.findall(r"--[a-z-]+", rest) if option not in known] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_berth_commands_exist(document: str) -> None:
    known = set(get_command(cli).commands)  # type: ignore[attr-defined]
    used = re.findall(r"^(?:    |.*`)berth ([a-z]+)\b", (ROOT / document).read_text(), re.M)
    assert set(used) <= known


def test_the_packages_to_remove_and_to_leave_are_all_that_are_installed() -> None:
    text = (ROOT / "docs/how-to/uninstall.md").read_text()
    found = re.search(r"apt-get remove (.+)\n\n(.+)", text, re.S)
    assert found
    left = [name for name in re.findall(r"`([^`]+)`", found[2]) if name != "bin/up"]
    named = [*found[1].split(), *left]
    assert sorted(named) == sorted((ROOT / "packaging/debian-packages.txt").read_text().split())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_block_says_what_it_is(document: str) -> None:
    """An indented one is commands, which a test runs; one between fences says what else it is."""
    languages = {block.language for block in blocks((ROOT / document).read_text())}
    assert languages <= {COMMANDS, "json", "python", "text"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_is_to_be_clicked_is_on_a_page(document: str) -> None:
    """**Bold** is a button, a link or a heading of the dashboard, but for the first words of a paragraph."""
    pages = "".join(path.read_text() for path in (ROOT / "templates").rglob("*.html"))
    pages += "".join(path.read_text() for path in (ROOT / "tenants").rglob("forms.py"))
    paragraphs = (" ".join(text.split()) for text in (ROOT / document).read_text().split("\n\n"))
    rest = (re.sub(r"^\*\*.+?\*\*", "", text) for text in paragraphs)
    bold = [words for text in rest for words in re.findall(r"\*\*([^*]+?)\*\*", text)]
    assert [words for words in bold if words not in pages] == []


def test_each_sysctl_that_is_changed_is_told() -> None:
    told = (ROOT / "docs/how-to/run-in-production.md").read_text()
    assert [name for name in WANTED if f"`net.ipv4.{name}`" not in told] == []


@cache
def _help(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"paas.host.{script}", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
