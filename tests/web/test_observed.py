"""What containers, apps and the machine are observed to be, and how lists show it."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from paas.errors import HostProblem
from tenants.accounts.middleware import ReaderTimeZone
from tenants.apps.actions import create_app
from tenants.apps.selectors import app_card, app_cards, app_state
from tenants.apps.state import Facts, State, state_of
from tenants.containers import observations
from tenants.containers.models import Container
from tenants.containers.selectors import live_containers, past_containers
from tenants.fleet import selectors
from tenants.fleet.observations import machine_sampled
from tenants.fleet.selectors import machine
from tenants.releases.actions import restart
from tests.web.cast import Cast, go_live, make_build, released


def container(cast: Cast, **changes: Any) -> Container:
    base: dict[str, Any] = {
        "app": cast.app,
        "release": cast.app.releases.get(version=1),
        "build": None,
        "kind": Container.Kind.PROCESS,
        "process_type": "web",
        "index": 1,
        "memory_limit": 1 << 28,
    }
    return observations.new_container(**{**base, **changes})


def end(row: Container) -> bool:
    return observations.stopped(row, exit_code=1, exit_signal=None, oom_killed=False, reason="exited")


def test_addresses_are_the_lowest_free_and_come_back_when_released(cast: Cast) -> None:
    first, second, third = (container(cast, index=n) for n in (1, 2, 3))
    assert [row.address for row in (first, second, third)] == [16, 17, 18]
    assert not observations.released(second)  # it still runs
    end(second)
    assert container(cast).address == 19
    assert observations.released(second) and second.address is None
    assert container(cast).address == 17


def test_two_containers_cannot_have_one_address(cast: Cast) -> None:
    row = container(cast)
    with pytest.raises(IntegrityError), transaction.atomic():
        Container.objects.filter(pk=container(cast).pk).update(address=row.address)


def test_a_full_prefix_is_the_machines_problem(cast: Cast, settings: Any) -> None:
    from ipaddress import IPv4Network  # noqa: PLC0415

    settings.CONTAINER_PREFIX = IPv4Network("10.9.0.0/27")
    rows = [container(cast) for _ in range(8)]
    assert rows[-1].address == 23
    with pytest.raises(HostProblem, match="all addresses") as caught:
        container(cast)
    assert caught.value.retryable


def test_a_container_moves_forward_only_and_its_first_end_counts(cast: Cast) -> None:
    row = container(cast)
    assert not observations.ready(row)
    assert observations.created(row) and observations.started(row) and observations.ready(row)
    assert not observations.created(row)
    assert end(row) and not end(row) and not observations.started(row)
    row.refresh_from_db()
    assert (row.status, row.ready, row.exit_code) == ("stopped", False, 1)
    assert list(past_containers(cast.app)) == [row] and not live_containers(cast.app)


def test_a_sample_writes_usage_and_leaves_a_changed_status_alone(cast: Cast) -> None:
    row = container(cast)
    observations.started(row)
    stale = Container.objects.get(pk=row.pk)
    end(row)
    stale.memory_bytes, stale.cpu_millis, stale.sampled_at = 5_000_000, 30, timezone.now()
    observations.sampled([stale])
    row.refresh_from_db()
    assert row.status == "stopped" and row.memory_bytes == 5_000_000


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (Facts(), State.NEW),
        (Facts(building=True), State.BUILDING),
        (Facts(building=True, deploying=True), State.DEPLOYING),
        (Facts(failed=True), State.FAILED),
        (Facts(serving=True, wanted=2, ready=2, failed=True), State.RUNNING),
        (Facts(serving=True, wanted=2, ready=1), State.DEGRADED),
        (Facts(serving=True, wanted=2, ready=0), State.CRASHED),
        (Facts(serving=True), State.STOPPED),
    ],
)
def test_state_in_one_word(facts: Facts, state: State) -> None:
    assert state_of(facts) == state


def test_an_app_from_new_to_running(cast: Cast) -> None:
    app = create_app(actor=cast.owner, tenant=cast.tenant, name="api")
    assert app_state(app) == State.NEW
    make_build(app, cast.owner)
    assert app_state(app) == State.BUILDING
    assert app_state(cast.app) == State.CRASHED  # v1 serves without a container
    row = container(cast)
    observations.started(row)
    observations.ready(row)
    Container.objects.update(memory_bytes=7, cpu_millis=3)
    card = app_card(cast.app)
    assert (card.state, card.version, card.containers_ready, card.containers_wanted) == ("running", 1, 1, 1)
    Container.objects.filter(app=cast.app).update(status="sleeping")
    assert app_state(cast.app) == State.ASLEEP
    Container.objects.filter(app=cast.app).update(status="running")
    assert (card.memory_bytes, card.memory_limit, card.cpu_millis) == (7, 1 << 28, 3)
    assert card.latest_build and card.latest_build.status == "succeeded"
    assert card.address == "http://shop-demo.localhost:8080"


def test_only_ready_containers_of_the_serving_release_count(cast: Cast) -> None:
    row = container(cast)
    observations.started(row)
    observations.ready(row)
    release = restart(actor=cast.owner, app=cast.app)
    assert app_card(cast.app).state == State.DEPLOYING
    go_live(release)
    assert app_card(cast.app).containers_ready == 0


def test_a_list_of_apps_costs_the_same_queries_however_long(cast: Cast, django_assert_num_queries: Any) -> None:
    for n in range(3):
        released(create_app(actor=cast.owner, tenant=cast.tenant, name=f"app-{n}"), cast.owner)
    with django_assert_num_queries(5):
        assert len(app_cards(cast.owner)) == 4
    assert [card.name for card in app_cards(cast.stranger)] == ["blog"]


def test_the_machine_and_who_uses_it(cast: Cast) -> None:
    assert machine() is None
    numbers: dict[str, Any] = {
        "cores": 2,
        "memory_bytes": 100,
        "memory_available_bytes": 40,
        "cpu_millis": 700,
        "disk_bytes": 10,
        "disk_free_bytes": 5,
        "swap_bytes": 1,
        "swap_free_bytes": 1,
    }
    for _ in range(2):
        machine_sampled(**numbers)
    seen = machine()
    assert seen and seen.cores == 2 and seen.sampled_at
    row = container(cast)
    observations.started(row)
    Container.objects.update(memory_bytes=50, cpu_millis=9)
    first, second = selectors.tenants()
    assert (first.slug, first.memory, first.cpu, first.running, first.apps_made) == ("demo", 50, 9, 1, 1)
    assert (second.slug, second.memory) == ("other", 0)
    assert [use.slug for use in selectors.use_by_tenant()] == ["demo"], "who runs nothing is in no bar"
    shop, blog = selectors.apps()
    assert (shop.name, shop.memory, blog.name, blog.memory) == ("shop", 50, "blog", 0)


@pytest.mark.parametrize(
    ("cookie", "own", "shown"),
    [
        ("Europe/Berlin", "UTC", "Europe/Berlin"),
        ("../../etc/passwd", "Asia/Tokyo", "Asia/Tokyo"),
        ("", "Nowhere/Town", "UTC"),
    ],
)
def test_times_are_in_the_readers_zone(cast: Cast, cookie: str, own: str, shown: str) -> None:
    request = RequestFactory().get("/", headers={"Host": settings.DASHBOARD_HOST})
    request.COOKIES["tz"], cast.owner.time_zone = cookie, own
    request.user = cast.owner
    answer = ReaderTimeZone(lambda _: HttpResponse(timezone.get_current_timezone_name()))(request)
    assert isinstance(answer, HttpResponse) and answer.content.decode() == shown
