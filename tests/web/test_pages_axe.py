"""Every page in a real browser, on a phone and on a desk, dark and light: nothing serious for axe, no sideways
scrolling, nothing that the policy blocks, not a word in the console."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from paas import usage
from tenants.accounts.models import Role, Tenant, User
from tenants.apps.models import App
from tests.web import seed, seed_inside, seed_isolation, seed_store
from tests.web.failing_urls import FAILURES
from tests.web.pages import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
FLAGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--no-first-run"]
SHOP = "/t/acme/shop/"
SANDBOX = "/t/harbor/sandbox/"  # never deployed
TABS = ("", "releases/", "builds/", "log/", "runs/", "config/", "settings/")
# By who looks. What {} stands for is a build of the app in that state.
PAGES = {
    "": ("/sign-in/", "/sign-in/link/none", "/nowhere/"),
    "ada": (
        "/",
        "/?q=nothing",
        "/apps/new/",
        "/machine/",
        "/machine/?by=app",
        "/machine/density/",
        "/machine/density/?by=process",
        "/machine/tenants/",
        "/machine/tenants/acme/",
        "/machine/tenants/acme/network/",
        "/machine/people/",
        "/account/",
        "/account/password/",
        "/tenants/acme/",
        *(SHOP + tab for tab in TABS),
        *(SANDBOX + tab for tab in TABS),
        f"{SHOP}runs/{seed.RUN}/",
        f"{SHOP}runs/000000000003/",  # timed out
        "/t/acme/none/",
        "/t/acme/shop-staging/",  # builds
        "/t/acme/search/",  # starts
        "/t/acme/billing/",  # its release failed
        "/t/acme/billing/releases/",
        "/t/acme/reports/",  # its build failed, another serves
        "/t/acme/landing/",  # its first build failed
        "/t/harbor/tides/",  # degraded
        "/t/harbor/notebook/",  # crashed
        "/t/harbor/archive/",  # scaled to nothing
        "/t/nova/docs/",  # waits for a builder
        "/t/nova/quiet/",  # its web process sleeps, its worker never does
        "/machine/store/",
        "/machine/isolation/",
        "/tenants/acme/isolation/",  # broken
        "/tenants/harbor/isolation/",  # whole
        "/tenants/nova/isolation/",  # never looked at
        *seed_store.EMPTY,
    ),
    "dev": (*seed_inside.PATHS, *seed_store.PATHS),
    "vic": (SHOP, f"{SHOP}config/", f"{SHOP}settings/", "/tenants/acme/", "/apps/new/", "/machine/"),
    "new": ("/", "/account/password/"),
    "fresh": ("/", "/tenants/fresh/"),
}
HEARD: dict[str, Any] = {"content_type": "text/event-stream", "body": "event: ready\ndata: {}\n\n"}
BUILDS = (("shop", "succeeded"), ("reports", "failed"), ("shop-staging", "running"), ("docs", "queued"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    # Playwright runs an event loop in this thread, which Django takes for asynchronous code.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def world() -> None:
    seed.fill()
    seed_inside.fill()
    seed_store.fill()
    seed_isolation.fill()
    User.objects.create_user("new@example.org")  # no password, no tenant
    fresh = Tenant.objects.create(slug="fresh", name="Fresh Start", range_index=9)
    fresh.members.create(user=User.objects.create_user("fresh@example.org"), role=Role.OWNER)
    shop = App.objects.get(name="shop").pk
    for n in range(60):
        usage.remember(time.time() - 600 + 10 * n, {shop: (n << 20, n), usage.MACHINE: (n << 26, 10 * n)})


@pytest.fixture(params=[(390, "dark"), (1280, "light")], ids=["phone-dark", "desk-light"])
def context(request: pytest.FixtureRequest, chromium: Chromium) -> Iterator[BrowserContext]:
    width, scheme = request.param
    made = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    # Streams are another process's; here they would hold the test server's threads. They are never answered.
    made.route("**/streams/**", lambda route: None)
    yield made
    made.close()


def enter(context: BrowserContext, origin: str, who: str) -> None:
    session = Browser(User.objects.get(email=f"{who}@example.org")).cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": origin}])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("who", PAGES)
def test_pages(context: BrowserContext, live_server: Any, world: None, who: str) -> None:
    if who:
        enter(context, live_server.url, who)
    builds = [App.objects.get(name=name).builds.filter(status=status)[0] for name, status in BUILDS]
    paths = [f"/t/{build.app.tenant.slug}/{build.app.name}/builds/{build.pk}/" for build in builds]
    page = context.new_page()
    for path in [*PAGES[who], *(paths if who == "ada" else [])]:
        look(page, live_server.url + path)


def test_errors(context: BrowserContext, live_server: Any, world: None, settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.web.failing_urls"
    page = context.new_page()
    for kind in FAILURES:
        look(page, f"{live_server.url}/fail/{kind}/")
    enter(context, live_server.url, "vic")
    for kind in ("refused", "bad", "conflict"):
        look(page, f"{live_server.url}/fail/{kind}/")


@pytest.mark.parametrize("width", [320, 768, 1920])
def test_no_width_scrolls_sideways(chromium: Chromium, live_server: Any, world: None, width: int) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 800})
    context.route("**/streams/**", lambda route: None)
    enter(context, live_server.url, "ada")
    page = context.new_page()
    for path in ("/", "/machine/", "/tenants/acme/", *(SHOP + tab for tab in TABS), "/t/acme/billing/"):
        page.goto(live_server.url + path)
        assert not scrolls(page), path
    context.close()


def look(page: Page, address: str) -> None:
    said = list[str]()

    def hear(message: object) -> None:
        said.append(getattr(message, "text", "") or str(message))

    page.on("pageerror", hear)
    page.on("console", hear)
    answer = page.goto(address)
    page.wait_for_load_state("load")
    assert page.title().endswith(" · Berth"), address
    assert not scrolls(page), f"{address} scrolls sideways"
    # The browser itself says in the console that a page was answered with an error.
    expected = "" if answer and answer.ok else "Failed to load resource: the server responded with"
    assert [text for text in said if not (expected and text.startswith(expected))] == [], address
    assert serious(page) == [], address
    page.remove_listener("pageerror", hear)
    page.remove_listener("console", hear)


def scrolls(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{row['id']}: {row['nodes'][0]['html'][:120]}"
        for row in found
        if row["impact"] in ("serious", "critical")
    ]


def test_a_live_part_leaves_open_what_somebody_opened(
    context: BrowserContext, live_server: Any, world: None
) -> None:
    enter(context, live_server.url, "ada")
    page = context.new_page()
    page.goto(f"{live_server.url}/t/harbor/tides/")
    page.get_by_text("Ended lately").click()
    page.locator("[data-opens=restart]").click()
    for part, what in (("usage", "containers"), ("head", "app")):
        with page.expect_response(re.compile(f"/parts/{part}/")):
            page.evaluate(f"document.body.dispatchEvent(new CustomEvent('live:{what}'))")
    expect(page.locator(".htmx-request")).to_have_count(0)
    assert page.locator("#restart").evaluate("it => it.matches(':modal')")
    assert page.locator("#ended").evaluate("it => it.open")


def test_a_page_says_when_it_hears_nothing(context: BrowserContext, live_server: Any, world: None) -> None:
    context.unroute("**/streams/**")
    context.route("**/streams/**", lambda route: route.abort())
    enter(context, live_server.url, "ada")
    page = context.new_page()
    page.goto(live_server.url)
    expect(page.get_by_text("Not connected: what you see may be old.")).to_be_visible()
    context.unroute("**/streams/**")
    context.route("**/streams/**", lambda route: route.fulfill(**HEARD))
    expect(page.get_by_text("Not connected: what you see may be old.")).to_be_hidden(timeout=20_000)


def test_what_an_app_writes_is_text(context: BrowserContext, live_server: Any, world: None) -> None:
    said = "\x1b[1;31m<img src=x onerror=alert(1)>\x1b[0m <b>plain</b> \x1b]0;title\x07 \u202etxt.exe"
    lines = json.dumps([["web.1", "2026-01-01T00:00:00Z", "stdout", said]])
    body = f"id: 1\nevent: lines\ndata: {lines}\n\n"
    context.route("**/streams/t/**", lambda route: route.fulfill(**{**HEARD, "body": body}))
    enter(context, live_server.url, "ada")
    page = context.new_page()
    page.goto(f"{live_server.url}{SHOP}log/")
    line = page.locator(".log-text").first
    expect(line).to_have_text("<img src=x onerror=alert(1)> <b>plain</b> ␛]0;title␇ ⟨U+202E⟩txt.exe")
    expect(line.locator(".ansi-red-fg.ansi-bold")).to_have_text("<img src=x onerror=alert(1)>")
    assert line.locator("img, b").count() == 0


def test_a_chart_shows_the_hour_before_and_goes_on(
    context: BrowserContext, live_server: Any, world: None
) -> None:
    enter(context, live_server.url, "ada")
    page = context.new_page()
    page.goto(live_server.url + SHOP)
    expect(page.locator("#chart-memory canvas")).to_be_visible()
    with page.expect_response(re.compile("/parts/usage/")):
        page.evaluate("document.body.dispatchEvent(new CustomEvent('live:usage'))")
    expect(page.locator(".htmx-request")).to_have_count(0)
    expect(page.locator("#chart-memory canvas")).to_be_visible()


def test_a_chart_of_what_sleeps_ends_now_with_what_it_kept(
    context: BrowserContext, live_server: Any, world: None
) -> None:
    app, slept_at = App.objects.get(tenant__slug="acme", name="shop"), timezone.now() - timedelta(minutes=40)
    app.containers.exclude(status="stopped").update(status="stopped", stopped_at=slept_at)
    row = app.containers.filter(kind="process", process_type="web").first()
    assert row is not None
    slept = {"status": "sleeping", "slept_at": slept_at, "memory_bytes": 7 << 20, "cpu_millis": 0}
    app.containers.filter(pk=row.pk).update(**slept, sampled_at=slept_at)
    for minutes in (50, 45, 41):
        usage.remember(time.time() - minutes * 60, {app.pk: (90 << 20, 100)})
    enter(context, live_server.url, "ada")
    page = context.new_page()
    page.goto(live_server.url + SHOP)
    over = page.locator("#chart-memory .u-over")
    box = over.bounding_box()
    assert box is not None
    for place, told in ((0.99, "7 MiB"), (0.5, "7 MiB"), (0.2, "7 MiB"), (0.02, "90 MiB")):
        over.hover(position={"x": box["width"] * place, "y": 10})
        expect(page.locator("#chart-memory .chart-reading")).to_contain_text(told)
