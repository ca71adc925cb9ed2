"""Two at the same time. On SQLite, which has one writer, the second begins when the first has ended; on
PostgreSQL both are under way, and what must not happen twice hangs on a row's lock or on a constraint."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from django.db import connection, connections, transaction

from paas import admission
from paas.errors import Conflict, Refused
from paas.linux.memory import Memory
from paas.specs import MIB, ProcessSpec
from paas.worker import room
from tenants.accounts.actions import (
    add_member,
    create_tenant,
    make_sign_in_link,
    remove_member,
    use_sign_in_link,
)
from tenants.accounts.models import Member, Role
from tenants.apps.actions import create_app
from tenants.containers.models import Container
from tenants.containers.observations import new_container
from tenants.releases import next as following
from tenants.releases.actions import cancel_build
from tenants.releases.models import Build
from tenants.releases.observations import claim_build
from tenants.runs import observations as runs
from tenants.runs.actions import cancel_run, start_run
from tests.web.cast import Cast, make_build, make_cast, make_run, released

SECONDS = 20.0


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return make_cast()


def second(work: Callable[[], Any], *, after: Callable[[], Any]) -> Any:
    """What `work` gives or raises in a thread that comes while the transaction of `after` is not over yet."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            after()
            later = pool.submit(_apart, work)
            _until_it_waits(later)
        return later.result(SECONDS)


def _apart(work: Callable[[], Any]) -> Any:
    try:
        return work()
    finally:
        connections.close_all()


def _until_it_waits(later: Future[Any]) -> None:
    """For a lock of ours; or it is done, because nothing held it back."""
    if connection.vendor == "sqlite":
        time.sleep(0.1)  # it asks again and again whether it may write, which nobody can see
        return
    end = time.monotonic() + SECONDS
    with connection.cursor() as cursor:
        while not later.done():
            cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            if cursor.fetchone() == (True,):
                return
            assert time.monotonic() < end
            time.sleep(0.01)


def container(cast: Cast) -> Container:
    return new_container(
        app=cast.app, release=None, build=None, kind=Container.Kind.PROCESS, process_type="web", index=1,
        memory_limit=1 << 28,
    )  # fmt: skip


def test_two_that_start_at_once_do_not_get_the_same_memory(cast: Cast) -> None:
    """Whoever has found room waits a while for the other to find it too."""
    web, both = ProcessSpec(name="web", args=("x",), memory_bytes=512 * MIB), Barrier(2)
    room_for_one = Memory(4096 * MIB, admission.reserve(4096 * MIB) + 100 * MIB, 0, 0, 0)

    def start() -> None:
        with room.found(cast.app, web, lambda: room_for_one):
            with suppress(BrokenBarrierError):
                both.wait(0.3)
            container(cast)

    with ThreadPoolExecutor(2) as pool:
        starts = [pool.submit(_apart, start) for _ in range(2)]
        refused = [error for one in starts if (error := one.exception(SECONDS))]
    assert [type(error) for error in refused] == [Refused], refused
    assert "the machine has 36 MiB to give" in str(refused[0])
    assert Container.objects.count() == 1


def test_a_sign_in_link_lets_one_of_two_in(cast: Cast) -> None:
    secret = make_sign_in_link(actor=cast.admin, user=cast.owner)
    with pytest.raises(Refused, match="was used before"):
        second(lambda: use_sign_in_link(secret), after=lambda: use_sign_in_link(secret))


def test_a_build_is_claimed_by_one_of_two(cast: Cast) -> None:
    build = make_build(cast.app, cast.owner).pk
    assert second(lambda: claim_build(build, "w2"), after=lambda: claim_build(build, "w1")) is None
    found = Build.objects.get(pk=build)
    assert (found.claim, found.attempts) == ("w1", 1)


def test_a_build_that_is_being_cancelled_is_not_claimed(cast: Cast) -> None:
    build = make_build(cast.app, cast.owner)
    cancel = lambda: cancel_build(actor=cast.owner, build=build)  # noqa: E731
    assert second(lambda: claim_build(build.pk, "w1"), after=cancel) is None
    assert Build.objects.get(pk=build.pk).status == "cancelled"


def test_a_command_that_is_being_cancelled_does_not_start(cast: Cast) -> None:
    released(cast.app, cast.owner)
    run = make_run(cast.app, cast.owner)
    claim = lambda: runs.claim(run, process_type="run", memory_limit=1 << 28)  # noqa: E731
    assert second(claim, after=lambda: cancel_run(actor=cast.owner, run=run)) is None
    run.refresh_from_db()
    assert run.status == "cancelled" and run.container is None


def test_a_command_is_claimed_by_one_of_two(cast: Cast) -> None:
    released(cast.app, cast.owner)
    run = make_run(cast.app, cast.owner)
    claim = lambda: runs.claim(run, process_type="run", memory_limit=1 << 28)  # noqa: E731
    assert second(claim, after=claim) is None
    assert Container.objects.filter(kind="command").count() == 1


def test_commands_of_two_apps_are_counted_together(cast: Cast, settings: Any) -> None:
    settings.RUNS_AT_ONCE = 1
    apps = [cast.app, create_app(actor=cast.owner, tenant=cast.tenant, name="second")]
    for app in apps:
        released(app, cast.owner)
    one, other = (lambda app=app: start_run(actor=cast.owner, app=app, command="true") for app in apps)
    with pytest.raises(Conflict, match="more at once are not allowed"):
        second(other, after=one)


def test_two_containers_that_start_have_an_address_each(cast: Cast) -> None:
    kept: list[Container] = []
    later = second(lambda: container(cast), after=lambda: kept.append(container(cast)))
    assert [kept[0].address, later.address] == [16, 17]


def test_who_holds_an_app_keeps_nobody_from_starting_its_containers(cast: Cast) -> None:
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        following.lock(cast.app)
        later = pool.submit(_apart, lambda: container(cast))
        _until_it_waits(later)
        waited = not later.done()
    assert waited is (connection.vendor == "sqlite")


def test_of_two_owners_who_leave_one_stays(cast: Cast) -> None:
    one = Member.objects.get(tenant=cast.tenant, role=Role.OWNER)
    other = Member.objects.create(tenant=cast.tenant, user=cast.admin, role=Role.OWNER)
    with pytest.raises(Conflict, match="the last owner"):
        second(
            lambda: remove_member(actor=cast.owner, member=other),
            after=lambda: remove_member(actor=cast.owner, member=one),
        )


def test_one_of_two_gets_the_apps_name(cast: Cast) -> None:
    create = lambda: create_app(actor=cast.owner, tenant=cast.tenant, name="blog")  # noqa: E731
    with pytest.raises(Conflict, match="there is an app demo/blog already"):
        second(create, after=create)


def test_one_of_two_gets_the_tenants_slug(cast: Cast) -> None:
    create = lambda: create_tenant(actor=cast.admin, slug="fresh", name="Fresh")  # noqa: E731
    with pytest.raises(Conflict, match="there is a tenant fresh already"):
        second(create, after=create)


def test_a_person_joins_a_tenant_once(cast: Cast) -> None:
    email = cast.stranger.email
    add = lambda: add_member(actor=cast.owner, tenant=cast.tenant, email=email, role=Role.VIEWER)  # noqa: E731
    with pytest.raises(Conflict, match="is a member of demo already"):
        second(add, after=add)


def test_a_new_person_is_made_once(cast: Cast) -> None:
    def add(tenant: Any) -> Callable[[], Any]:
        return lambda: add_member(actor=cast.admin, tenant=tenant, email="new@example.com", role=Role.VIEWER)

    member, secret = second(add(cast.other), after=add(cast.tenant))
    assert secret is None and member.user.memberships.count() == 2
