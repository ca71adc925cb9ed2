"""Pages in a real browser: nothing serious for axe, no sideways scrolling, nothing that the policy blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tenants.accounts.models import User
from tests.web import seed, seed_inside
from tests.web.pages import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
FLAGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--no-first-run"]
SHOP = "/t/acme/shop/"
PAGES = (
    "/",
    "/apps/new/",
    "/machine/",
    "/machine/tenants/",
    "/account/",
    "/account/password/",
    "/tenants/acme/",
    SHOP,
    f"{SHOP}releases/",
    f"{SHOP}builds/",
    f"{SHOP}log/",
    f"{SHOP}runs/",
    f"{SHOP}runs/{seed.RUN}/",
    f"{SHOP}config/",
    f"{SHOP}settings/",
    "/t/acme/billing/",
    "/t/acme/landing/",
    "/t/harbor/sandbox/",
    "/t/harbor/tides/",
    "/t/acme/none/",
    *seed_inside.PATHS,
)
WIDE = ("/", "/machine/", SHOP, f"{SHOP}log/", f"{SHOP}runs/{seed.RUN}/", "/t/acme/billing/")
SIGNED_OUT = ("/sign-in/", "/sign-in/link/none")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    # Playwright runs an event loop in this thread, which Django takes for asynchronous code.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_pages(chromium: Chromium, live_server: Any, width: int, scheme: Any) -> None:
    seed.fill()
    seed_inside.fill()
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    # Streams are another process's; here they would hold the only test server's threads.
    context.route("**/streams/**", lambda route: route.abort())
    for path in SIGNED_OUT:
        look(context, live_server.url, path)
    session = Browser(User.objects.get(email="ada@example.org")).cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
    for path in PAGES if width == 360 else WIDE:
        look(context, live_server.url, path)
    context.close()


def look(context: BrowserContext, origin: str, path: str) -> None:
    page, said = context.new_page(), []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text))
    page.goto(origin + path)
    page.wait_for_load_state("load")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls sideways"
    blocked = [text for text in said if "Content Security Policy" in text or "Error" in text]
    assert not blocked, (path, blocked)
    assert serious(page) == [], path
    page.close()


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{row['id']}: {row['nodes'][0]['html'][:120]}"
        for row in found
        if row["impact"] in ("serious", "critical")
    ]
