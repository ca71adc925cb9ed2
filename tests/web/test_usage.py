"""What the charts begin with: an hour of usage, kept in Valkey."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from django.utils import timezone

from paas import usage
from tenants.containers import observations
from tenants.containers.models import Container
from tenants.fleet.models import Machine
from tests.web.cast import Cast, make_container
from tests.web.pages import Browser


def test_an_hour_is_kept_of_each(platform: redis.Redis[bytes]) -> None:
    most = int(usage.SPAN / usage.EVERY)
    for n in range(most + 5):
        usage.remember(1000.9 + n, {"one": (n, 10), usage.MACHINE: (2 * n, 20)})
    assert usage.history("one")[0] == [1005, 5, 10]
    assert usage.history(usage.MACHINE)[-1] == [1000 + most + 4, 2 * (most + 4), 20]
    assert len(usage.history("one")) == most
    assert 0 < platform.ttl("usage:one") <= usage.SPAN
    assert usage.history("another") == []


def test_a_page_does_without_when_the_broker_is_gone(
    monkeypatch: pytest.MonkeyPatch, platform: redis.Redis[bytes]
) -> None:
    nobody = redis.Redis(unix_socket_path="/nowhere/valkey.sock")
    monkeypatch.setattr(usage, "client", lambda: nobody)
    assert usage.history("one") == []


def test_pages_begin_with_it_and_their_parts_do_not_send_it_again(cast: Cast) -> None:
    points = [[1000, 5, 10], [1010, 6, 20]]
    for at, memory, cpu in points:
        usage.remember(at, {cast.app.pk: (memory, cpu), usage.MACHINE: (memory, cpu)})
    Machine.objects.create(cores=2, memory_bytes=2**30, memory_available_bytes=2**29)
    for path, part, who in (
        ("/t/demo/shop/", "/t/demo/shop/parts/usage/", cast.viewer),
        ("/machine/", "/machine/", cast.admin),
    ):
        assert histories(Browser(who).get(path)) == [points, points]
        assert histories(Browser(who).part(part)) == []


def test_an_app_that_falls_asleep_gets_a_point_of_what_it_kept(cast: Cast) -> None:
    rows = [make_container(cast.app) for _ in range(2)]
    Container.objects.update(status="running", memory_bytes=50, cpu_millis=9)
    assert observations.fell_asleep(rows[0], since=timezone.now(), used=50, left=8)
    assert observations.fell_asleep(rows[1], since=timezone.now(), used=50, left=7)
    assert [point[1:] for point in usage.history(cast.app.pk)] == [[58, 9], [15, 0]]


def test_falling_asleep_does_without_when_the_broker_is_gone(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_container(cast.app)
    Container.objects.update(status="running")
    nobody = redis.Redis(unix_socket_path="/nowhere/valkey.sock")
    monkeypatch.setattr(usage, "client", lambda: nobody)
    assert observations.fell_asleep(row, since=timezone.now(), used=50, left=8)


def test_a_page_says_since_when_all_sleep_that_the_line_may_go_on(cast: Cast) -> None:
    rows = [make_container(cast.app) for _ in range(2)]
    cast.app.serving_release_id = cast.app.releases.latest("version").pk
    cast.app.save()
    Container.objects.update(status="running", process_type="web")
    part, browser = "/t/demo/shop/parts/usage/", Browser(cast.viewer)
    at = timezone.now()
    observations.fell_asleep(rows[0], since=at, used=50, left=8)
    assert "data-held" not in browser.part(part).content.decode()
    observations.fell_asleep(rows[1], since=at, used=50, left=8)
    assert browser.part(part).content.decode().count(f'data-held="{int(at.timestamp())}"') == 2


def histories(response: Any) -> list[Any]:
    text = response.content.decode()
    return [json.loads(piece.split('"', 1)[0]) for piece in text.split('data-history="')[1:]]
