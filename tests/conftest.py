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
Path(_state, "static").mkdir()  # whitenoise warns without it
# Each process that runs tests has its own, whatever it was started with.
os.environ |= {
    "BERTH_STATE": _state,
    "BERTH_RUN": f"{_state}/run",
    "BERTH_SECRET_KEY": "only-for-tests",
    "BERTH_FIELD_KEYS": Fernet.generate_key().decode(),
    "BERTH_PREFIX": "bt",
    "BERTH_CONTAINER_PREFIX": "10.209.0.0/16",
    "DJANGO_SETTINGS_MODULE": "paas.settings",
}
# These go on beside the others, which change the one kernel that there is, under fixed names, and take turns.
BESIDE = ("cli", "docs", "lint", "oci", "postgresql", "web")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who runs side by side with `-n`: a folder or module stays together, for what its tests share."""
    for item in items:
        module = item.path.relative_to(Path(__file__).parent)
        group = str(module) if module.parts[0] in BESIDE else "host"
        item.add_marker(pytest.mark.xdist_group(group))


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
