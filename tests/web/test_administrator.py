"""An administrator sees any tenant's apps, says so on the page, leaves a trace, and changes nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tenants.accounts import streams
from tenants.apps.access import app_for, app_seen_by
from tenants.apps.models import App
from tenants.audit.models import Event
from tenants.containers.models import Container
from tests.web.cast import Cast
from tests.web.pages import Browser

MARK = "You see this as administrator."
TABS = ("", "releases/", "builds/", "log/", "config/", "settings/")


@pytest.mark.parametrize("tab", TABS)
def test_pages_are_shown_with_a_mark_and_without_a_way_to_change(cast: Cast, tab: str) -> None:
    cast.app.config_vars.create(key="TOKEN", value="very-secret")
    page = Browser(cast.admin).get(f"/t/demo/shop/{tab}").content.decode()
    assert MARK in page and "very-secret" not in page
    main = page[page.index("<main") :]
    assert 'method="post"' not in main and "hx-post" not in main
    for member in (cast.owner, cast.viewer):
        assert MARK not in Browser(member).get(f"/t/demo/shop/{tab}").content.decode()


def test_a_look_is_noted_once_an_hour(cast: Cast) -> None:
    browser = Browser(cast.admin)
    for tab in TABS:
        browser.get(f"/t/demo/shop/{tab}")
    browser.part("/t/demo/shop/parts/usage/")
    event = Event.objects.get(verb="admin.look")
    assert (event.actor, event.tenant_id, event.app_id) == (cast.admin, cast.tenant.pk, cast.app.pk)
    assert event.detail == {"tenant": "demo", "app": "shop"}
    Event.objects.update(at=timezone.now() - timedelta(minutes=61))
    browser.get("/t/demo/shop/")
    browser.get("/tenants/demo/")
    assert Event.objects.filter(verb="admin.look").count() == 3, "again, and the tenant by itself"


def test_nobody_else_sees_more_and_members_leave_no_trace(cast: Cast) -> None:
    assert Browser(cast.stranger).get("/t/demo/shop/").status_code == 404
    assert Browser(cast.owner).get("/t/demo/shop/").status_code == 200
    assert Browser(cast.admin).get("/t/demo/none/").status_code == 404
    App.objects.filter(pk=cast.app.pk).update(destroyed_at=timezone.now())
    assert Browser(cast.admin).get("/t/demo/shop/").status_code == 404
    assert not Event.objects.filter(verb="admin.look").exists()


def test_changing_still_needs_membership(cast: Cast) -> None:
    browser = Browser(cast.admin)
    for path in ("restart/", "deploy/", "destroy/", "config/", "settings/", "releases/1/rollback/"):
        assert browser.post(f"/t/demo/shop/{path}", {"web": "2", "confirm": "shop"}).status_code == 404
    assert browser.get("/t/demo/shop/config/TOKEN/?open").status_code == 404


def test_an_administrator_who_was_shut_out_sees_nothing(cast: Cast) -> None:
    from paas.errors import NotFound  # noqa: PLC0415

    cast.admin.is_active = False
    with pytest.raises(NotFound):
        app_seen_by(cast.admin, "demo", "shop")


def test_a_token_never_shows_more_than_membership(cast: Cast) -> None:
    assert cast.client(cast.admin).call("GET", "apps/demo/shop").status_code == 404
    assert app_seen_by(cast.admin, "demo", "shop") == cast.app
    assert app_for(cast.owner, "demo", "shop") == cast.app


def test_a_page_that_is_looked_at_hears_of_that_tenant(cast: Cast) -> None:
    mine = streams.channels_of(cast.owner, "demo")
    assert streams.channels_of(cast.admin, "demo") == mine and len(mine) == 1
    assert streams.channels_of(cast.stranger, "demo") == []


# --- thousands of rows
def test_lists_of_thousands_stay_quick(cast: Cast, django_assert_max_num_queries: object) -> None:
    apps = App.objects.bulk_create(App(tenant=cast.other, name=f"app-{n:04}") for n in range(2000))
    Container.objects.bulk_create(
        Container(
            tenant=cast.other,
            app=app,
            kind="process",
            process_type="web",
            memory_limit=100,
            memory_bytes=n,
            status="running",
        )
        for n, app in enumerate(apps)
    )
    admin, stranger = Browser(cast.admin), Browser(cast.stranger)
    most = django_assert_max_num_queries
    for path in ("/machine/", "/machine/?by=app", "/machine/?by=app&sort=cpu&q=app-1", "/machine/tenants/"):
        with most(15):  # type: ignore[operator]
            assert admin.get(path).status_code == 200
    with most(16):  # type: ignore[operator]
        page = admin.get("/machine/tenants/other/").content.decode()
    assert "app-1999" in page and "app-0001<" not in page and "25 of 2001" in page
    assert "app-0001<" in admin.part("/machine/tenants/other/?part=apps&q=app-0001").content.decode()
    with most(14):  # type: ignore[operator]
        assert b"100 of 2001" in stranger.get("/").content
    for path in ("/t/other/app-0001/", "/t/other/app-0001/log/", "/tenants/other/"):
        with most(20):  # type: ignore[operator]
            assert stranger.get(path).status_code == 200


def test_machine_lists_are_for_administrators(cast: Cast) -> None:
    for path in ("/machine/", "/machine/people/", "/machine/tenants/", "/machine/tenants/demo/"):
        assert Browser(cast.owner).get(path).status_code == 403
    assert Browser(cast.admin).get("/machine/tenants/none/").status_code == 404
