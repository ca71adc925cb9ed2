"""Request bodies: who may send large ones, how many at once, and what becomes of one that is cut short."""

from __future__ import annotations

import io
import socket
from fnmatch import fnmatchcase
from typing import Any, NoReturn

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from paas.router.render import FORM_BYTES, UPLOADS
from paas.wsgi import WholeBody
from tenants.accounts import bodies
from tenants.releases.models import Source
from tests.web.cast import GZIP, Cast

DEPLOY = "/t/demo/shop/deploy/"
API = "/api/v1/apps/demo/shop/deploys"


class Unread:
    """A body that nobody may begin to read: its sender may be slow."""

    def read(self, *_: object) -> NoReturn:
        raise AssertionError("the body was read")

    readline = read


def post(client: Client, path: str, size: int, **more: Any) -> Any:
    sent = {"CONTENT_LENGTH": str(size), "wsgi.input": Unread(), "SERVER_NAME": settings.DASHBOARD_HOST, **more}
    return client.generic("POST", path, CONTENT_TYPE="multipart/form-data; boundary=x", **sent)


def browser(cast: Cast) -> Client:
    """With the CSRF check, which reads a form to look for its token."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.developer)
    return client


@pytest.fixture
def crowd() -> Any:
    """As many uploads as may be under way."""
    for _ in range(bodies.AT_ONCE):
        assert bodies._slots.acquire(blocking=False)
    yield
    for _ in range(bodies.AT_ONCE):
        bodies._slots.release()


@pytest.mark.parametrize("path", ["/sign-in/", DEPLOY])
@pytest.mark.parametrize("length", [{}, {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}])
def test_who_is_not_signed_in_sends_nothing_large(db: None, path: str, length: dict[str, str]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies["csrftoken"] = "a" * 32
    answer = post(client, path, bodies.LARGE + 1, **length)
    assert (answer.status_code, answer["Location"]) == (302, f"/sign-in/?next={path}")


def test_a_token_is_judged_before_a_body_is_read(db: None) -> None:
    assert post(Client(), API, bodies.LARGE + 1, HTTP_AUTHORIZATION="Bearer berth_none").status_code == 401


@pytest.mark.parametrize(("path", "status"), [(DEPLOY, 503), (API, 503)])
def test_few_uploads_at_once(cast: Cast, crowd: None, path: str, status: int) -> None:
    answer = post(browser(cast), path, bodies.LARGE + 1)
    assert (answer.status_code, answer["Retry-After"]) == (status, "5")


def test_a_small_form_needs_no_room(cast: Cast, crowd: None) -> None:
    assert Client(headers={"Host": settings.DASHBOARD_HOST}).get("/sign-in/").status_code == 200


def test_room_is_given_back(cast: Cast) -> None:
    client, body = cast.client(cast.developer), GZIP + bytes(bodies.LARGE)
    for _ in range(bodies.AT_ONCE * 2):
        answer = client.call("POST", "apps/demo/shop/deploys", body, content_type="application/gzip")
        assert answer.status_code == 202


def test_one_that_takes_too_long_is_hung_up_on(monkeypatch: pytest.MonkeyPatch, cast: Cast) -> None:
    """By the socket on which the server waits: its read ends."""
    monkeypatch.setattr(bodies, "SECONDS", 0.05)
    sender, connection = socket.socketpair()
    with sender, connection:

        def view(request: HttpRequest) -> HttpResponse:
            assert connection.recv(1) == b""
            return HttpResponse()

        def handle(request: HttpRequest) -> HttpResponse:
            assert door.process_view(request) is None
            return view(request)

        door = bodies.LargeBodies(handle)
        request = RequestFactory().post(API, CONTENT_LENGTH=str(bodies.LARGE + 1))
        request.META["gunicorn.socket"] = connection
        assert door(request).status_code == 200
        connection.sendall(b"sorry")
        assert sender.recv(9) == b"sorry"


def test_what_the_ingress_hands_over_whole_is_not_large() -> None:
    assert bodies.LARGE == FORM_BYTES


def test_the_ingress_knows_where_sources_are_uploaded_to() -> None:
    paths = (reverse("api:deploy", args=["demo", "shop"]), reverse("deploy", args=["demo", "shop"]))
    assert all(fnmatchcase(path, pattern) for path, pattern in zip(paths, UPLOADS, strict=True))


def test_a_body_that_ends_too_early_is_an_error() -> None:
    body = WholeBody(io.BytesIO(b"one\ntwo"), 9)
    assert (body.readline(), body.read(0), body.read(2), body.read()) == (b"one\n", b"", b"tw", b"o")
    with pytest.raises(ConnectionResetError, match="before its Content-Length"):
        body.read(1)


def test_a_whole_body_ends_where_its_length_says() -> None:
    body = WholeBody(io.BytesIO(b"one\ntwo\nand the next request"), 8)
    assert (body.readline(9), body.read(99), body.read(99), body.readline()) == (b"one\n", b"two\n", b"", b"")


def test_an_upload_that_was_cut_short_is_not_kept(cast: Cast) -> None:
    before = Source.objects.count()
    sent: dict[str, Any] = {
        "wsgi.input": WholeBody(io.BytesIO(GZIP), len(GZIP) + 1),
        "CONTENT_LENGTH": str(len(GZIP) + 1),
    }
    answer = cast.client(cast.developer).generic("POST", API, CONTENT_TYPE="application/gzip", **sent)
    assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"field": "source"})
    assert "ended before all of it was here" in answer.json()["error"]["summary"]
    assert Source.objects.count() == before
    assert not [path for path in settings.PATHS.sources.iterdir() if path.name.endswith(".part")]
