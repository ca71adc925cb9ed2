"""Two people at once, and a broker that is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections

from tenants.apps.models import App
from tenants.releases.actions import restart, set_config
from tests.web.cast import make_cast

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
