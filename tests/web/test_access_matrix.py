"""Every URL of the API, as every member of the cast. A new URL without a row here fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from paas.api import api
from paas.specs import MIB
from tenants.accounts.models import Role
from tenants.accounts.roles import includes
from tenants.fleet.models import Peak
from tenants.registries.models import Export, Login, Push
from tenants.releases.actions import right_size
from tenants.releases.models import Build
from tenants.store.models import Upkeep
from tenants.volumes.models import Volume
from tests.web.cast import (
    GZIP,
    GZIP_DIGEST,
    LAYER,
    Cast,
    make_build,
    make_container,
    make_inspection,
    make_run,
    released,
)

OPEN = None  # any valid token
ADMIN = "admin"  # of the machine
APP = "apps/{tenant}/{app}"


@dataclass(frozen=True)
class Row:
    needs: Role | str | None
    ok: int
    body: Any = None
    content_type: str = "application/json"


MATRIX = {
    ("GET", "me"): Row(OPEN, 200),
    ("GET", "apps"): Row(OPEN, 200),
    ("POST", "apps"): Row(Role.DEVELOPER, 201, {"tenant": "demo", "name": "fresh"}),
    ("GET", APP): Row(Role.VIEWER, 200),
    ("DELETE", APP): Row(Role.OWNER, 202, {"confirm": "shop"}),
    ("POST", f"{APP}/deploys"): Row(Role.DEVELOPER, 202, GZIP, "application/gzip"),
    ("POST", f"{APP}/deploys/source"): Row(Role.DEVELOPER, 202, {"digest": GZIP_DIGEST}),
    ("POST", f"{APP}/deploys/image"): Row(Role.DEVELOPER, 202, {"image": "registry.example/shop:v1"}),
    ("POST", f"{APP}/releases/{{version}}/push"): Row(
        Role.DEVELOPER, 202, {"image": "registry.example/shop:v1"}
    ),
    ("GET", f"{APP}/pushes"): Row(Role.VIEWER, 200),
    ("GET", f"{APP}/pushes/{{push}}"): Row(Role.VIEWER, 200),
    ("POST", f"{APP}/pushes/{{push}}/cancel"): Row(Role.DEVELOPER, 202, {}),
    ("POST", f"{APP}/releases/{{version}}/export"): Row(Role.DEVELOPER, 202, {}),
    ("GET", f"{APP}/exports/{{export}}"): Row(Role.DEVELOPER, 200),
    ("POST", f"{APP}/exports/{{export}}/cancel"): Row(Role.DEVELOPER, 202, {}),
    ("GET", "tenants/{tenant}/quota"): Row(Role.VIEWER, 200),
    ("GET", "tenants/{tenant}/registries"): Row(Role.DEVELOPER, 200),
    ("POST", "tenants/{tenant}/registries"): Row(
        Role.DEVELOPER, 201, {"host": "registry.example", "username": "sailor", "password": "secret"}
    ),
    ("DELETE", "tenants/{tenant}/registries/{host}"): Row(Role.DEVELOPER, 204),
    ("GET", f"{APP}/builds"): Row(Role.VIEWER, 200),
    ("GET", f"{APP}/builds/{{build}}"): Row(Role.VIEWER, 200),
    ("GET", f"{APP}/builds/{{build}}/log"): Row(Role.VIEWER, 200),
    ("POST", f"{APP}/builds/{{build}}/cancel"): Row(Role.DEVELOPER, 202, {}),
    ("GET", f"{APP}/releases"): Row(Role.VIEWER, 200),
    ("GET", f"{APP}/releases/{{version}}"): Row(Role.VIEWER, 200),
    ("POST", f"{APP}/releases/{{version}}/image"): Row(Role.VIEWER, 202, {}),
    ("POST", f"{APP}/releases/{{version}}/layers/{{layer}}"): Row(Role.VIEWER, 202, {}),
    ("POST", f"{APP}/releases/{{version}}/compare/base"): Row(Role.VIEWER, 202, {}),
    ("POST", f"{APP}/releases/{{version}}/compare/{{before}}"): Row(Role.VIEWER, 202, {}),
    ("POST", f"{APP}/containers/{{container}}/changes"): Row(Role.VIEWER, 202, {}),
    ("POST", f"{APP}/containers/{{container}}/commit"): Row(Role.DEVELOPER, 201, {}),
    ("GET", f"{APP}/inspections/{{inspection}}"): Row(Role.VIEWER, 200),
    ("POST", f"{APP}/releases/rollback"): Row(Role.DEVELOPER, 201, {"version": 1}),
    ("POST", f"{APP}/restart"): Row(Role.DEVELOPER, 201, {}),
    ("GET", f"{APP}/sleep"): Row(Role.VIEWER, 200),
    ("POST", f"{APP}/sleep"): Row(Role.DEVELOPER, 202, {}),
    ("POST", f"{APP}/wake"): Row(Role.DEVELOPER, 202, {}),
    ("PUT", f"{APP}/sleep"): Row(Role.DEVELOPER, 200, {"after": 60}),
    ("POST", f"{APP}/scale"): Row(Role.DEVELOPER, 200, {"formation": {"web": 2}}),
    ("GET", f"{APP}/limits"): Row(Role.VIEWER, 200),
    ("POST", f"{APP}/limits/{{process}}"): Row(Role.DEVELOPER, 200, {}),
    ("DELETE", f"{APP}/limits/{{process}}"): Row(Role.DEVELOPER, 200),
    ("POST", "machine/apps/{tenant}/{app}/limits/{process}"): Row(ADMIN, 200, {"advice": 80 * MIB}),
    ("DELETE", "machine/apps/{tenant}/{app}/limits/{process}"): Row(ADMIN, 200),
    ("GET", f"{APP}/config"): Row(Role.VIEWER, 200),
    ("PATCH", f"{APP}/config"): Row(Role.DEVELOPER, 200, {"changes": {"A": "1"}}),
    ("GET", f"{APP}/store"): Row(Role.VIEWER, 200),
    ("GET", "tenants/{tenant}/network"): Row(Role.VIEWER, 200),
    ("GET", "machine/tenants/{tenant}/network"): Row(ADMIN, 200),
    ("PUT", "machine/tenants/{tenant}/network"): Row(ADMIN, 200, {"policy": "none"}),
    ("GET", "machine/tenants/{tenant}/quota"): Row(ADMIN, 200),
    ("PATCH", "machine/tenants/{tenant}/quota"): Row(ADMIN, 200, {"changes": {"pids": 512}}),
    ("GET", "machine/density"): Row(ADMIN, 200),
    ("GET", "machine/store"): Row(ADMIN, 200),
    ("GET", "machine/store/upkeep"): Row(ADMIN, 200),
    ("POST", "machine/store/upkeep"): Row(ADMIN, 202, {"kind": "look"}),
    ("GET", "machine/store/upkeep/{upkeep}"): Row(ADMIN, 200),
    ("GET", "tenants/{tenant}/isolation"): Row(Role.VIEWER, 200),
    ("POST", "tenants/{tenant}/isolation"): Row(Role.VIEWER, 202, {}),
    ("GET", "machine/isolation"): Row(ADMIN, 200),
    ("POST", "machine/isolation"): Row(ADMIN, 202, {}),
    ("GET", f"{APP}/containers"): Row(Role.VIEWER, 200),
    ("GET", f"{APP}/logs"): Row(Role.VIEWER, 200),
    ("GET", f"{APP}/volumes"): Row(Role.VIEWER, 200),
    ("DELETE", f"{APP}/volumes/{{volume}}"): Row(Role.OWNER, 202, {"confirm": "data"}),
    ("POST", f"{APP}/runs"): Row(Role.DEVELOPER, 202, {"command": ["true"]}),
    ("GET", f"{APP}/runs"): Row(Role.VIEWER, 200),
    ("GET", f"{APP}/runs/{{run}}"): Row(Role.VIEWER, 200),
    ("GET", f"{APP}/runs/{{run}}/log"): Row(Role.VIEWER, 200),
    ("POST", f"{APP}/runs/{{run}}/cancel"): Row(Role.DEVELOPER, 202, {}),
}
WHO = ("owner", "developer", "viewer", "stranger", "admin", "nobody", "revoked", "reader")


def test_every_url_has_a_row() -> None:
    found = set()
    for path, methods in api.get_openapi_schema()["paths"].items():
        found |= {(method.upper(), path.removeprefix("/api/v1/")) for method in methods}
    assert found == set(MATRIX)


def expected(row: Row, method: str, path: str, who: str) -> int:
    if who in ("nobody", "revoked"):
        return 401
    if who == "reader" and method != "GET":
        return 403
    if row.needs == ADMIN:
        return row.ok if who == "admin" else 403
    if row.needs is OPEN or who == "reader":
        return row.ok
    if who in ("stranger", "admin"):
        return 404
    return row.ok if includes(Role(who), Role(row.needs)) else 403


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(("method", "path"), MATRIX, ids=str)
def test_access(cast: Cast, method: str, path: str, who: str) -> None:
    row = MATRIX[method, path]
    build = make_build(cast.app, cast.developer)
    if path.endswith("rollback"):
        _newer_release(cast)
    run = make_run(cast.app, cast.developer)
    ids = {"build": build.pk, "run": run.pk, "container": make_container(cast.app).pk}
    ids |= {"version": 1, "before": 1, "layer": LAYER, "inspection": make_inspection(cast.app, cast.viewer).pk}
    ids |= {"upkeep": Upkeep.objects.create(kind="prune", status="done").pk, "host": "registry.example"}
    first = cast.app.releases.get(version=1)
    ids |= {"push": Push.objects.create(app=cast.app, release=first, reference="r/s:1").pk}
    Login.objects.create(tenant=cast.tenant, host="registry.example", username="sailor", password="secret")
    ids |= {"volume": Volume.objects.create(app=cast.app, name="data").name}
    ids |= {"process": "web"}
    Build.objects.filter(pk=first.build_id).update(base=LAYER)  # what its image stands on
    Peak.objects.create(app=cast.app, process_type="web", days={"2026-11-27": 60 * MIB})
    if method == "DELETE" and "/limits/" in path:
        right_size(actor=cast.owner, app=cast.app, process="web")
    ids |= {"export": Export.objects.create(app=cast.app, release=first).pk}
    url = path.format(tenant="demo", app="shop", **ids)
    client = _client(cast, who)
    response = client.call(method, url, row.body, content_type=row.content_type)
    assert response.status_code == expected(row, method, path, who), response.content
    if response.status_code >= 400:
        assert set(response.json()["error"]) == {"summary", "hint", "details"}


def _client(cast: Cast, who: str) -> Any:
    if who == "reader":
        return cast.client(cast.owner, scope="read")
    if who in ("nobody", "revoked"):
        return cast.client(None if who == "nobody" else cast.owner, revoked=True)
    return cast.client(getattr(cast, who))


def _newer_release(cast: Cast) -> None:
    from tenants.releases.actions import restart  # noqa: PLC0415

    restart(actor=cast.owner, app=cast.app)


def test_other_tenants_look_as_if_they_did_not_exist(cast: Cast) -> None:
    client = cast.client(cast.stranger)
    theirs, none = client.call("GET", "apps/demo/shop"), client.call("GET", "apps/demo/nothing")
    assert theirs.status_code == none.status_code == 404
    assert theirs.json()["error"]["summary"].replace("shop", "nothing") == none.json()["error"]["summary"]
    assert client.call("GET", "apps").json()[0]["tenant"] == "other"


def test_ids_nested_under_another_app_are_not_found(cast: Cast) -> None:
    foreign = make_build(cast.others_app, cast.stranger)
    client = cast.client(cast.owner)
    for method, rest in (("GET", ""), ("GET", "/log"), ("POST", "/cancel")):
        assert client.call(method, f"apps/demo/shop/builds/{foreign.pk}{rest}", {}).status_code == 404
    assert client.call("GET", "apps/demo/shop/releases/7").status_code == 404
    released(cast.others_app, cast.stranger)
    theirs = make_run(cast.others_app, cast.stranger)
    for method, rest in (("GET", ""), ("GET", "/log"), ("POST", "/cancel")):
        assert client.call(method, f"apps/demo/shop/runs/{theirs.pk}{rest}", {}).status_code == 404
    container, asked = make_container(cast.others_app), make_inspection(cast.others_app, cast.stranger)
    assert client.call("POST", f"apps/demo/shop/containers/{container.pk}/changes", {}).status_code == 404
    assert client.call("POST", f"apps/demo/shop/containers/{container.pk}/commit", {}).status_code == 404
    assert client.call("GET", f"apps/demo/shop/inspections/{asked.pk}").status_code == 404


def test_a_person_who_is_shut_out_is_so_at_once(cast: Cast) -> None:
    client = cast.client(cast.owner)
    assert client.call("GET", "me").status_code == 200
    cast.owner.is_active = False
    cast.owner.save()
    assert client.call("GET", "me").status_code == 401


def test_openapi_and_its_page_are_open_and_need_no_other_host(cast: Cast) -> None:
    client = cast.client(None)
    assert client.call("GET", "openapi.json").json()["info"]["title"] == "Berth"
    page = client.call("GET", "docs").content.decode()
    assert "/static/ninja/swagger-ui" in page
    assert "cdn" not in page and "https://" not in page
