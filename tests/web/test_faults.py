"""Two people at once, a lock that somebody holds for too long, and a broker that is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction

from tenants.apps.models import App
from tenants.releases.actions import restart, set_config
from tests.web.cast import make_cast
from tests.web.pages import Browser

ROOT = Path(__file__).parents[2]


def test_changes_at_the_same_time_get_a_version_and_a_generation_each(transactional_db: None) -> None:
    cast = make_cast()
    before = App.objects.get(pk=cast.app.pk).generation

    def change(number: int) -> int:
        try:
            if number % 2:
                return restart(actor=cast.owner, app=cast.app).version
            release = set_config(actor=cast.owner, app=cast.app, changes={f"KEY_{number}": "1"})
            assert release is not None
            return release.version
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        versions = sorted(pool.map(change, range(8)))
    assert versions == list(range(2, 10))
    assert App.objects.get(pk=cast.app.pk).generation == before + 8
    newest = cast.app.releases.get(version=9)
    assert set(newest.config) == {"KEY_0", "KEY_2", "KEY_4", "KEY_6"}


def test_a_lock_that_is_held_ends_in_503_and_pages_can_still_be_read(transactional_db: None) -> None:
    cast = make_cast()
    browser, client = Browser(cast.owner), cast.client(cast.owner)
    assert client.call("GET", "apps").status_code == 200  # notes that the token is used, which is a write
    with impatient(), locked(cast.app):
        for refused in (client.call("POST", "apps/demo/shop/restart"), browser.post("/t/demo/shop/restart/")):
            assert (refused.status_code, refused["Retry-After"]) == (503, "5")
        assert client.call("GET", "apps").status_code == browser.get("/t/demo/shop/").status_code == 200
    assert client.call("POST", "apps/demo/shop/restart").status_code == 201


@contextmanager
def impatient() -> Iterator[None]:
    """Berth waits for a lock for 20 seconds; here not so long."""
    ask, wait = {
        "sqlite": ("PRAGMA busy_timeout", "PRAGMA busy_timeout = 100"),
        "postgresql": ("SHOW lock_timeout", "SET lock_timeout = '100ms'"),
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(ask)
        assert cursor.fetchone() in ((20_000,), ("20s",))
        cursor.execute(wait)
    try:
        yield
    finally:
        connection.close()


@contextmanager
def locked(app: App) -> Iterator[None]:
    """Another transaction has the app's row, or with SQLite the database."""
    has, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            App.objects.select_for_update().get(pk=app.pk)
            has.set()
            may_end.wait()
        connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(hold)
        has.wait()
        try:
            yield
        finally:
            may_end.set()


def test_without_the_broker_the_rows_are_kept_and_a_warning_is_logged(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    env = {
        **os.environ,
        "BERTH_STATE": str(tmp_path),
        "BERTH_RUN": str(tmp_path / "run"),
        "PYTHONPATH": str(ROOT),
    }
    script = """
import django; django.setup()
from paas.queue import wake
from paas.live import changed
wake("build", "0123456789ab"); changed("t", "a", "build")
print("went on")
"""
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "went on" in done.stdout and "queue.unreachable" in done.stdout and "live.unreachable" in done.stdout


@pytest.mark.django_db
def test_migrations_say_what_the_models_say() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
