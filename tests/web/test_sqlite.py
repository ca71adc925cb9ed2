"""Root and the web process share SQLite's files, whoever comes first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWNER = 64_000  # any id but root's
LOOK = """
import django, os, sys
django.setup()
from django.db import connection
connection.cursor().execute("CREATE TABLE some (id)")
connection.close()
connection.ensure_connection()
print(*sorted({os.stat(f"{sys.argv[1]}{end}").st_uid for end in ("", "-wal", "-shm")}))
"""


@pytest.mark.kernel
def test_files_that_root_makes_are_the_owners_from_the_first_moment(tmp_path: Path) -> None:
    """SQLite itself gives them away later. Without CAP_CHOWN it cannot: this is how they were made."""
    os.chown(tmp_path, OWNER, OWNER)
    database = tmp_path / "db" / "berth.sqlite3"
    database.parent.mkdir()
    os.chown(database.parent, OWNER, OWNER)
    settings = {**os.environ, "BERTH_STATE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    settings.pop("DATABASE_URL", None)
    argv = ["setpriv", "--bounding-set=-chown", "--", sys.executable, "-c", LOOK, str(database)]
    done = subprocess.run(argv, env=settings, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{OWNER}\n", "")
