"""A person's first hour, in Chromium: sign in, make an app, upload, watch, open, change, roll back."""

from __future__ import annotations

import base64
import gzip
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.platform import ROOT, Platform, packed

pytestmark = pytest.mark.e2e
SITE = ROOT / "examples" / "static-site"
HALF_A_MIB = 512 * 1024
SOON = 60_000  # milliseconds


def test_from_sign_in_to_roll_back(platform: Platform, signed_in: Page, tmp_path: Path) -> None:
    page, archive = signed_in, tmp_path / "site.tar.gz"
    page.goto(f"{platform.dashboard}/apps/new/")
    page.get_by_label("Name").fill("journey")
    page.get_by_role("button", name="Make app").click()
    page.wait_for_url("**/t/demo/journey/")
    for text, send in (("first words", choose), ("second words", drop)):
        files = {"index.html": f"<h1>{text}</h1>", "noise": secrets.token_hex(HALF_A_MIB)}
        archive.write_bytes(packed(SITE, **files))
        page.goto(f"{platform.dashboard}/t/demo/journey/")
        send(page, archive)
        page.wait_for_url("**/builds/**", timeout=SOON)
        expect(page.get_by_text("Builder: static").first).to_be_visible(timeout=SOON)
        expect(page.get_by_text("released as v").first).to_be_visible(timeout=SOON)
        expect(page.locator(".step-done")).to_have_count(4, timeout=SOON)  # build, start, check, switch: live
        page.goto(f"{platform.dashboard}/t/demo/journey/")
        expect(page.get_by_text("Running").first).to_be_visible(timeout=SOON)
        platform.settled("journey")
        demand_opens(page, text)
    page.goto(f"{platform.dashboard}/t/demo/journey/releases/")
    page.get_by_role("button", name="Roll back").first.click()
    dialog = page.get_by_role("dialog")
    if dialog.count():
        dialog.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text("v3").first).to_be_visible(timeout=SOON)
    assert platform.settled("journey")["version"] == 3
    page.goto(f"{platform.dashboard}/t/demo/journey/")
    demand_opens(page, "first words")


def choose(page: Page, archive: Path) -> None:
    page.locator("input[type=file]").set_input_files(archive)


def drop(page: Page, archive: Path) -> None:
    """As a person drags it there: at first by a slow line, on which its progress is seen, and stopped."""
    zone, progress = page.locator(".drop"), page.locator(".drop progress")
    held = page.evaluate_handle(
        """([name, data]) => {
            const held = new DataTransfer(), bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
            held.items.add(new File([bytes], name));
            return held;
        }""",
        [archive.name, base64.b64encode(archive.read_bytes()).decode()],
    )
    expect(progress).to_be_hidden()
    with slow_line(page):
        zone.dispatch_event("dragenter", {"dataTransfer": held})
        expect(zone).to_have_attribute("data-over", "")
        zone.dispatch_event("drop", {"dataTransfer": held})
        expect(page.locator(".drop [data-note]")).to_have_text(
            re.compile(r"^Sending site\.tar\.gz: \d+ KiB of \d+ KiB$")
        )
        expect(progress).to_be_visible()
        value, most = progress.evaluate("bar => [bar.value, bar.max]")
        assert 0 < value < most == archive.stat().st_size
        page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped. Nothing was deployed.")).to_be_visible()
    expect(progress).to_be_hidden()
    zone.dispatch_event("drop", {"dataTransfer": held})


@contextmanager
def slow_line(page: Page) -> Iterator[None]:
    """From here to the dashboard, until the end."""
    line = page.context.new_cdp_session(page)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": 200_000})
    yield
    line.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": -1})
    line.detach()


def demand_opens(page: Page, text: str) -> None:
    """By the button of the app's page, in a tab of its own."""
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Open", exact=True).click()
    expect(opened.value.get_by_role("heading", name=text)).to_be_visible()
    opened.value.close()


BOAT = """\
FROM scratch
COPY busybox /bin/
EXPOSE 8000
HEALTHCHECK CMD ["/bin/busybox", "true"]
CMD ["/bin/busybox", "httpd", "-f", "-p", "8000", "-h", "/"]
"""


def test_an_image_leaves_as_a_file_and_comes_back(platform: Platform, signed_in: Page, tmp_path: Path) -> None:
    """What the list of exports shows comes by the stream of changes, and the file by that of its own."""
    page, archive = signed_in, tmp_path / "boat.tar.gz"
    (tmp_path / "app").mkdir()
    shutil.copy("/bin/busybox", tmp_path / "app")
    platform.create("boat")
    made = platform.deploy("boat", packed(tmp_path / "app", Dockerfile=BOAT))
    assert made["status"] == "live", made
    page.goto(f"{platform.dashboard}/t/demo/boat/pushes/")
    page.get_by_role("button", name="Export as a file").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click(timeout=SOON)
    archive.write_bytes(gzip.compress(download.value.path().read_bytes(), 1))
    platform.create("again")
    page.goto(f"{platform.dashboard}/t/demo/again/")
    page.locator("input[type=file]").set_input_files(archive)
    page.wait_for_url("**/builds/**", timeout=SOON)
    there = platform.settled("again")
    assert (there["status"], there["image"]) == ("live", made["image"])
    page.goto(f"{platform.dashboard}/t/demo/again/")
    expect(page.get_by_text("/bin/busybox true")).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/machine/", "/account/", "/t/demo/hello/", "/t/demo/hello/log/"])
def test_no_page_complains(platform: Platform, signed_in: Page, path: str) -> None:
    errors: list[str] = []
    page = signed_in.context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    answer = page.goto(platform.dashboard + path)
    assert answer and answer.status == 200
    page.wait_for_timeout(500)
    page.close()
    assert not errors


@pytest.mark.parametrize("path", ["/machine/", "/t/demo/hello/"])
def test_charts_begin_with_what_the_agent_saw_before(platform: Platform, signed_in: Page, path: str) -> None:
    page = signed_in
    page.goto(platform.dashboard + path)
    for kind in ("memory", "cpu"):
        expect(page.locator(f"#chart-{kind}")).to_have_attribute("data-history", re.compile(r"^\[\[\d+, "))
        expect(page.locator(f"#chart-{kind} canvas")).to_be_visible()
