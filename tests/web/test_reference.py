"""docs/reference says what is true."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from berth_cli.main import cli
from tests.web.test_access_matrix import MATRIX

DOCS = Path(__file__).parents[2] / "docs" / "reference"


def test_the_api_page_has_each_address_with_its_role_and_status() -> None:
    rows = re.findall(r"^\| `(\w+) (\S+)` \| (\w+) \| (\d+)", (DOCS / "api.md").read_text(), re.MULTILINE)
    said = {(method, path): (role, int(status)) for method, path, role, status in rows}
    true = {key: (row.needs.value if row.needs else "any", row.ok) for key, row in MATRIX.items()}
    assert said == true


def test_the_cli_page_has_each_command() -> None:
    said = re.findall(r"^\| `berth ([a-z]+(?: [a-z]+)?)", (DOCS / "cli.md").read_text(), re.MULTILINE)
    assert sorted(said) == sorted(_commands())


def _commands() -> list[str]:
    group = typer.main.get_group(cli)
    names = []
    for name, command in group.commands.items():
        below = getattr(command, "commands", {})
        names += [f"{name} {part}" for part in below]
        if not below or (command.callback is not None and name == "config"):
            names.append(name)
    return names
