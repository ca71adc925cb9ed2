"""Registries by the API: names are checked, passwords never come back, others' things are not there."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from paas.errors import BadInput
from paas.oci.digest import of_bytes
from paas.oci.reference import Reference, names_registry, parse_reference
from tenants.audit.models import Event
from tenants.registries.models import Login, Push
from tenants.releases.models import Build
from tests.web.cast import Cast

IMAGE = "registry.example:5000/team/shop:v1"
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        (IMAGE, Reference("registry.example:5000", "team/shop", tag="v1")),
        ("registry.example/shop", Reference("registry.example", "shop", tag="latest")),
        (f"registry.example/shop@{DIGEST}", Reference("registry.example", "shop", digest=DIGEST)),
        (f"registry.example/shop:v1@{DIGEST}", Reference("registry.example", "shop", digest=DIGEST)),
        ("docker.io/redis:7", Reference("docker.io", "library/redis", tag="7")),
        ("docker.io/team/shop:7", Reference("docker.io", "team/shop", tag="7")),
        ("localhost/shop:1", Reference("localhost", "shop", tag="1")),
        ("10.0.0.1:5000/a/b__c/d-e.f:x", Reference("10.0.0.1:5000", "a/b__c/d-e.f", tag="x")),
    ],
)
def test_a_name_in_a_registry(name: str, meant: Reference) -> None:
    assert names_registry(name) and parse_reference(name) == meant
    assert parse_reference(str(meant)) == meant


@pytest.mark.parametrize(
    "name",
    ["", "redis", "redis:7", "team/shop", "a.example", "a.example/", "a.example/Shop:1", "a.example/shop:",
     "a.example/shop@sha256:1", "-evil.example/shop:1", "a.example/../x:1", "a.example/shop:1 -x",
     "a.example/shop:1\n", "http://a.example/shop", "a.example:99999999/shop", "a.example/" + "a" * 300,
     "a.b/\u00e9:1", "user:pw@a.example/x:1"],
)  # fmt: skip
def test_what_is_no_name_in_a_registry(name: str) -> None:
    with pytest.raises(BadInput, match="is not an image in a registry"):
        parse_reference(name)


def test_an_image_is_deployed_as_a_build(cast: Cast) -> None:
    answer = cast.client(cast.developer).call("POST", "apps/demo/shop/deploys/image", {"image": IMAGE})
    assert answer.status_code == 202 and answer.json()["source"] == IMAGE
    build = Build.objects.get(pk=answer.json()["id"])
    assert (build.status, build.source.kind, build.source.name) == ("queued", "image", IMAGE)


@pytest.mark.parametrize("image", ["redis:7", "registry.example/shop:v1 -x", ""])
def test_a_wrong_name_is_refused_with_its_field(cast: Cast, image: str) -> None:
    answer = cast.client(cast.developer).call("POST", "apps/demo/shop/deploys/image", {"image": image})
    assert answer.status_code == 400 and answer.json()["error"]["details"]["field"] == "image"
    assert not Build.objects.filter(source__kind="image").exists()


def test_only_registries_that_are_allowed(cast: Cast, settings: Any) -> None:
    settings.REGISTRIES = ["docker.io"]
    answer = cast.client(cast.developer).call("POST", "apps/demo/shop/deploys/image", {"image": IMAGE})
    assert answer.status_code == 403 and "Use one of docker.io" in answer.json()["error"]["hint"]


def test_a_push_names_a_tag_or_its_own_digest_and_is_limited(cast: Cast) -> None:
    client, path = cast.client(cast.developer), "apps/demo/shop/releases/1/push"
    wrong = client.call("POST", path, {"image": f"registry.example/shop@{of_bytes(b'another')}"})
    own = cast.app.releases.get().image["digest"]
    assert wrong.status_code == 400 and f"registry.example/shop@{own}" in wrong.json()["error"]["hint"]
    answers = [client.call("POST", path, {"image": IMAGE}).status_code for _ in range(5)]
    assert answers == [202, 202, 202, 202, 403]
    assert client.call("POST", "apps/demo/shop/releases/9/push", {"image": IMAGE}).status_code == 404
    theirs = Push.objects.create(app=cast.others_app, release=cast.app.releases.get(), reference=IMAGE)
    assert client.call("GET", f"apps/demo/shop/pushes/{theirs.pk}").status_code == 404


def test_an_upload_cannot_call_itself_an_image(cast: Cast) -> None:
    answer = cast.client(cast.developer).call(
        "POST", "apps/demo/shop/deploys", b"x", content_type="application/image"
    )
    assert answer.status_code == 400


def test_a_password_is_encrypted_and_never_given_back(cast: Cast) -> None:
    client = cast.client(cast.developer)
    body = {"host": "registry.example", "username": "sailor", "password": "very-secret"}
    for _ in range(2):
        assert client.call("POST", "tenants/demo/registries", body).status_code == 201
    listed = client.call("GET", "tenants/demo/registries")
    assert listed.json()[0]["username"] == "sailor" and b"very-secret" not in listed.content
    assert Login.objects.get().password == "very-secret"
    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM registries_login")
        assert "very-secret" not in cursor.fetchone()[0]
    assert all("very-secret" not in str(event.detail) for event in Event.objects.all())
    for status in (204, 404):
        assert client.call("DELETE", "tenants/demo/registries/registry.example").status_code == status
        assert not Login.objects.exists()


@pytest.mark.parametrize(
    "change",
    [{"host": "registry.example/x"}, {"host": ""}, {"username": ""}, {"username": "a:b"}, {"password": ""}],
)
def test_a_sign_in_is_checked(cast: Cast, change: dict[str, str]) -> None:
    body = {"host": "registry.example", "username": "sailor", "password": "x", **change}
    assert cast.client(cast.developer).call("POST", "tenants/demo/registries", body).status_code == 400
