from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.platform import Platform

PASSWORD = "a long enough password"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="package")
def alone() -> Iterator[None]:
    """The platform under test has one address and one run folder: a second run of these tests waits here."""
    with Path("/run/lock/berth-e2e.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="package")
def platform(alone: None) -> Iterator[Platform]:
    """From nothing to a running platform with the example app; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="berth-e2e-", dir="/var/tmp"))
    folder.chmod(0o711)
    berth = Platform(folder)
    try:
        berth.up()
        berth.make_token()
        yield berth
    finally:
        berth.down("--all")
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One module only: while Playwright runs, its event loop is in the way of every other one."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def signed_in(platform: Platform, browser: Browser) -> Iterator[Page]:
    """The first administrator, by the printed link, with a password set."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(platform.sign_in_link())
    page.get_by_role("button", name="Sign in").click()
    for field in page.locator("input[type=password]").all():
        field.fill(PASSWORD)
    page.locator("main button[type=submit]").first.click()
    page.wait_for_url(lambda url: "/sign-in" not in url and "password" not in url)
    yield page
    page.context.close()
