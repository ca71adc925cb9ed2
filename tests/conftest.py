"""Settings for every test: a state folder of its own, never the machine's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from cryptography.fernet import Fernet

_state = tempfile.mkdtemp(prefix="berth-test-")
os.environ.setdefault("BERTH_STATE", _state)
Path(_state, "static").mkdir()  # whitenoise warns without it
os.environ.setdefault("BERTH_RUN", f"{_state}/run")
os.environ.setdefault("BERTH_SECRET_KEY", "only-for-tests")
os.environ.setdefault("BERTH_FIELD_KEYS", Fernet.generate_key().decode())
os.environ.setdefault("BERTH_PREFIX", "bt")
os.environ.setdefault("BERTH_CONTAINER_PREFIX", "10.209.0.0/16")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paas.settings")


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """A file, as in production: an in-memory SQLite would be one connection shared by all threads."""
    from django.db import connections  # noqa: PLC0415 - settings come first

    for connection in connections.all():
        if connection.vendor == "sqlite":
            connection.settings_dict["TEST"]["NAME"] = f"{_state}/test.sqlite3"


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[redis.Redis[bytes]]:
    """One for all: a second server on the same socket would leave old connections with the first."""
    from django.conf import settings  # noqa: PLC0415 - settings come first

    from tests.web.valkey import valkey  # noqa: PLC0415

    with valkey(settings.PATHS.valkey_socket) as client:
        yield client
