"""The steps of a deploy as its page shows them, from the rows that it has so far."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from tenants.containers.models import Container
from tenants.releases.models import Build, Release, Source
from tenants.releases.progress import steps, under_way
from tests.web.cast import Cast, make_build, released
from tests.web.pages import Browser, markup

DONE, NOW, WAITING, FAILED = "done", "now", "waiting", "failed"


def told(found: list[Any]) -> list[str]:
    return [f"{step.label} {step.state}" + (f" ({step.note})" if step.note else "") for step in found]


@pytest.mark.parametrize(
    ("status", "first"),
    [
        ("queued", "Build now (waits for a builder)"),
        ("running", "Build now"),
        ("failed", "Build failed"),
        ("cancelled", "Build failed (cancelled)"),
        ("succeeded", "Build done"),
    ],
)
def test_a_build_without_a_release(status: str, first: str) -> None:
    assert told(steps(Build(status=status, source=Source()), None)) == [
        first,
        "Start waiting",
        "Check waiting",
        "Switch waiting",
    ]


@pytest.mark.parametrize(
    ("status", "rows", "expected"),
    [
        ("pending", [], ["Start now (waits for its turn)", "Check waiting", "Switch waiting"]),
        ("starting", [], ["Start now (0 of 2)", "Check waiting", "Switch waiting"]),
        ("starting", ["running"], ["Start now (1 of 2)", "Check waiting", "Switch waiting"]),
        ("starting", ["running", "ready"], ["Start done", "Check now (1 of 2 ready)", "Switch waiting"]),
        ("starting", ["ready", "ready", "stopped"], ["Start done", "Check done", "Switch now"]),
        ("live", ["ready", "ready"], ["Start done", "Check done", "Switch done"]),
        ("retired", [], ["Start done", "Check done", "Switch done"]),
        ("superseded", [], ["Start done", "Check done", "Switch waiting (a later release came first)"]),
        ("failed", ["stopped"], ["Start done", "Check failed", "Switch waiting"]),
        ("failed", ["creating"], ["Start failed", "Check waiting", "Switch waiting"]),
    ],
)
def test_a_release(cast: Cast, status: str, rows: list[str], expected: list[str]) -> None:
    release = make_release(cast, status, rows)
    assert told(steps(None, release)) == expected
    build = Build(status="succeeded", source=Source())
    assert told(steps(build, release)) == ["Build done", *expected]


def test_an_image_is_pulled() -> None:
    found = steps(Build(status="running", source=Source(kind="image")), None)
    assert told(found)[0] == "Pull now"


def test_a_release_command_is_a_step_of_its_own(cast: Cast) -> None:
    release = make_release(cast, "starting", [])
    release.release_command = ["migrate"]
    assert told(steps(None, release))[:2] == ["Release command now", "Start waiting"]
    release.status = "failed"
    assert told(steps(None, release))[0] == "Release command failed"


def test_what_goes_on_is_shown_on_the_overview(cast: Cast) -> None:
    release = make_release(cast, "starting", ["running", "ready"])
    page = markup(Browser(cast.viewer).get("/t/demo/shop/"))
    assert f"v{release.version} is starting" in page and "1 of 2 ready" in page
    assert under_way(release.build, release, build_failed=False)[0].label == "Build"
    Release.objects.filter(pk=release.pk).update(status="live")
    assert "deploy-steps" not in markup(Browser(cast.viewer).get("/t/demo/shop/"))


def test_a_build_page_has_all_steps(cast: Cast) -> None:
    build = make_build(cast.app, cast.developer)
    page = markup(Browser(cast.viewer).get(f"/t/demo/shop/builds/{build.pk}/"))
    assert 'class="step-now" aria-current="step"' in page and "waits for a builder" in page


def make_release(cast: Cast, status: str, rows: list[str]) -> Release:
    release = released(cast.app, cast.developer)
    release.status = status
    release.processes[0]["count"] = 2
    release.save()
    for row in rows:
        Container.objects.create(
            tenant=cast.tenant,
            app=cast.app,
            release=release,
            kind="process",
            process_type="web",
            memory_limit=1,
            status="running" if row == "ready" else row,
            ready=row == "ready",
            started_at=None if row == "creating" else timezone.now(),
        )
    return release
