"""Asking what is inside: what is told, what is hidden, what is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from paas.contents.masking import MASK, masking
from paas.errors import Conflict
from paas.templatetags.berth import visible
from tenants.accounts.models import User
from tenants.inspections import actions, observations
from tenants.inspections.differences import Difference, differences, secrets_of
from tenants.inspections.models import Inspection
from tenants.releases.actions import scale, set_config
from tenants.releases.models import Release
from tests.web import seed, seed_inside
from tests.web.cast import Cast, make_container, make_inspection
from tests.web.pages import Browser, markup


def test_config_is_told_by_name_and_formation_by_number(cast: Cast) -> None:
    before = set_config(actor=cast.owner, app=cast.app, changes={"TOKEN": "first-token", "OLD": "x"})
    set_config(actor=cast.owner, app=cast.app, changes={"TOKEN": "other-token", "OLD": None, "NEW": "y"})
    after = scale(actor=cast.owner, app=cast.app, formation={"web": 3})
    assert before and after
    assert differences(before, after, [{}, {}]) == [
        Difference("config", "NEW", None, "(hidden)"),
        Difference("config", "OLD", "(hidden)", None),
        Difference("config", "TOKEN", "(hidden)", "(hidden, another one)"),
        Difference("formation", "web count", "1", "3"),
    ]
    assert secrets_of(before, after) == {"first-token", "other-token", "x", "y"}


def test_images_are_told_by_all_of_their_settings(cast: Cast) -> None:
    release = cast.app.releases.get()
    before = {"env": [["A", "1"]], "exposed_ports": ["80/tcp"], "labels": [["v", "1"]], "workdir": "/"}
    after = {
        "env": [["A", "2"]],
        "exposed_ports": ["80/tcp", "53/udp"],
        "volumes": ["/data"],
        "labels": [["v", "2"]],
        "workdir": "/",
        "healthcheck": {"test": ["CMD", "true"], "interval": 30.0, "retries": 3},
    }
    assert differences(release, release, [before, after]) == [
        Difference("image", "Ports", "80/tcp", "80/tcp 53/udp"),
        Difference("image", "LABEL v", "1", "2"),
        Difference("image", "ENV A", "1", "2"),
        Difference("image", "Volumes", None, "/data"),
        Difference("image", "Healthcheck test", None, "CMD true"),
        Difference("image", "Healthcheck interval", None, "30 s"),
        Difference("image", "Healthcheck retries", None, "3"),
    ]


def test_amounts_have_their_units(cast: Cast) -> None:
    before = cast.app.releases.get()
    (web,) = before.processes
    after = Release(
        config=before.config,
        processes=[{**web, "memory_bytes": 1100 << 20, "cpu_millis": 1500}],
        health={**before.health, "timeout": 90},
    )
    assert differences(before, after, [{}, {}]) == [
        Difference("formation", "web memory", "256 MiB", "1,100 MiB"),
        Difference("formation", "web cpu", "1 core", "1.5 cores"),
        Difference("health", "timeout", "60 s", "90 s"),
    ]


def test_masking_takes_the_longest_first_and_leaves_short_values() -> None:
    mask = masking({"secret", "secret-and-more", "true"})
    assert mask("secret-and-more secret true") == f"{MASK} {MASK} true"


def test_what_cannot_change_is_looked_at_once(cast: Cast) -> None:
    asked = make_inspection(cast.app, cast.viewer)
    assert make_inspection(cast.app, cast.owner).pk == asked.pk
    assert observations.answered(asked, {"layers": []})
    assert make_inspection(cast.app, cast.owner).pk == asked.pk
    assert not observations.failed(asked, {"summary": "late", "hint": ""})


def test_a_failure_is_looked_at_again(cast: Cast) -> None:
    asked = make_inspection(cast.app, cast.viewer)
    observations.failed(asked, {"summary": "no", "hint": ""})
    assert make_inspection(cast.app, cast.viewer).pk != asked.pk


def test_answers_are_kept_a_day_and_so_many(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observations, "KEPT", 2)
    made = [Inspection.objects.create(app=cast.app, kind="image", created_by=cast.owner) for _ in range(4)]
    for inspection in made[:3]:
        observations.answered(inspection, {})
    assert set(Inspection.objects.values_list("pk", flat=True)) == {row.pk for row in made[1:]}
    yesterday = timezone.now() - timedelta(days=1, minutes=1)
    Inspection.objects.filter(pk=made[1].pk).update(answered_at=yesterday)
    observations.answered(made[3], {})
    assert set(Inspection.objects.values_list("pk", flat=True)) == {row.pk for row in made[2:]}


def test_no_more_wait_than_a_worker_gets_through(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MOST_WAITING", 1)
    make_inspection(cast.app, cast.viewer)
    with pytest.raises(Conflict, match="1 inspections wait"):
        actions.changes_of(actor=cast.viewer, app=cast.app, container=make_container(cast.app))


@pytest.mark.parametrize("path", seed_inside.PATHS)
def test_every_answer_has_a_page(db: None, path: str) -> None:
    seed.fill()
    seed_inside.fill()
    page = Browser(User.objects.get(email="vic@example.org")).get(path)
    assert page.status_code == 200
    assert "<b>old</b>" not in markup(page)


def test_the_page_of_an_image_says_where_it_comes_from(db: None) -> None:
    seed.fill()
    seed_inside.fill()
    page = markup(Browser(User.objects.get(email="vic@example.org")).get(seed_inside.PATHS[0]))
    made = seed_inside.PROVENANCE
    steps = [step for stage in made["recipe"]["stages"] for step in stage["steps"]]
    for fact in (made["source"], made["base"], "python of Berth 0.1.0", "VERSION=7", "Stage build", *steps):
        assert str(fact) in page


def test_the_page_of_an_image_shows_its_settings(db: None) -> None:
    seed.fill()
    seed_inside.fill()
    page = markup(Browser(User.objects.get(email="vic@example.org")).get(seed_inside.PATHS[0]))
    for setting in ("8000/tcp, 9000/udp", "/var/lib/shop", "org.opencontainers.image.source", "CMD-SHELL curl"):
        assert setting in page


def test_the_page_of_an_image_says_when_it_was_built(db: None) -> None:
    seed.fill()
    seed_inside.fill()
    page = markup(Browser(User.objects.get(email="vic@example.org")).get(seed_inside.PATHS[0]))
    assert '<dt>Built</dt><dd><time datetime="2026-11-26T20:00:00+00:00"' in page


def test_the_page_of_a_difference_tells_targets_and_sizes(db: None) -> None:
    seed.fill()
    seed_inside.fill()
    page = markup(Browser(User.objects.get(email="vic@example.org")).get(seed_inside.PATHS[2]))
    assert "leads to releases/7" in page
    assert "2,481 → 2,480 bytes" in page and "2 KiB → 2 KiB" not in page


def test_no_name_forges_what_a_page_shows(db: None) -> None:
    seed.fill()
    seed_inside.fill()
    file = {**seed_inside.FILE, "target": "a\u202eb"}
    path = "x\n- <i>\u2066"
    change: dict[str, Any] = {"path": path, "what": "added", "aspects": [], "before": None, "after": file}
    answer = {**seed_inside.DIFFERENCE, "files": [{**change, "text": "+\tred\x1b"}], "configs": [{}, {}]}
    Inspection.objects.filter(kind="releases").update(answer=answer)
    Inspection.objects.filter(kind="layer").update(answer={"files": [{"path": path, **file}], "more": 0})
    browser = Browser(User.objects.get(email="vic@example.org"))
    layer, difference = (markup(browser.get(seed_inside.PATHS[number])) for number in (1, 2))
    for page in (layer, difference):
        assert r"/x\n- &lt;i&gt;\u2066" in page and r"a\u202eb" in page
    assert r"+ red\x1b" in difference
    assert visible("\udcff") == r"\xff"


def test_the_page_of_a_container_names_its_release_and_since_when(db: None) -> None:
    seed.fill()
    seed_inside.fill()
    asked = Inspection.objects.get(kind="container")
    page = markup(Browser(User.objects.get(email="vic@example.org")).get(seed_inside.PATHS[3]))
    assert asked.container and asked.container.release and asked.container.started_at
    assert f"Of {asked.container.release}, started <time" in page
    assert asked.container.started_at.strftime("%Y-%m-%dT%H:%M:%S") in page


def test_the_bill_of_materials_is_a_file(db: None) -> None:
    seed.fill()
    seed_inside.fill()
    browser = Browser(User.objects.get(email="vic@example.org"))
    found: Any = browser.get(f"{seed_inside.PATHS[0]}bill.json")
    assert found.headers["Content-Disposition"] == 'attachment; filename="shop-v9.cdx.json"'
    assert found.json() == {"bomFormat": "CycloneDX"}
