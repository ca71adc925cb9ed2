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
# The same whatever keeps the rows: how pages look in a browser, and what each role may do at each address.
# test_odd_input asks every address here as well. And what SQLite says of its own plans.
LEFT_OUT = ("test_pages_axe", "test_page_access", "test_access_matrix", "test_standing_work")


@pytest.mark.timeout(900)
def test_what_tests_web_asks_holds_on_postgresql() -> None:
    left_out = [f"--ignore=tests/web/{name}.py" for name in LEFT_OUT]
    with cluster() as server:
        server.run("createuser", "--createdb", "--pwprompt", "berth", input=f"{PASSWORD}\n" * 2)
        server.run("createdb", "--owner=berth", "berth")
        address = f"postgres://berth:{QUOTED_PASSWORD}@{server.host}/berth"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "tests/web", "--reuse-db", *left_out],
            cwd=ROOT, env={**_environment(), "DATABASE_URL": address}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-20_000:]
        assert server.sql("SELECT count(*) > 0 FROM django_migrations", "test_berth") == "t"


def _environment() -> dict[str, str]:
    """Without what tests/conftest.py has set for this process: state, run folder and keys are not shared."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("BERTH_", "DJANGO_"))}
