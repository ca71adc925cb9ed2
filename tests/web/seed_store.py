"""Registries and pushes of the seeded tenants, an image that was pulled, and what the image store holds."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from tenants.accounts.models import Tenant, User
from tenants.apps.models import App
from tenants.registries.models import Export, Push
from tenants.releases.models import Build, Source
from tenants.store.models import Size, Upkeep, Use

MIB = 1024 * 1024
IMAGE = "registry.example:5000/team/a-rather-long-name-of-an-image/web"
DIGEST = "sha256:" + "d" * 64
PULLED = "c0ffee000001"  # a build
REFUSED = {
    "summary": f"pushing {IMAGE}:v8 failed: writing blob: unauthorized: authentication required",
    "hint": "check its name, and who the tenant is there: `berth registries list`, and `berth registries "
    "login` with a name and a password that may have it",
    "details": {},
}
TOO_LARGE = {
    "summary": "the image is larger than the tenant's disk",
    "hint": "push it to a registry",
    "details": {},
}
PUSHES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("done", {"digest": DIGEST}),
    ("failed", {"error": REFUSED}),
    ("running", {"attempts": 2}),
    ("queued", {}),
)
FREED = {"bytes": 812 * MIB, "layers": 31, "layer_bytes": 790 * MIB, "blobs": 64, "blob_bytes": 22 * MIB,
         "steps": 118, "abandoned": 1, "abandoned_bytes": 4 * MIB}  # fmt: skip
DAMAGE = {
    "damage": [
        {"kind": "layer", "id": DIGEST, "what": "its files no longer have its digest", "outcome": "removed",
         "releases": ["acme/shop v8", "acme/shop v9"]},
        {"kind": "blob", "id": DIGEST, "what": "it is shorter than it was", "outcome": "fetched",
         "releases": []},
    ],
    "mended": 1, "lost": 1, "building": ["acme/shop v9"],
}  # fmt: skip
PATHS = (
    "/tenants/acme/registries/",
    "/t/acme/shop/pushes/",
    "/t/acme/shop/deploy/image/",
    f"/t/acme/shop/builds/{PULLED}/",
)
EMPTY = ("/tenants/harbor/registries/", "/t/harbor/tides/pushes/", "/t/harbor/sandbox/pushes/")


def fill() -> None:
    acme, shop = Tenant.objects.get(slug="acme"), App.objects.get(tenant__slug="acme", name="shop")
    for host in ("docker.io", "registry.example:5000"):
        acme.registry_logins.create(host=host, username="acme-deploys", password="secret")
    release, now = shop.releases.latest("version"), timezone.now()
    for number, (status, columns) in enumerate(PUSHES):
        ended = now if status in ("done", "failed") else None
        Push.objects.create(
            app=shop, release=release, reference=f"{IMAGE}:v{7 + number}", status=status, finished_at=ended,
            created_by=release.created_by, **columns,
        )  # fmt: skip
    source = Source.objects.create(app=shop, kind="image", name=f"{IMAGE}@{DIGEST}", digest="", size=0)
    older = shop.releases.get(version=release.version - 1)
    Export.objects.create(app=shop, release=release, status="done", size=161 * MIB, finished_at=now)
    Export.objects.create(app=shop, release=older, status="failed", finished_at=now, error=TOO_LARGE)
    Export.objects.create(app=shop, release=older, status="running")
    error = {**REFUSED, "summary": f"pulling {IMAGE}:v8 failed: manifest unknown"}
    pulled = Build.objects.create(
        id=PULLED, app=shop, source=source, status="failed", started_at=now, finished_at=now, error=error
    )
    Build.objects.filter(pk=pulled.pk).update(created_at=release.created_at)  # not what happened last
    _store(shop)


def _store(shop: App) -> None:
    now, ada = timezone.now(), User.objects.get(email="ada@example.org")
    Size.objects.create(
        layers=57,
        layer_bytes=2100 * MIB,
        blobs=180,
        blob_bytes=96 * MIB,
        unshared_bytes=14_000 * MIB,
        seen_at=now,
    )
    for tenant in Tenant.objects.all():
        Use.objects.create(kind="tenant", owner_id=tenant.pk, bytes=900 * MIB, unique_bytes=210 * MIB)
    Use.objects.create(kind="app", owner_id=shop.pk, bytes=400 * MIB, unique_bytes=35 * MIB)
    for release in shop.releases.all()[:3]:
        Use.objects.create(kind="release", owner_id=release.pk, bytes=160 * MIB, unique_bytes=3 * MIB)
    for kind, report in (("look", FREED), ("mend", DAMAGE)):
        Upkeep.objects.create(kind=kind, status="done", report=report, finished_at=now, created_by=ada)
