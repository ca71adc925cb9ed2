"""What no database can hold, in each part of a request: refused or not found, and never a fault of Berth's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.test import Client

from tests.web import test_access_matrix as api
from tests.web import test_page_access as pages
from tests.web.cast import Cast
from tests.web.pages import Browser

NUL, SURROGATE, HUGE = "a\0b", "\udfff", 10**30
KNOWN = {"tenant": "demo", "slug": "demo", "name": "shop", "app": "shop", "part": "head"}
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>|\{(\w+)\}")


def urls(path: str) -> Iterator[str]:
    """As it should be, then with NUL in one parameter after the other."""
    names = [a or b for a, b in PARAMETER.findall(path)]
    for odd in ("", *names):
        values = {name: "a%00b" if name == odd else KNOWN.get(name, "1") for name in names}
        yield PARAMETER.sub(lambda found, to=values: to[found[1] or found[2]], path)  # type: ignore[misc]


def bodies(body: Any, *odd: Any) -> Iterator[dict[str, Any]]:
    """With one field after the other made odd."""
    for name, value in body.items() if isinstance(body, Mapping) else ():
        for new in odd:
            yield {**body, name: _like(value, new)}


def _like(value: Any, odd: Any) -> Any:
    if isinstance(value, dict):
        return dict.fromkeys(value, odd)
    return [odd] if isinstance(value, list) else odd


def status(client: Client, method: str, url: str, **request: Any) -> int:
    """Of the answer. What it did to the database is undone, for the database may have refused the whole."""
    client.raise_request_exception = False
    before = transaction.savepoint()
    try:
        return int(getattr(client, method.lower())(url, **request).status_code)
    finally:
        transaction.savepoint_rollback(before)


def faults(found: dict[Any, int]) -> dict[Any, int]:
    return {request: code for request, code in found.items() if code >= 500}


def test_in_an_address(cast: Cast) -> None:
    client, found = cast.client(cast.owner), {}
    for path in pages.MATRIX:
        browser = Browser(cast.owner)  # each time anew: some end the session
        for url in urls(path):
            for method in ("GET", "POST"):
                found[method, url] = status(browser, method, f"/{url}?q=%00&like=%00&page=%00")
    for method, path in api.MATRIX:
        for url in urls(path):
            json = {"content_type": "application/json"} if method != "GET" else {}
            found[method, url] = status(client, method, f"/api/v1/{url}?after=%00", **json)
    assert faults(found) == {}
    assert {200, 404} <= set(found.values())


def test_in_a_search(cast: Cast) -> None:
    browser = Browser(cast.admin)
    searches = ("/", "/machine/", "/machine/tenants/", "/machine/people/")
    assert faults({path: status(browser, "GET", f"{path}?q=%00&sort=%00&page=%00") for path in searches}) == {}


def test_in_a_form(cast: Cast) -> None:
    found = {}
    for path, row in pages.MATRIX.items():
        browser = Browser(cast.admin if row.needs == pages.ADMIN else cast.owner)
        for body in bodies(row.body, NUL, "9" * 400):
            found[path, str(body)] = status(browser, "POST", "/" + next(urls(path)), data=body)
    assert faults(found) == {}
    assert list(found.values()).count(422) > 20


def test_in_a_body_of_json(cast: Cast) -> None:
    client, found = cast.client(cast.owner), {}
    for (method, path), row in api.MATRIX.items():
        for body in bodies(row.body, NUL, SURROGATE, HUGE):
            json = {"data": body, "content_type": "application/json"}
            found[method, path, str(body)] = status(client, method, "/api/v1/" + next(urls(path)), **json)
    assert faults(found) == {}
    assert 400 in found.values()


def test_in_a_cookie(cast: Cast) -> None:
    client = Client(headers={"Host": settings.DASHBOARD_HOST})
    cookie = f'{settings.SESSION_COOKIE_NAME}="\\000{"a" * 31}"'
    assert status(client, "GET", "/", headers={"Cookie": cookie}) in (302, 400)
