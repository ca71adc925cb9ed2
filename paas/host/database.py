"""The database of an installation: whether it lets Berth in, and whether Berth's tables are there."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from paas.errors import HostProblem
from paas.host.installation import Installation

TABLE = "django_migrations"


def has_tables(installation: Installation) -> bool:
    """Needs the settings in os.environ. HostProblem when a PostgreSQL server is of no use."""
    from django.db import connection  # noqa: PLC0415 - needs Django, which needs the environment

    if connection.vendor == "postgresql":
        _demand_server()
        return TABLE in connection.introspection.table_names()
    path = installation.paths.database
    if not path.exists():
        return False
    from paas.sqlite.base import as_owner  # noqa: PLC0415 - the same

    # Not by Django: the file is made by `berth`, who must own it.
    with as_owner(path.parent), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        return file.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (TABLE,)).fetchone() is not None


def _demand_server() -> None:
    from django.db import Error, connection  # noqa: PLC0415 - the same

    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_encoding")
            (encoding,) = cursor.fetchone()
    except Error as error:
        raise HostProblem(
            f"PostgreSQL does not let Berth in: {str(error).strip().splitlines()[-1].strip()}",
            hint="Look at DATABASE_URL, and whether the server runs; docs/how-to/use-postgresql.md.",
            retryable=True,
        ) from None
    if encoding != "UTF8":
        raise HostProblem(
            f"the PostgreSQL database keeps text as {encoding}, which cannot hold every name",
            hint="Make it with createdb --template=template0 --encoding=UTF8; docs/how-to/use-postgresql.md.",
        )


def let_go() -> None:
    """A bin/up that stays must not keep a connection that a restart of the server breaks."""
    from django.db import connections  # noqa: PLC0415 - the same

    connections.close_all()
