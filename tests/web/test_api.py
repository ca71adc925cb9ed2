"""The API beyond access: tokens, limits, input, uploads, logs."""

from __future__ import annotations

import tarfile
from io import BytesIO
from typing import Any

import pytest
import redis
from django.conf import settings as live_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.utils import timezone

from tenants.accounts import limits
from tenants.accounts.models import ApiToken, User
from tenants.containers import observations as containers
from tenants.containers.models import Container
from tenants.releases import observations
from tenants.releases.actions import set_config, upload_source
from tenants.releases.models import Build, Source
from tests.web.cast import GZIP, Cast, make_build

APP = "apps/demo/shop"


# --- tokens
@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic b3duZXI6eA==", "bearer berth_\ud7ff", "Bearer  "]
)
def test_a_wrong_authorization_is_401_and_says_what_to_send(cast: Cast, header: str) -> None:
    response = cast.client(None).call("GET", "me", headers={"Authorization": header})
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert "Authorization: Bearer" in response.json()["error"]["hint"]


def test_revoking_works_at_once(cast: Cast) -> None:
    client = cast.client(cast.owner)
    assert client.call("GET", "me").status_code == 200
    ApiToken.objects.update(revoked_at=timezone.now())
    assert client.call("GET", "me").status_code == 401


def test_the_last_use_is_noted_coarsely(cast: Cast) -> None:
    client = cast.client(cast.owner)
    client.call("GET", "me")
    first = ApiToken.objects.get().last_used_at
    client.call("GET", "me")
    assert first and ApiToken.objects.get().last_used_at == first


def test_failures_are_limited_by_the_address_that_the_proxy_saw(cast: Cast) -> None:
    guesser, good = cast.client(None), cast.client(cast.owner)
    for n in range(20):  # what the client itself puts in front changes nothing
        forged = {"Authorization": "Bearer guess", "X-Forwarded-For": f"10.0.0.{n}, 203.0.113.9"}
        assert guesser.call("GET", "me", headers=forged).status_code == 401
    response = guesser.call("GET", "me", headers=forged)
    assert response.status_code == 429 and int(response["Retry-After"]) > 0
    assert good.call("GET", "me", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 429
    assert good.call("GET", "me", headers={"X-Forwarded-For": "203.0.113.10"}).status_code == 200


def test_the_api_serves_without_valkey(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = redis.Redis.from_url("unix:///nowhere/valkey.sock")
    monkeypatch.setattr(limits, "client", lambda: gone)
    assert cast.client(cast.owner).call("GET", "me").status_code == 200
    assert cast.client(None).call("GET", "me", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_cookie_session_is_no_way_into_the_api(cast: Cast) -> None:
    client = cast.client(None)
    client.force_login(cast.owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.call("GET", "me").status_code == 401


# --- input
@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "apps", {"tenant": "demo"}, "name"),
        ("POST", "apps", {"tenant": "demo", "name": "x", "tenant_id": "1"}, "tenant_id"),
        ("POST", "apps", {"tenant": "demo", "name": "x", "is_admin": True}, "is_admin"),
        ("POST", "apps", {"tenant": "demo", "name": 5}, "name"),
        ("POST", "apps", {"tenant": "demo", "name": "UP"}, "name"),
        ("POST", "apps", {"tenant": "demo", "name": "up", "stage": "a b"}, "stage"),
        ("DELETE", APP, {"confirm": "sho"}, "confirm"),
        ("POST", f"{APP}/scale", {"formation": {"web": "2"}}, "formation.web"),
        ("POST", f"{APP}/scale", {"formation": {"web": True}}, "formation.web"),
        ("POST", f"{APP}/scale", {"formation": {}}, "formation"),
        ("POST", f"{APP}/releases/rollback", {"version": 1.5}, "version"),
        ("PATCH", f"{APP}/config", {"changes": {"A": 1}}, "changes.A"),
        ("PATCH", f"{APP}/config", {"changes": {"A": "a\0b"}}, "A"),
        ("PATCH", f"{APP}/config", {"changes": {"A": "\udfff"}}, "A"),
        ("GET", f"{APP}/builds?limit=0", None, "limit"),
        ("GET", f"{APP}/logs?lines=5000", None, "lines"),
    ],
)
def test_wrong_input_is_400_and_names_the_field(
    cast: Cast, method: str, path: str, body: Any, field: str
) -> None:
    response = cast.client(cast.owner).call(method, path, body)
    assert response.status_code == 400, response.content
    assert response.json()["error"]["details"]["field"] == field


def test_broken_json_and_unknown_addresses_get_json_too(cast: Cast) -> None:
    client = cast.client(cast.owner)
    assert client.call("POST", "apps", b"{").json()["error"]["summary"]
    missing = client.call("GET", "apps/demo/shop/nothing")
    assert missing.status_code == 404 and missing.json()["error"]["hint"]


def test_huge_numbers_are_not_found(cast: Cast) -> None:
    client = cast.client(cast.owner)
    assert client.call("GET", f"{APP}/releases/{10**30}").status_code == 404
    assert client.call("POST", f"{APP}/releases/rollback", {"version": 10**30}).status_code == 404


def test_a_locked_database_is_503_and_says_when_to_come_back(cast: Cast, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.LockedDatabase"]
    response = cast.client(cast.owner).call("GET", "me")
    assert response.status_code == 503 and response["Retry-After"] == "5"
    assert "database" in response.json()["error"]["summary"]


class LockedDatabase:
    """Every view finds the database locked, as when another process holds its lock for too long."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(request)

    def process_view(self, request: Any, *args: object) -> None:
        raise OperationalError("database is locked")


# --- uploads
def test_a_raw_upload_becomes_a_source_and_a_build(cast: Cast) -> None:
    response = cast.client(cast.owner).call(
        "POST", f"{APP}/deploys?name=my-folder", GZIP, content_type="application/gzip"
    )
    build = Build.objects.get(pk=response.json()["id"])
    assert response.status_code == 202 and response.json()["status"] == "queued"
    assert (build.source.name, build.source.kind, build.created_by) == ("my-folder", "tar.gz", cast.owner)


def test_a_form_upload_is_known_by_its_content(cast: Cast) -> None:
    client = cast.client(cast.owner)
    file = SimpleUploadedFile("shop.bin", b"PK\x03\x04 stands for a zip")
    response = client.post(f"/api/v1/{APP}/deploys", {"source": file})
    assert response.status_code == 202, response.content
    assert Source.objects.latest("created_at").kind == "zip"


@pytest.mark.parametrize("piece", [100, 10_000])
def test_a_tar_is_known_by_what_stands_in_its_first_header(cast: Cast, piece: int) -> None:
    tar = BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("index.html"))
    parts = [tar.getvalue()[at : at + piece] for at in range(0, len(tar.getvalue()), piece)]
    source = upload_source(actor=cast.owner, app=cast.app, kind="tar", name="x", chunks=parts)
    assert source.kind == Source.Kind.TAR and source.size == len(tar.getvalue())


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/gzip", 400),
        (GZIP, "application/x-tar", 400),
        (b"PK\x03\x04", "application/gzip", 400),
        (GZIP, "text/plain", 400),
        (GZIP, "multipart/form-data; boundary=x", 400),
        (GZIP + b"x" * 2000, "application/gzip", 413),
    ],
)
def test_a_wrong_upload_is_refused(
    cast: Cast, settings: Any, body: bytes, content_type: str, status: int
) -> None:
    settings.SOURCE_MAX_BYTES = 1000
    response = cast.client(cast.owner).call("POST", f"{APP}/deploys", body, content_type=content_type)
    assert response.status_code == status, response.content
    assert response.json()["error"]["details"]["field"] == "source"


def test_too_large_an_upload_is_refused_before_it_is_read(cast: Cast, settings: Any) -> None:
    settings.SOURCE_MAX_BYTES = 1000
    response = cast.client(cast.owner).call(
        "POST", f"{APP}/deploys", b"", content_type="application/gzip", CONTENT_LENGTH=str(10**12)
    )
    assert response.status_code == 413


# --- config vars
def test_viewers_see_the_names_of_config_vars_only(cast: Cast) -> None:
    set_config(actor=cast.owner, app=cast.app, changes={"TOKEN": "sesame"})
    seen = {
        who: cast.client(getattr(cast, who)).call("GET", f"{APP}/config").json()
        for who in ("developer", "viewer")
    }
    assert seen["developer"] == [{"key": "TOKEN", "value": "sesame"}]
    assert seen["viewer"] == [{"key": "TOKEN", "value": None}]
    for path in (APP, f"{APP}/releases", f"{APP}/releases/2", "openapi.json"):
        assert b"sesame" not in cast.client(cast.owner).call("GET", path).content


# --- logs
def test_a_build_log_is_read_in_pieces_to_its_end(cast: Cast) -> None:
    build = observations.claim_build(make_build(cast.app, cast.owner).pk, "c2")
    assert build
    client, url = cast.client(cast.viewer), f"{APP}/builds/{build.pk}/log"
    assert client.call("GET", url)["X-Berth-Done"] == "0"
    path = live_settings.PATHS.build_log(build.pk)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("Häfen\n".encode())
    piece = client.call("GET", f"{url}?offset=2")
    assert piece.content == "Häfen\n".encode()[2:] and piece["X-Berth-Next-Offset"] == "7"
    assert piece["Content-Type"] == "text/plain; charset=utf-8" and piece["X-Berth-Done"] == "0"
    observations.build_failed(build, {"summary": "no"})
    end = client.call("GET", f"{url}?offset=7")
    assert (end.content, end["X-Berth-Done"]) == (b"", "1")
    assert client.call("GET", f"{url}?offset=900")["X-Berth-Next-Offset"] == "7"


def make_container(cast: Cast, index: int = 1) -> Container:
    release = cast.app.releases.get(version=1)
    row = containers.new_container(
        app=cast.app,
        release=release,
        build=None,
        kind=Container.Kind.PROCESS,
        process_type="web",
        index=index,
        memory_limit=1 << 28,
    )
    containers.started(row)
    return row


def test_logs_of_all_containers_come_in_the_order_of_time_and_after_a_cursor(cast: Cast) -> None:
    for index, seconds in ((1, (1, 3)), (2, (2, 4))):
        path = live_settings.PATHS.container_log(make_container(cast, index).pk)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"2026-01-01T00:00:0{s}.000000001+00:00 stdout F line {s}\n" for s in seconds))
    client = cast.client(cast.viewer)
    first = client.call("GET", f"{APP}/logs?lines=3").json()
    assert [(line["container"], line["text"]) for line in first["lines"]] == [
        ("web.2", "line 2"),
        ("web.1", "line 3"),
        ("web.2", "line 4"),
    ]
    again = client.call("GET", f"{APP}/logs", QUERY_STRING=f"since={first['next'].replace('+', '%2B')}").json()
    assert again == {"lines": [], "next": first["next"]}


def test_containers_running_and_past(cast: Cast) -> None:
    row, client = make_container(cast), cast.client(cast.viewer)
    containers.ready(row)
    [shown] = client.call("GET", f"{APP}/containers").json()
    assert (shown["process"], shown["version"], shown["ready"]) == ("web", 1, True)
    containers.stopped(row, exit_code=None, exit_signal=9, oom_killed=True, reason="ran out of memory")
    assert client.call("GET", f"{APP}/containers").json() == []
    [past] = client.call("GET", f"{APP}/containers?past=1").json()
    assert (past["exit_signal"], past["oom_killed"], past["reason"]) == (9, True, "ran out of memory")


def test_me_tells_the_tenants_and_roles(cast: Cast) -> None:
    body = cast.client(cast.viewer).call("GET", "me").json()
    assert body["email"] == "viewer@example.com" and not body["is_admin"]
    assert body["tenants"] == [{"tenant": "demo", "name": "Demo", "role": "viewer"}]
    assert cast.client(cast.admin).call("GET", "me").json()["tenants"] == []
    assert User.objects.count() == 5


def test_markup_in_names_stays_text(cast: Cast) -> None:
    response = cast.client(cast.owner).call(
        "POST", f"{APP}/deploys?name=%3Cscript%3E", GZIP, content_type="application/gzip"
    )
    assert (
        response["Content-Type"].startswith("application/json")
        and response["X-Content-Type-Options"] == "nosniff"
    )
    assert BytesIO(response.content).read().count(b"<script>") == 1
