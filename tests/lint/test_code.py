"""Lint, format, types, import rules and migrations hold: what would otherwise be a wish in a document."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import paas

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
CHECKS: dict[str, list[str | Path]] = {
    "ruff check": [TOOLS / "ruff", "check", "--no-cache", "."],
    "ruff format": [TOOLS / "ruff", "format", "--no-cache", "--check", "."],
    "mypy": [TOOLS / "mypy", "paas", "tenants", "berth_cli", "tests", "manage.py"],
    "import rules": [TOOLS / "lint-imports", "--no-cache"],
    "migrations": [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"],
    "django check": [sys.executable, "manage.py", "check", "--fail-level", "WARNING"],
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CHECKS)
def test_holds(name: str) -> None:
    done = subprocess.run(
        CHECKS[name],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{name} found:\n{done.stdout[-6000:]}"


def test_there_is_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == paas.__version__


def test_shell_scripts_parse() -> None:
    scripts = [p for p in (ROOT / "bin").iterdir() if p.read_bytes()[:11] == b"#!/bin/bash"]
    for script in [*scripts, ROOT / ".ci" / "run", ROOT / "packaging" / "first-stage.sh"]:
        done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_files_can_be_read_in_one_sitting() -> None:
    """A source file of more than 400 lines wants a wall (docs/explanation/architecture.md)."""
    files = [p for root in ("paas", "tenants", "berth_cli") for p in (ROOT / root).rglob("*.py")]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in files}
    assert {name: count for name, count in lengths.items() if count > 400} == {}
