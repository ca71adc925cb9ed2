"""A person's first hour, in Chromium: sign in, make an app, upload, watch, open, change, roll back."""

from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.platform import ROOT, Platform, packed

pytestmark = pytest.mark.e2e
SITE = ROOT / "examples" / "static-site"
SOON = 60_000  # milliseconds


def test_from_sign_in_to_roll_back(platform: Platform, signed_in: Page, tmp_path: Path) -> None:
    page = signed_in
    page.goto(f"{platform.dashboard}/apps/new/")
    page.get_by_label("Name").fill("journey")
    page.get_by_role("button", name="Make app").click()
    page.wait_for_url("**/t/demo/journey/")
    for text in ("first words", "second words"):
        archive = tmp_path / "site.tar.gz"
        archive.write_bytes(packed(SITE, **{"index.html": f"<h1>{text}</h1>"}))
        page.goto(f"{platform.dashboard}/t/demo/journey/")
        page.locator("input[type=file]").set_input_files(archive)
        page.wait_for_url("**/builds/**", timeout=SOON)
        expect(page.get_by_text("Builder: static").first).to_be_visible(timeout=SOON)
        expect(page.get_by_text("released as v").first).to_be_visible(timeout=SOON)
        expect(page.locator(".step-done")).to_have_count(4, timeout=SOON)  # build, start, check, switch: live
        page.goto(f"{platform.dashboard}/t/demo/journey/")
        expect(page.get_by_text("Running").first).to_be_visible(timeout=SOON)
        platform.settled("journey")
        assert text.encode() in platform.app("journey").body
    page.goto(f"{platform.dashboard}/t/demo/journey/releases/")
    page.get_by_role("button", name="Roll back").first.click()
    dialog = page.get_by_role("dialog")
    if dialog.count():
        dialog.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text("v3").first).to_be_visible(timeout=SOON)
    assert platform.settled("journey")["version"] == 3
    assert b"first words" in platform.app("journey").body


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
