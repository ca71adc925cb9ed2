"""docs/reference says what is true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from berth_cli.main import cli
from paas.api import api
from tests.web.test_access_matrix import MATRIX

DOCS = Path(__file__).parents[2] / "docs" / "reference"


def test_the_api_page_has_each_address_with_its_role_and_status() -> None:
    rows = re.findall(r"^\| `(\w+) (\S+)` \| (\w+) \| (\d+)", (DOCS / "api.md").read_text(), re.MULTILINE)
    said = {(method, path): (role, int(status)) for method, path, role, status in rows}
    true = {key: (str(row.needs or "any"), row.ok) for key, row in MATRIX.items()}
    assert said == true


def test_the_api_page_has_each_parameter_and_status() -> None:
    text = (DOCS / "api.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+ \S+)` \|(.+)$", text, re.MULTILINE))
    missing, statuses = [], set()
    for key, operation in _operations():
        names = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
        missing += [f"{key} ?{name}=" for name in names if f"?{name}=" not in rows[key]]
        missing += [f"{key} {name}" for name in _fields(operation) if f'"{name}"' not in rows[key]]
        statuses |= {int(status) for status in operation["responses"] if int(status) >= 400}
    assert missing == []
    assert {int(row) for row in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == statuses


def _operations() -> Iterator[tuple[str, Any]]:
    for path, methods in api.get_openapi_schema()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path.removeprefix('/api/v1/')}", operation


def _fields(operation: Any) -> list[str]:
    """Of a JSON body."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is None:
        return []
    name = body["schema"]["$ref"].rpartition("/")[2]
    return list(api.get_openapi_schema()["components"]["schemas"][name]["properties"])


def test_the_cli_page_has_each_command_with_its_arguments_and_options() -> None:
    said = re.findall(r"^\| `(berth [^`]+)`", (DOCS / "cli.md").read_text(), re.MULTILINE)
    assert sorted(said) == sorted(usage(names, command) for names, command in _commands())


def test_the_options_of_all_commands() -> None:
    """What cli.md says once: --json is everywhere, --app wherever a command is about one app."""
    for names, command in _commands():
        options = {option for parameter in command.params for option in parameter.opts}
        assert "--json" in options, names
        of_all = names.startswith(("registries ", "store ", "quota ", "network ")) and names != "store app"
        alone = ("login", "apps", "create", "quota", "isolation", "network", "density")
        of_an_app = names not in alone and not of_all
        assert ("--app" in options) == of_an_app, names


def usage(names: str, command: Any) -> str:
    """As in cli.md: arguments, then options by their shortest name, less those that all commands have."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name not in ("app", "json")]
    parts = [_argument(p) for p in arguments] + [_option(p) for p in options]
    return " ".join(["berth", names, *parts, *(["-- COMMAND…"] if names == "run" else [])])


def _argument(argument: Any) -> str:
    shown = f"{argument.metavar}{'…' if argument.nargs == -1 else ''}"
    return shown if argument.required else f"[{shown}]"


def _option(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or (option.name or '').upper()}"
    return f"[{min(option.opts, key=len)}{value}]"


def _commands() -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, command in typer.main.get_group(cli).commands.items():
        below = getattr(command, "commands", {})
        found += [(f"{name} {part}", inner) for part, inner in below.items()]
        if not below or name in ("config", "volumes", "quota", "limits", "network"):  # which lists by itself
            found.append((name, command))
    return found
