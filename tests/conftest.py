"""What every test may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.e2e.hostile.watch import REPORTED, table
from tests.settings import STATE

# These go on beside the others, which change the one kernel that there is, under fixed names, and take turns.
# What these mount is in mount namespaces of their own, what they start in folders of their own.
BESIDE = ("builder", "cli", "contents", "docs", "images", "lint", "oci", "postgresql", "router", "web")


class SideBySide(LoadScopeScheduling):  # type: ignore[misc]
    """With -n: what changes the host is one piece of work, and of the rest each module is one."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if Path(module).parts[1] in BESIDE else "host"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How a neighbour fared, if it was attacked."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    found = [getattr(report, "user_properties", []) for report in reports]
    if rows := [value for properties in found for name, value in properties if name == REPORTED]:
        terminalreporter.section(REPORTED)
        for line in table(rows):
            terminalreporter.write_line(line)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SideBySide:
    return SideBySide(config, log)


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """A file, as in production: an in-memory SQLite would be one connection shared by all threads."""
    from django.db import connections  # noqa: PLC0415 - settings come first

    for connection in connections.all():
        if connection.vendor == "sqlite":
            connection.settings_dict["TEST"]["NAME"] = f"{STATE}/test.sqlite3"


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[redis.Redis[bytes]]:
    """One for all: a second server on the same socket would leave old connections with the first."""
    from django.conf import settings  # noqa: PLC0415 - settings come first

    from tests.web.valkey import valkey  # noqa: PLC0415

    with valkey(settings.PATHS.valkey_socket) as client:
        yield client
