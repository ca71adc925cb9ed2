"""Sessions: made anew at sign-in, over at sign-out, and pages that nobody else's site can frame."""

from __future__ import annotations

from django.conf import settings

from tenants.accounts.actions import make_sign_in_link, set_password
from tests.web.cast import Cast
from tests.web.pages import Browser

COOKIE = settings.SESSION_COOKIE_NAME
PASSWORD = "a berth for every boat"


def test_a_session_that_was_there_before_is_not_signed_in(cast: Cast) -> None:
    """Whoever put their own session into a visitor's browser must not be signed in by the visitor."""
    set_password(actor=cast.owner, password=PASSWORD)
    link = f"/sign-in/link/{make_sign_in_link(actor=None, user=cast.owner)}"
    for path, form in (("/sign-in/", {"login": cast.owner.email, "password": PASSWORD}), (link, {})):
        visitor, planted = Browser(), "planted0000000000000000000000000"
        visitor.cookies[COOKIE] = planted
        assert visitor.post(path, form).status_code == 302
        assert visitor.cookies[COOKIE].value != planted and visitor.get("/account/").status_code == 200
        thief = Browser()
        thief.cookies[COOKIE] = planted
        assert thief.get("/account/").headers["Location"].startswith("/sign-in/")


def test_a_session_is_over_after_sign_out_wherever_its_cookie_went(cast: Cast) -> None:
    browser, thief = Browser(cast.owner), Browser()
    thief.cookies[COOKIE] = browser.cookies[COOKIE].value
    assert thief.get("/account/").status_code == 200
    assert browser.post("/sign-out/").status_code == 302
    assert thief.get("/account/").headers["Location"].startswith("/sign-in/")


def test_no_page_can_be_framed(cast: Cast) -> None:
    for browser, path in (
        (Browser(), "/sign-in/"),
        (Browser(cast.owner), "/"),
        (Browser(cast.owner), "/nothing/"),
    ):
        answer = browser.get(path)
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_guessing_sign_in_links_is_limited(cast: Cast) -> None:
    guesser = Browser(REMOTE_ADDR="203.0.113.7")
    statuses = [guesser.post(f"/sign-in/link/guess{n}").status_code for n in range(25)]
    assert statuses[0] < 429 and statuses[-1] == 429
    good = make_sign_in_link(actor=None, user=cast.owner)
    assert guesser.post(f"/sign-in/link/{good}").status_code == 429
    assert Browser(REMOTE_ADDR="203.0.113.8").post(f"/sign-in/link/{good}").status_code == 302
