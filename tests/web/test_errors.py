"""How an error meets a person, a page's script and a program."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.cast import ApiClient, Cast

STATUSES = [
    ("bad", 400),
    ("large", 413),
    ("refused", 403),
    ("many", 429),
    ("missing", 404),
    ("conflict", 409),
    ("step", 422),
    ("host", 503),
    ("other", 500),
    ("database", 503),
    ("bug", 500),
]


@pytest.fixture
def client(cast: Cast, settings: Any) -> ApiClient:
    settings.ROOT_URLCONF = "tests.web.failing_urls"
    return ApiClient()


@pytest.mark.parametrize(("kind", "status"), STATUSES)
def test_each_error_has_its_status_as_a_page_and_as_json(client: ApiClient, kind: str, status: int) -> None:
    page, data = client.get(f"/fail/{kind}/"), client.get(f"/api/v1/fail/{kind}/")
    assert (page.status_code, data.status_code) == (status, status)
    assert set(data.json()["error"]) == {"summary", "hint", "details"}
    assert b"secret detail" not in page.content + data.content
    for answer in (page, data):
        assert ("Retry-After" in answer) == (status in (429, 503))


def test_a_page_says_what_and_what_next_and_markup_stays_text(client: ApiClient) -> None:
    text = client.get("/fail/bad/").content.decode()
    assert "<html" in text and "&lt;b&gt;name&lt;/b&gt;" in text and "hoose another" in text


def test_a_bug_has_a_page_that_needs_no_database(client: ApiClient) -> None:
    text = client.get("/fail/bug/").content.decode()
    assert "<html" in text and "Something went wrong inside Berth." in text


def test_htmx_gets_only_the_part_that_it_swaps_in(client: ApiClient) -> None:
    text = client.get("/fail/bad/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in text and "hoose another" in text


def test_an_unknown_address_is_a_page_for_people_and_json_for_programs(client: ApiClient) -> None:
    assert b"<html" in client.get("/nowhere/at/all/").content
    assert client.get("/api/v2/nowhere").json()["error"]["summary"]
