"""Every page and stream, as every member of the cast. A new URL without a row here fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from tenants.accounts.models import Role
from tenants.accounts.roles import includes
from tenants.registries.models import Export, Push
from tests.web.cast import LAYER, Cast, make_build, make_container, make_inspection, make_run, released
from tests.web.pages import Browser

IMAGE = "registry.example/shop:v1"
ADMIN, SIGNED_IN, ANYBODY = "admin", "signed in", "anybody"
APP = "t/<slug:tenant>/<slug:name>/"


@dataclass(frozen=True)
class Row:
    needs: Role | str
    get: int = 200
    post: int | None = None  # None: a page without a form
    post_needs: Role | str | None = None
    body: dict[str, str] = field(default_factory=dict)


OWNER, DEVELOPER, VIEWER = Role.OWNER, Role.DEVELOPER, Role.VIEWER
MATRIX = {
    "sign-in/link/<str:secret>": Row(ANYBODY),
    "sign-out/": Row(ANYBODY, 405, 302),
    "start/": Row(SIGNED_IN, 302),
    "account/": Row(SIGNED_IN, 200, 302, body={"name": "New", "time_zone": "Europe/Berlin"}),
    "account/password/": Row(SIGNED_IN, 200, 302, body={"password": "a berth for every boat"}),
    "account/tokens/": Row(SIGNED_IN, 405, 201, body={"name": "laptop", "scope": "read"}),
    "account/tokens/<str:token_id>/revoke/": Row(SIGNED_IN, 405, 404),
    "tenants/<slug:slug>/": Row(VIEWER, 200, 302, OWNER, {"email": "stranger@example.com", "role": "viewer"}),
    "tenants/<slug:slug>/members/<int:member_id>/remove/": Row(OWNER, 405, 404),
    "tenants/<slug:slug>/members/<int:member_id>/role/": Row(OWNER, 405, 404),
    "tenants/<slug:slug>/registries/": Row(
        DEVELOPER, 200, 302, body={"host": "registry.example", "username": "sailor", "password": "x"}
    ),
    "tenants/<slug:slug>/registries/<str:host>/remove/": Row(DEVELOPER, 405, 302),
    "tenants/<slug:slug>/isolation/": Row(VIEWER, 200, 302),
    "machine/": Row(ADMIN),
    "machine/density/": Row(ADMIN),
    "machine/density/<slug:tenant>/<slug:name>/<str:process>/": Row(ADMIN, 405, 302),
    "machine/isolation/": Row(ADMIN, 200, 302),
    "machine/people/": Row(ADMIN),
    "machine/store/": Row(ADMIN),
    "machine/store/<slug:kind>/": Row(ADMIN, 405, 302),
    "machine/tenants/<slug:slug>/": Row(
        ADMIN,
        200,
        302,
        body={
            **{"memory": "1024", "swap": "0", "cpu": "1.5", "pids": "512", "disk": "20", "io": "0"},
            **{"operations": "0", "containers": "9", "builds": "1", "log": "64", "store": "1"},
        },
    ),
    "machine/tenants/<slug:slug>/network/": Row(ADMIN, 200, 302, body={"egress": "none"}),
    "machine/tenants/<slug:slug>/destroy/": Row(ADMIN, 405, 302, body={"confirm": "no"}),
    "machine/tenants/": Row(ADMIN, 200, 302, body={"name": "Third", "slug": "third"}),
    "machine/people/<int:user_id>/link/": Row(ADMIN, 405, 404),
    "machine/people/<int:user_id>/shut-out/": Row(ADMIN, 405, 404),
    "machine/people/<int:user_id>/let-in/": Row(ADMIN, 405, 404),
    "": Row(SIGNED_IN),
    "apps/new/": Row(SIGNED_IN),
    APP: Row(VIEWER),
    f"{APP}destroy/": Row(OWNER, 405, 302, body={"confirm": "shop"}),
    f"{APP}parts/<slug:part>/": Row(VIEWER),
    f"{APP}log/": Row(VIEWER),
    f"{APP}log.txt": Row(VIEWER),
    f"{APP}deploy/": Row(DEVELOPER, 405, 302),
    f"{APP}deploy/image/": Row(DEVELOPER, 200, 302, body={"image": IMAGE}),
    f"{APP}pushes/": Row(VIEWER, 200, 302, DEVELOPER, {"version": "1", "image": IMAGE}),
    f"{APP}pushes/<str:push_id>/cancel/": Row(DEVELOPER, 405, 302),
    f"{APP}exports/<str:export_id>/cancel/": Row(DEVELOPER, 405, 302),
    f"{APP}exports/": Row(DEVELOPER, 405, 302, body={"version": "1"}),
    f"{APP}restart/": Row(DEVELOPER, 405, 302),
    f"{APP}limits/<str:process>/": Row(DEVELOPER, 405, 302),
    f"{APP}sleep/": Row(DEVELOPER, 405, 302),
    f"{APP}sleep/after/": Row(DEVELOPER, 405, 302),
    f"{APP}wake/": Row(DEVELOPER, 405, 302),
    f"{APP}builds/": Row(VIEWER),
    f"{APP}builds/<str:build_id>/": Row(VIEWER),
    f"{APP}builds/<str:build_id>/log.txt": Row(VIEWER, 404),
    f"{APP}builds/<str:build_id>/cancel/": Row(DEVELOPER, 405, 302),
    f"{APP}releases/": Row(VIEWER),
    f"{APP}releases/<int:version>/rollback/": Row(DEVELOPER, 405, 302),
    f"{APP}releases/<int:version>/image/": Row(VIEWER, 302),
    f"{APP}releases/<int:version>/layers/<str:layer>/": Row(VIEWER, 302),
    f"{APP}releases/<int:version>/compare/": Row(VIEWER, 404),  # v1 has none before it
    f"{APP}containers/<str:container_id>/changes/": Row(VIEWER, 302),
    f"{APP}containers/<str:container_id>/commit/": Row(DEVELOPER, 405, 302),
    f"{APP}inspections/<str:inspection_id>/": Row(VIEWER),
    f"{APP}inspections/<str:inspection_id>/bill.json": Row(VIEWER, 404),  # not answered yet
    f"{APP}runs/": Row(VIEWER, 200, 302, DEVELOPER, {"command": "ls"}),
    f"{APP}runs/<str:run_id>/": Row(VIEWER),
    f"{APP}runs/<str:run_id>/cancel/": Row(DEVELOPER, 405, 302),
    f"{APP}config/": Row(VIEWER, 200, 302, DEVELOPER, {"key": "A", "value": "1"}),
    f"{APP}config/many/": Row(DEVELOPER, 405, 302, body={"lines": "A=1\nB=2"}),
    f"{APP}config/<str:key>/": Row(DEVELOPER),
    f"{APP}config/<str:key>/unset/": Row(DEVELOPER, 405, 302),
    f"{APP}volumes/<slug:volume>/delete/": Row(OWNER, 405, 302, body={"confirm": "data"}),
    f"{APP}settings/": Row(VIEWER, 200, 302, DEVELOPER, {"web": "2"}),
}
ELSEWHERE = {"sign-in/", "healthz/"}  # with tests of their own
# What an administrator does not see either: commands may hold passwords, images hold the tenant's work.
MEMBERS_ALONE = (
    f"{APP}runs/",
    f"{APP}releases/<int:version>/",
    f"{APP}containers/",
    f"{APP}inspections/",
)
WHO = ("owner", "developer", "viewer", "stranger", "admin", "nobody")


def patterns(found: list[URLPattern | URLResolver], before: str = "") -> list[str]:
    names = []
    for entry in found:
        path = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            names += [] if path.startswith("api/") else patterns(entry.url_patterns, path)
        else:
            names.append(path)
    return names


def test_every_url_has_a_row() -> None:
    found = {path for path in patterns(get_resolver().url_patterns) if not path.startswith("streams/")}
    assert found - ELSEWHERE == set(MATRIX)


def expected(row: Row, who: str, method: str, path: str) -> int:
    ok = row.get if method == "GET" else row.post
    needs = (row.post_needs or row.needs) if method == "POST" else row.needs
    if ok is None or ok == 405:
        return 405
    if needs == ANYBODY:
        return ok
    if who == "nobody":
        return 302
    if needs == SIGNED_IN:
        return ok
    if needs == ADMIN:
        return ok if who == "admin" else 403
    if who == "admin" and method == "GET" and needs == Role.VIEWER and not path.startswith(MEMBERS_ALONE):
        return ok
    if who in ("stranger", "admin"):
        return 404
    return ok if includes(Role(who), Role(needs)) else 403


CASES = [("GET", path) for path in MATRIX] + [("POST", path) for path, row in MATRIX.items() if row.post]


@pytest.mark.parametrize(("method", "path"), CASES, ids=str)
def test_access(cast: Cast, method: str, path: str, settings: Any) -> None:
    settings.RUNS_AT_ONCE = 99
    row = MATRIX[path]
    cast.app.config_vars.create(key="KEY", value="secret")
    cast.app.volumes.create(name="data")
    for who in reversed(WHO):  # from nobody to the owner, whose POST may take the thing away
        build = make_build(cast.app, cast.developer)
        run = make_run(cast.app, cast.developer)
        url = "/" + (
            path.replace("<slug:tenant>", "demo")
            .replace("<slug:name>", "shop")
            .replace("<slug:slug>", "demo")
            .replace("<str:build_id>", build.pk)
            .replace("<str:run_id>", run.pk)
            .replace("<str:container_id>", make_container(cast.app).pk)
            .replace("<str:inspection_id>", make_inspection(cast.app, cast.viewer).pk)
            .replace("<str:layer>", LAYER)
            .replace("<int:version>", "1")
            .replace("<str:key>", "KEY")
            .replace("<str:host>", "registry.example:5000")
            .replace("<slug:volume>", "data")
            .replace("<str:process>", "web")
            .replace("<slug:part>", "head")
            .replace("<slug:kind>", "look")
            .replace("<int:member_id>", "99999")
            .replace("<int:user_id>", "99999")
            .replace("<str:token_id>", "none")
            .replace("<str:secret>", "none")
        )
        for kind, name in ((Push, "<str:push_id>"), (Export, "<str:export_id>")):
            if name in path:
                url = url.replace(name, kind.objects.create(app=cast.app, release=cast.app.releases.get()).pk)
        browser = Browser(None if who == "nobody" else getattr(cast, who))
        response = browser.get(url) if method == "GET" else browser.post(url, row.body)
        assert response.status_code == expected(row, who, method, path), (who, response.content[:300])
        if who == "nobody" and response.status_code == 302 and row.needs != ANYBODY:
            assert response.headers["Location"].startswith("/sign-in/?next=")


def test_ids_nested_under_another_app_are_not_found(cast: Cast) -> None:
    foreign = make_build(cast.others_app, cast.stranger)
    browser = Browser(cast.owner)
    for rest in ("", "log.txt"):
        assert browser.get(f"/t/demo/shop/builds/{foreign.pk}/{rest}").status_code == 404
    assert browser.post(f"/t/demo/shop/builds/{foreign.pk}/cancel/").status_code == 404
    released(cast.others_app, cast.stranger)
    run = make_run(cast.others_app, cast.stranger)
    assert browser.get(f"/t/demo/shop/runs/{run.pk}/").status_code == 404
    assert browser.get(f"/t/demo/shop/runs/?like={run.pk}").status_code == 404
    assert browser.post(f"/t/demo/shop/runs/{run.pk}/cancel/").status_code == 404
    release = cast.others_app.releases.get()
    for kind, name in ((Push, "pushes"), (Export, "exports")):
        moved = kind.objects.create(app=cast.others_app, release=release)
        assert browser.post(f"/t/demo/shop/{name}/{moved.pk}/cancel/").status_code == 404
    theirs = cast.other.members.get()
    assert browser.post(f"/tenants/demo/members/{theirs.pk}/remove/").status_code == 404


def test_a_part_for_nobody_sends_the_whole_page_to_sign_in(cast: Cast) -> None:
    response = Browser().part("/t/demo/shop/parts/head/")
    assert response.status_code == 401
    assert response.headers["HX-Redirect"] == "/sign-in/?next=/t/demo/shop/"


def test_forms_need_their_csrf_token(cast: Cast) -> None:
    browser = Browser(cast.owner, enforce_csrf_checks=True)
    for path in ("restart/", "deploy/", "runs/", "destroy/", "config/", "pushes/", "deploy/image/"):
        assert browser.post(f"/t/demo/shop/{path}").status_code == 403
    assert browser.post("/sign-out/").status_code == 403
