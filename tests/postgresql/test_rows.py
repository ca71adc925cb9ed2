"""What tests/web asks of rows, actions and pages, asked of PostgreSQL: the same tests in a process of its own,
because a process has one set of settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgresql.cluster import PASSWORD, QUOTED_PASSWORD, cluster

ROOT = Path(__file__).parents[2]
# How pages look in a browser is the same whatever keeps the rows.
LEFT_OUT = "tests/web/test_pages_axe.py"


@pytest.mark.timeout(900)
def test_every_web_test_holds_on_postgresql() -> None:
    with cluster() as server:
        server.run("createuser", "--createdb", "--pwprompt", "berth", input=f"{PASSWORD}\n" * 2)
        server.run("createdb", "--owner=berth", "berth")
        address = f"postgres://berth:{QUOTED_PASSWORD}@{server.host}/berth"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "tests/web", f"--ignore={LEFT_OUT}", "--reuse-db"],
            cwd=ROOT, env={**_environment(), "DATABASE_URL": address}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-20_000:]
        assert server.sql("SELECT count(*) > 0 FROM django_migrations", "test_berth") == "t"


def _environment() -> dict[str, str]:
    """Without what tests/conftest.py has set for this process: state, run folder and keys are not shared."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("BERTH_", "DJANGO_"))}
