"""The command that `bin/up` runs to show a first app."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tenants.apps.models import App
from tenants.releases import observations
from tenants.releases.models import Build
from tests.web.cast import Cast, go_live, report


def work_off(outcome: str) -> None:
    """As the worker would, between two calls of the command."""
    claimed = observations.claim_build(Build.objects.get(status="queued").pk, "w")
    assert claimed
    if outcome == "failed":
        observations.build_failed(claimed, {"summary": "no Procfile"})
    else:
        release = observations.build_succeeded(claimed, report())
        assert release
        go_live(release)


def test_makes_the_app_once_and_waits_until_it_is_live(
    cast: Cast, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app.py").write_text("print()")
    for _ in range(2):
        with pytest.raises(CommandError, match="not live yet"):
            call_command("deploy_example", str(tmp_path), app="hello", timeout=0.1)
    assert Build.objects.filter(app__name="hello").count() == 1
    work_off("succeeded")
    for _ in range(2):
        call_command("deploy_example", str(tmp_path), app="hello", timeout=1)
    assert capsys.readouterr().out.split() == ["http://hello-demo.localhost:8080"] * 2
    assert Build.objects.filter(app=App.objects.get(name="hello")).count() == 1


def test_says_why_it_did_not_work(cast: Cast, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print()")
    with pytest.raises(CommandError):
        call_command("deploy_example", str(tmp_path), app="hello", timeout=0.1)
    work_off("failed")
    with pytest.raises(CommandError, match="the build failed: no Procfile"):
        from tenants.releases.management.commands.deploy_example import wait_until_live  # noqa: PLC0415

        wait_until_live(App.objects.get(name="hello"), float("inf"))
    with pytest.raises(CommandError, match="no tenant none"):
        call_command("deploy_example", str(tmp_path), app="x", tenant="none")
