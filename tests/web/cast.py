"""Who plays in the tests: two tenants that do not trust each other, and a person for each role."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import Client

from paas.specs import BuildReport, BuiltStage, HealthCheck, ImageSpec, ProcessSpec, Recipe
from tenants.accounts.actions import create_tenant, create_token, revoke_token
from tenants.accounts.models import Member, Role, Tenant, User
from tenants.apps.actions import create_app
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.inspections.actions import look_inside
from tenants.inspections.models import Inspection
from tenants.releases import observations
from tenants.releases.actions import start_build, upload_source
from tenants.releases.models import Build, Release
from tenants.runs.actions import start_run
from tenants.runs.command import Command
from tenants.runs.models import Run

LAYER = "sha256:" + "b" * 64
GZIP = b"\x1f\x8b\x08\x00 stands for an archive"
GZIP_DIGEST = f"sha256:{hashlib.sha256(GZIP).hexdigest()}"


@dataclass
class Cast:
    admin: User
    owner: User
    developer: User
    viewer: User
    stranger: User  # owner of the other tenant
    tenant: Tenant
    other: Tenant
    app: App  # tenant's; v1 is live
    others_app: App

    def client(self, user: User | None, *, scope: str = "deploy", revoked: bool = False) -> ApiClient:
        if user is None:
            return ApiClient()
        token, secret = create_token(actor=user, name="test", scope=scope)
        if revoked:
            revoke_token(actor=user, token_id=token.pk)
        return ApiClient(secret)


class ApiClient(Client):
    """Django's client with a bearer token and JSON bodies; paths are below /api/v1/."""

    def __init__(self, secret: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        super().__init__(raise_request_exception=False, headers={**headers, "Host": settings.DASHBOARD_HOST})

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        options.setdefault("content_type", "application/json")
        return self.generic(method, f"/api/v1/{path}", _encoded(body), **options)


def _encoded(body: Any) -> bytes:
    import json  # noqa: PLC0415

    return body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()


Pairs = tuple[tuple[str, str], ...]


def report(*, processes: Iterable[ProcessSpec] = (), env: Pairs = (), volumes: Pairs = ()) -> BuildReport:
    """What a small build gives; tests change one thing of it."""
    return BuildReport(
        image=ImageSpec(digest="sha256:" + "a" * 64, layers=(LAYER,)),
        processes=tuple(processes) or (ProcessSpec(name="web", args=("python", "app.py")),),
        health=HealthCheck(path="/"),
        env=env,
        builder="python",
        steps_total=4,
        steps_cached=3,
        volumes=volumes,
        recipe=Recipe((BuiltStage("0", "debian:12", LAYER, ("RUN true",)),), args=(("A", "b"),)),
    )


def make_build(app: App, actor: User, name: str = "shop") -> Build:
    source = upload_source(actor=actor, app=app, kind="tar.gz", name=name, chunks=[GZIP])
    return start_build(actor=actor, app=app, source=source)


def make_run(app: App, actor: User, command: Command = "true") -> Run:
    app.refresh_from_db()
    return start_run(actor=actor, app=app, command=command)


def make_container(app: App) -> Container:
    """A web process of the app's newest release, running as far as the rows say."""
    release = app.releases.first()
    return Container.objects.create(
        tenant=app.tenant,
        app=app,
        release=release,
        kind="process",
        process_type="web",
        memory_limit=1,
        status="running",
    )


def make_inspection(app: App, actor: User) -> Inspection:
    with_image = app.releases.filter(committed_from="")  # of one whose commit is under way there is none
    return look_inside(actor=actor, app=app, release=with_image.latest("version"))


def released(app: App, actor: User, made: BuildReport | None = None) -> Release:
    """Deployed as the worker would: built, started, live."""
    claimed = observations.claim_build(make_build(app, actor).pk, "c1")
    assert claimed is not None
    release = observations.build_succeeded(claimed, made or report())
    assert release is not None
    go_live(release)
    return release


def go_live(release: Release) -> None:
    assert observations.release_starting(release.app, release)
    assert observations.release_live(release)


@pytest.fixture(autouse=True)
def platform(valkey_server: redis.Redis[bytes], settings: Any) -> redis.Redis[bytes]:
    """Each test begins with an empty cache and queue; static files need no collecting."""
    valkey_server.flushall()
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    return valkey_server


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def make_cast() -> Cast:
    admin = User.objects.create_user("admin@example.com", is_admin=True)
    names = ("owner", "developer", "viewer", "stranger")
    people = {name: User.objects.create_user(f"{name}@example.com") for name in names}
    tenant = create_tenant(actor=admin, slug="demo", name="Demo")
    other = create_tenant(actor=admin, slug="other", name="Other")
    Member.objects.all().delete()  # the administrator is a member of neither
    for role in Role:
        Member.objects.create(tenant=tenant, user=people[role.value], role=role)
    Member.objects.create(tenant=other, user=people["stranger"], role=Role.OWNER)
    app = create_app(actor=people["owner"], tenant=tenant, name="shop")
    others_app = create_app(actor=people["stranger"], tenant=other, name="blog")
    released(app, people["developer"])
    app.refresh_from_db()
    return Cast(admin=admin, **people, tenant=tenant, other=other, app=app, others_app=others_app)
