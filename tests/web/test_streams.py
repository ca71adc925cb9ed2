"""Server-sent events: who may hear them, what they carry, how they go on where they stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.test import AsyncClient

from paas import live
from tenants import sse
from tenants.accounts import streams as live_stream
from tenants.accounts.models import User
from tenants.containers import streams as app_stream
from tenants.registries.models import Export
from tenants.releases import streams as build_stream
from tenants.releases.models import Build
from tests.web.cast import Cast, make_build, make_run

pytestmark = pytest.mark.django_db(transaction=True)


async def get(user: User | None, path: str, **headers: str) -> Any:
    client = AsyncClient()
    if user is not None:
        await client.aforce_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return await client.get(path, headers=headers)


async def take(source: AsyncIterator[bytes], count: int) -> list[bytes]:
    found = []
    async for piece in source:
        found.append(piece)
        if len(found) == count:
            break
    return found


def data_of(piece: bytes) -> Any:
    return json.loads(next(line for line in piece.decode().split("\n") if line.startswith("data: "))[6:])


def run(test: Callable[[], Awaitable[None]]) -> None:
    async_to_sync(test)()


@pytest.mark.parametrize("who", ["owner", "viewer", "stranger", "admin", "nobody"])
def test_access(cast: Cast, who: str) -> None:
    build, started = make_build(cast.app, cast.developer), make_run(cast.app, cast.developer)
    settings.PATHS.exports.mkdir(exist_ok=True)
    export = Export.objects.create(app=cast.app, release=cast.app.releases.get(), status="done")
    (settings.PATHS.exports / export.pk).touch()
    user = None if who == "nobody" else getattr(cast, who)
    ok = {"owner": 200, "viewer": 200, "admin": 200, "nobody": 401}.get(who, 404)

    async def look() -> None:
        for path in ("log/", f"builds/{build.pk}/log/", f"runs/{started.pk}/log/"):
            response = await get(user, f"/streams/t/demo/shop/{path}")
            members_alone = who == "admin" and path.startswith("runs/")
            assert response.status_code == (404 if members_alone else ok)
            response.close()
        image = await get(user, f"/streams/t/demo/shop/exports/{export.pk}/image.tar")
        assert image.status_code == {"owner": 200, "viewer": 403, "nobody": 401}.get(who, 404)
        image.close()
        response = await get(user, "/streams/live/")
        assert response.status_code == (401 if who == "nobody" else 200)
        response.close()

    run(look)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://shop-demo.localhost:8080"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}],
)
def test_other_origins_are_refused(cast: Cast, headers: dict[str, str]) -> None:
    async def look() -> None:
        assert (await get(cast.owner, "/streams/live/", **headers)).status_code == 403

    run(look)


def test_a_build_log_from_its_beginning_to_its_end(cast: Cast) -> None:
    build = make_build(cast.app, cast.developer)
    path = settings.PATHS.build_log(build.pk)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"one\ntwo\x1b[31m\xff\nthr")

    async def look() -> None:
        events = build_stream.follow(build, 0)
        first = await anext(events)
        assert data_of(first) == ["one", "two\x1b[31m\ufffd"]
        assert first.startswith(b"id: 14\n")
        with path.open("ab") as file:
            file.write(b"ee\nlast")
        await Build.objects.filter(pk=build.pk).aupdate(status="failed")
        assert data_of(await anext(events)) == ["three", "last"]
        assert b"event: end" in await anext(events)
        again = build_stream.follow(build, 14)
        assert data_of(await anext(again)) == ["three", "last"]
        await again.aclose()

    run(look)


def test_a_long_build_log_begins_near_its_end_and_long_lines_are_cut(cast: Cast) -> None:
    build = make_build(cast.app, cast.developer)
    path = settings.PATHS.build_log(build.pk)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 3_000_000 + b"\nend\n")
    Build.objects.filter(pk=build.pk).update(status="succeeded")

    async def look() -> None:
        pieces = [piece async for piece in build_stream.follow(build, 0)]
        assert b"event: skipped" in pieces[0]
        lines = [line for piece in pieces[1:-1] for line in data_of(piece)]
        assert lines[-1] == "end"
        assert all(len(line) < build_stream.LINE_MAX + 60 for line in lines)

    run(look)


def test_an_event_cannot_be_ended_by_what_it_carries() -> None:
    made = sse.event("lines", ["a\n\nevent: end\ndata: {}", "\r", "\u2028"], id="3")
    assert made.count(b"\n") == 4 and b"\r" not in made


def test_an_app_log_goes_on_by_time_and_sees_new_containers(cast: Cast) -> None:
    def container(index: int, texts: list[str]) -> None:
        row = cast.app.containers.create(
            tenant=cast.tenant,
            release=cast.app.releases.first(),
            kind="process",
            process_type="web",
            index=index,
            memory_limit=1,
            status="running",
        )
        path = settings.PATHS.container_log(row.pk)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "".join(f"2026-01-01T00:00:0{n}.{index}00000000+00:00 stdout F {t}\n" for n, t in enumerate(texts))
        )

    container(1, ["a", "b"])

    async def look() -> None:
        events = app_stream.follow(cast.app, "", "")
        first = await anext(events)
        assert [(line[0], line[3]) for line in data_of(first)] == [("web.1", "a"), ("web.1", "b")]
        assert b"event: caught-up" in await anext(events)
        await sync_to_async(container)(2, ["x", "y", "z"])
        later = await asyncio.wait_for(anext(events), 8)
        assert [(line[0], line[3]) for line in data_of(later)] == [("web.2", text) for text in "xyz"], (
            "x is older than b, and still new"
        )
        await events.aclose()

    run(look)


def test_changes_are_heard_of_own_tenants_only(cast: Cast, platform: redis.Redis[bytes]) -> None:
    names = live_stream.channels_of(cast.owner)
    assert names == [live.channel(cast.tenant.pk)]
    assert live.MACHINE in live_stream.channels_of(cast.admin)

    async def look() -> None:
        events = live_stream.changes(names)
        assert b"event: ready" in await anext(events)
        live.publish(live.channel(cast.other.pk), {"app": "theirs", "what": "app"})
        live.publish(live.channel(cast.tenant.pk), {"app": "mine", "what": "build"})
        assert data_of(await anext(events)) == {"app": "mine", "what": "build"}
        await events.aclose()

    run(look)


def test_a_person_in_no_tenant_has_a_stream_that_stays(cast: Cast) -> None:
    """One that broke off at once would have the page say for ever that it is not connected."""
    assert live_stream.channels_of(User.objects.create_user("new@example.com")) == []

    async def look() -> None:
        events = live_stream.changes([])
        assert b"event: ready" in await anext(events)
        waiting = asyncio.ensure_future(anext(events))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        waiting.cancel()

    run(look)


def test_heartbeats_and_the_end_of_a_right() -> None:
    async def never() -> sse.Events:
        await asyncio.sleep(60)
        yield b""

    async def refused() -> bool:
        return False

    async def look() -> None:
        paced = sse.paced(never(), refused, heartbeat=0.02, look_again=0.1)
        found = [piece async for piece in paced]
        assert found[0] == b"retry: 2000\n\n"
        assert b":\n\n" in found
        assert found[-1] == sse.event("gone", {})

    run(look)
