"""Django's SQLite, with files that the web process can open whoever opened the database first.

SQLite makes its -wal and -shm files with the first connection and removes them with the last. Made by root,
they are root's until SQLite gives them to the database's owner a moment later: whoever else opens the database
in between is told "unable to open database file". Here root makes them as that owner.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base

from paas.linux.syscalls import act_as


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        with as_owner(Path(conn_params["database"]).parent):
            return super().get_new_connection(conn_params)  # reads, by the PRAGMAs: that makes the files


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Root's files in here are made as the folder's owner's; other users stay who they are."""
    if os.geteuid() != 0 or not folder.is_dir():
        yield
        return
    owner = folder.stat()
    act_as(owner.st_uid, owner.st_gid)
    try:
        yield
    finally:
        act_as(0, 0)
