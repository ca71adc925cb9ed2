"""What pages say, in each state that an app can have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template.loader import get_template

from tenants.accounts.actions import make_sign_in_link
from tenants.apps.actions import create_app
from tenants.apps.models import App
from tenants.containers.actions import commit
from tenants.releases import observations
from tenants.releases.actions import restart
from tenants.releases.models import Build, Release
from tests.web import seed
from tests.web.cast import GZIP, Cast, make_build, make_container, released, report
from tests.web.pages import Browser

ROOT = Path(settings.BASE_DIR)
TEMPLATES = sorted(
    path.relative_to(ROOT / "templates").as_posix() for path in (ROOT / "templates").rglob("*.html")
)
TABS = ("", "releases/", "builds/", "log/", "runs/", "config/", "settings/")


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_compile_and_run_nothing_inline(name: str) -> None:
    get_template(name)
    text = (ROOT / "templates" / name).read_text()
    for forbidden in (
        "<script>",
        "<style",
        ' style="',
        " onclick=",
        " hx-on",
        "javascript:",
        "|safe",
        "http://",
        "//cdn",
    ):
        assert forbidden not in text, f"{name} has {forbidden}"


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_are_laid_out_to_be_read(name: str) -> None:
    """One element a line, indented by its structure: a long line hides from a review what changed in it."""
    for number, line in enumerate((ROOT / "templates" / name).read_text().splitlines(), start=1):
        assert len(line) <= 140 and line == line.rstrip() and "\t" not in line, f"{name}:{number}"


def test_vendored_files_are_those_that_were_checked() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "bin" / "vendor", "--check"], check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr


def test_every_icon_that_is_used_is_in_the_sprite() -> None:
    import re  # noqa: PLC0415

    text = "".join((ROOT / "templates" / name).read_text() for name in TEMPLATES)
    used = set(re.findall(r'(?:c-icon name|icon)="([a-z0-9-]+)"', text)) | {"check", "eye-off"}
    sprite = (ROOT / "static/vendor/icons/sprite.svg").read_text()
    assert used == set(re.findall(r'id="([^"]+)"', sprite))


def test_the_policy_forbids_all_but_our_own_files(cast: Cast) -> None:
    policy = Browser(cast.owner).get("/").headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy and "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.django_db
def test_all_pages_of_a_whole_world() -> None:
    seed.fill()
    from tenants.accounts.models import User  # noqa: PLC0415

    browser = Browser(User.objects.get(email="ada@example.org"))
    for wanted in seed.WORLD:
        for tab in TABS:
            response = browser.get(f"/t/{wanted.tenant}/{wanted.name}/{tab}")
            assert response.status_code == 200, (wanted.name, tab)
    for path in ("/", "/?tenant=acme", "/?q=shop&page=9", "/machine/", "/machine/tenants/", "/account/"):
        assert browser.get(path).status_code == 200, path
    for path in ("/", "/machine/", "/t/acme/shop/releases/", "/t/acme/shop/builds/"):
        part = browser.part(path)
        assert part.status_code == 200
        assert b"<html" not in part.content, path


def test_a_failed_release_shows_why_and_what_still_serves(cast: Cast) -> None:
    claimed = observations.claim_build(make_build(cast.app, cast.developer).pk, "c2")
    assert claimed is not None
    release = released(cast.app, cast.developer)
    error = {"summary": "web.1 exited with 1", "hint": "read its log", "details": {"log": ["<b>KeyError</b>"]}}
    Release.objects.filter(pk=release.pk).update(status="failed", error=error)
    page = Browser(cast.viewer).get("/t/demo/shop/").content.decode()
    assert f"v{release.version} did not start: web.1 exited with 1." in page
    assert "Read its log." in page
    assert "&lt;b&gt;KeyError&lt;/b&gt;" in page and "<b>KeyError" not in page
    serving = cast.app.releases.get(version=1)
    cast.app.releases.filter(pk=serving.pk).update(status="live")
    App.objects.filter(pk=cast.app.pk).update(serving_release_id=serving.pk)
    page = Browser(cast.viewer).get("/t/demo/shop/").content.decode()
    assert "v1 goes on serving." in page
    nothing = [{**process, "count": 0} for process in serving.processes]
    cast.app.releases.filter(pk=serving.pk).update(processes=nothing)
    page = Browser(cast.viewer).get("/t/demo/shop/").content.decode()
    assert "v1 is kept, scaled to nothing." in page and "goes on serving" not in page


def test_a_release_on_a_commit_is_marked_as_such(cast: Cast) -> None:
    made = commit(actor=cast.owner, app=cast.app, container=make_container(cast.app))
    page = Browser(cast.viewer).get("/t/demo/shop/releases/").content.decode()
    assert page.count("Commit of a container") == 1 and "Commit in its image" not in page
    observations.release_committed(made, report().image)
    restart(actor=cast.owner, app=cast.app)
    for path in ("", "releases/"):
        page = Browser(cast.viewer).get(f"/t/demo/shop/{path}").content.decode()
        assert page.count("Commit in its image: changes of web.1 of v1") == 2


def test_a_release_whose_image_is_gone_says_so_in_place_of_rolling_back(cast: Cast) -> None:
    released(cast.app, cast.developer)
    offer, said = "/t/demo/shop/releases/1/rollback/", "Its image is no longer kept"
    page = Browser(cast.developer).get("/t/demo/shop/releases/").content.decode()
    assert offer in page and said not in page
    cast.app.releases.filter(version=1).update(image_gone=True)
    page = Browser(cast.developer).get("/t/demo/shop/releases/").content.decode()
    assert offer not in page and page.count(said) == 1


def test_a_failed_first_build_shows_its_error(cast: Cast) -> None:
    app = create_app(actor=cast.owner, tenant=cast.tenant, name="fresh")
    build = make_build(app, cast.developer)
    Build.objects.filter(pk=build.pk).update(
        status="failed", error={"summary": "no Procfile", "hint": "add one"}
    )
    page = Browser(cast.owner).get("/t/demo/fresh/").content.decode()
    assert "The last build failed: no Procfile." in page
    assert "Add one." in page


def test_values_of_config_vars_are_on_no_page_until_asked_for(cast: Cast) -> None:
    cast.app.config_vars.create(key="TOKEN", value="very-secret")
    for tab in TABS:
        assert b"very-secret" not in Browser(cast.owner).get(f"/t/demo/shop/{tab}").content
    assert b"very-secret" not in Browser(cast.developer).part("/t/demo/shop/config/TOKEN/").content
    assert b"very-secret" in Browser(cast.developer).part("/t/demo/shop/config/TOKEN/?open").content
    assert Browser(cast.viewer).part("/t/demo/shop/config/TOKEN/?open").status_code == 403


def test_config_errors_stand_at_their_form(cast: Cast) -> None:
    response = Browser(cast.developer).post("/t/demo/shop/config/", {"key": "PORT", "value": "1"})
    assert response.status_code == 422
    assert "PORT is set by Berth itself." in response.content.decode()


def test_many_config_vars_at_once(cast: Cast) -> None:
    text = "# comment\r\nexport A=1\r\nB=\"two\\nlines\"\r\nC='x # y'\r\nD=plain # note\r\nE=\r\n"
    assert Browser(cast.developer).post("/t/demo/shop/config/many/", {"lines": text}).status_code == 302
    found = {var.key: var.value for var in cast.app.config_vars.all()}
    assert found == {"A": "1", "B": "two\nlines", "C": "x # y", "D": "plain", "E": ""}
    bad = Browser(cast.developer).post("/t/demo/shop/config/many/", {"lines": "A=1\nnonsense"})
    assert bad.status_code == 422
    assert "Line 2 has no" in bad.content.decode()


def test_deploying_by_form_and_by_script(cast: Cast) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: PLC0415

    browser = Browser(cast.developer)
    sent = browser.post("/t/demo/shop/deploy/", {"source": SimpleUploadedFile("shop.tar.gz", GZIP)})
    assert sent.status_code == 302 and "/builds/" in sent.headers["Location"]
    script: dict[str, Any] = {"content_type": "application/gzip", "headers": {"Accept": "application/json"}}
    made = browser.post("/t/demo/shop/deploy/?name=shop.tar.gz", GZIP, **script)
    assert made.status_code == 201 and "/builds/" in made.json()["location"]
    refused = browser.post("/t/demo/shop/deploy/?name=x.tar.gz", b"nonsense", **script)
    assert refused.status_code == 400 and "not a tar.gz archive" in refused.json()["said"]


def test_markup_in_names_is_text(cast: Cast) -> None:
    cast.owner.name = "<script>alert(1)</script>"
    cast.owner.save()
    for path in ("/", "/t/demo/shop/", "/tenants/demo/", "/account/"):
        assert b"<script>alert" not in Browser(cast.owner).get(path).content


def test_fetching_a_sign_in_link_does_not_use_it_up(cast: Cast) -> None:
    path = f"/sign-in/link/{make_sign_in_link(actor=None, user=cast.viewer)}"
    browser = Browser()
    for _ in range(2):
        shown = browser.get(path)
        assert shown.status_code == 200 and shown.headers["Referrer-Policy"] == "same-origin"
    entered = browser.post(path)
    assert entered.headers["Location"] == "/account/password/"
    assert browser.get("/").status_code == 200
    assert Browser().post(path).status_code == 403


def test_a_password_is_chosen_and_signs_in(cast: Cast) -> None:
    browser = Browser(cast.viewer)
    weak = browser.post("/account/password/", {"password": "short"})
    assert weak.status_code == 422 and "too easy to guess" in weak.content.decode()
    assert browser.post("/account/password/", {"password": "a berth for every boat"}).status_code == 302
    assert browser.get("/account/").status_code == 200, "the session that changed it goes on"
    fresh = Browser()
    wrong = fresh.post("/sign-in/", {"login": cast.viewer.email, "password": "wrong"})
    assert wrong.status_code == 200 and not wrong.wsgi_request.user.is_authenticated
    right = fresh.post("/sign-in/", {"login": cast.viewer.email, "password": "a berth for every boat"})
    assert right.headers["Location"] == "/start/"
    assert fresh.get("/start/").headers["Location"] == "/"
    assert Browser(cast.admin).get("/start/").headers["Location"] == "/machine/"


def test_guessing_passwords_is_limited(cast: Cast) -> None:
    browser = Browser()
    guesses = [
        browser.post("/sign-in/", {"login": cast.owner.email, "password": f"guess {n}"}) for n in range(12)
    ]
    assert guesses[-1].status_code == 429 or b"Too many" in guesses[-1].content


def test_a_token_is_shown_once(cast: Cast) -> None:
    browser = Browser(cast.owner)
    made = browser.post("/account/tokens/", {"name": "laptop", "scope": "deploy"})
    assert b'value="berth_' in made.content
    assert b"berth_" not in browser.get("/account/").content.replace(b"/static/berth", b"")


def test_a_profile_form_changes_nothing_else(cast: Cast) -> None:
    fields = {"name": "Olive", "time_zone": "Europe/Berlin", "is_admin": "on", "email": "evil@example.com"}
    Browser(cast.owner).post("/account/", fields)
    cast.owner.refresh_from_db()
    assert (cast.owner.name, cast.owner.is_admin, cast.owner.email) == ("Olive", False, "owner@example.com")


def test_a_thousand_apps_are_paged(cast: Cast, django_assert_max_num_queries: object) -> None:
    from tenants.apps.models import App  # noqa: PLC0415

    App.objects.bulk_create(App(tenant=cast.tenant, name=f"app-{n:04}") for n in range(1000))
    browser = Browser(cast.viewer)
    with django_assert_max_num_queries(14):  # type: ignore[operator]
        page = browser.get("/").content.decode()
    assert page.count('<tr id="app-') == 100
    assert "100 of 1001" in page
    assert "app-0999" in Browser(cast.viewer).get("/?q=0999").content.decode()


def test_details_are_json_for_scripts_only(cast: Cast) -> None:
    response = Browser(cast.viewer).post(
        "/t/demo/shop/deploy/", b"", content_type="application/gzip", headers={"Accept": "application/json"}
    )
    assert response.status_code == 403
    with pytest.raises(json.JSONDecodeError):
        json.loads(response.content)
