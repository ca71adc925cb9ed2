"""Apps of one tenant that call each other by name, from release to switch to end, on the real kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from paas.network import service_address
from paas.network.links import within
from paas.router.table import NONE
from paas.specs import MIB, Fence, ProcessSpec
from paas.worker import destroy, engine, fences, launch, names, reconcile, roll_out, routes
from paas.worker.commands import process, spec
from paas.worker.translate import uid_base
from tenants.apps.actions import create_app, destroy_app
from tenants.apps.models import App
from tenants.containers import observations
from tenants.containers.models import Container, ServiceAddress
from tenants.releases.models import Release
from tenants.releases.observations import build_succeeded, claim_build
from tests.runtime.conftest import BASE
from tests.web.cast import make_build, report
from tests.worker.host import Host

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
# Says which release it is, on the port that it was told.
SERVE = "echo $BERTH_RELEASE > /tmp/index.html; exec busybox httpd -f -p $PORT -h /tmp"
WEB = ProcessSpec("web", ("sh", "-c", SERVE), memory_bytes=32 * MIB)


@pytest.fixture
def api(host: Host) -> Iterator[App]:
    """A second app of the tenant, which nothing was deployed to."""
    yield create_app(actor=host.cast.owner, tenant=host.cast.tenant, name="api")


def deployed(host: Host, app: App, *processes: ProcessSpec) -> Release:
    """Built as far as the rows say, and rolled out for real."""
    build = claim_build(make_build(app, host.cast.owner).pk, "c1")
    assert build is not None
    release = build_succeeded(build, report(processes=processes or (WEB,)))
    assert release is not None
    release.image = {**release.image, "layers": [BASE], "user": "1000:1000"}
    release.health = {**release.health, "path": None}
    release.save()
    app.refresh_from_db()
    roll_out.roll_out(app, release)
    release.refresh_from_db()
    assert release.status == Release.Status.LIVE, release.error
    app.refresh_from_db()
    return release


def get(caller: Container, where: str) -> str:
    """What is served there, asked from inside the caller's network with the caller's own /etc/hosts. (The
    image's busybox is static and cannot look up names.)"""
    pid = engine.runtime().state(caller.pk).pid
    name, _, port = where.partition(":")
    lines = [line.split() for line in Path(f"/proc/{pid}/root/etc/hosts").read_text().splitlines()]
    found = [line[0] for line in lines if line and line[1] == name]
    if not found:
        return "no such name"
    netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        return within(netns, lambda: _fetched(found[0], int(port or 80))).result()
    finally:
        os.close(netns)


def _fetched(address: str, port: int) -> str:
    connection = HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode().strip()
    except ConnectionRefusedError:
        return "refused"
    finally:
        connection.close()


def running(app: App, process_type: str = "web") -> Container:
    return Container.objects.select_related("release").get(app=app, status="running", process_type=process_type)


def end(*apps: App) -> None:
    for app in apps:
        for row in app.containers.exclude(status="stopped"):
            launch.take_down(row, reason="the test is over")


def test_an_app_reaches_another_by_name_from_its_first_release_on(host: Host, api: App) -> None:
    shop = host.cast.app
    deployed(host, shop)
    caller = running(shop)
    assert get(caller, "api.internal") == "no such name"
    deployed(host, api)  # the caller was there before: its hosts file is written again, in place
    try:
        assert get(caller, "api.internal") == "v1"
        assert get(caller, "web.api.internal:8000") == "v1"
        assert get(caller, "shop.internal") == str(caller.release)  # itself
        deployed(host, api)
        assert get(caller, "api.internal") == "v2"
    finally:
        end(shop, api)
    assert host.is_clean()


def test_a_name_without_a_container_refuses_and_one_of_a_destroyed_app_is_gone(host: Host, api: App) -> None:
    shop = host.cast.app
    deployed(host, shop)
    caller = running(shop)
    try:
        deployed(host, api)
        end(api)
        reconcile.observe(api)
        routes.sync(api.tenant)
        assert get(caller, "api.internal") == "refused"
        destroy_app(actor=host.cast.owner, app=api, confirm="api")
        api.refresh_from_db()
        destroy.destroy(api)
        assert get(caller, "api.internal") == "no such name"
    finally:
        end(shop)


def test_other_process_types_have_names_and_a_port_of_their_own(host: Host, api: App) -> None:
    serves = ("sh", "-c", SERVE)
    db = ProcessSpec("db", serves, memory_bytes=32 * MIB, port=5432)
    private = ProcessSpec("web", serves, memory_bytes=32 * MIB, private=True)
    try:
        deployed(host, api, private, db)
        caller = running(api)
        assert get(caller, "db.api.internal:5432") == "v1"
        assert get(caller, "db.api.internal") == "v1"
        assert api.is_private
        assert not (engine.table().folder / api.host).exists()
        deployed(host, api, WEB)
        assert not api.is_private
        assert NONE not in [path.name for path in (engine.table().folder / api.host).iterdir()]
        assert [row.process_type for row in api.service_addresses.all()] == ["db", "web"]  # of the one before
        deployed(host, api, WEB)
        assert [row.process_type for row in api.service_addresses.all()] == ["web"]
    finally:
        end(api)


def test_commands_have_names_and_builds_have_none(host: Host, api: App) -> None:
    shop = host.cast.app
    try:
        deployed(host, api)
        for kind, expected in ((Container.Kind.COMMAND, True), (Container.Kind.BUILD, False)):
            row = observations.new_container(
                app=shop, release=host.release, build=None, kind=kind, process_type="x", index=1, memory_limit=1
            )
            made = spec(row, host.release, process(host.release, "x", ("true",)))
            assert (("10.207.192.0", "api.internal") in made.hosts) is expected
            row.delete()
    finally:
        end(api)


def test_another_tenant_has_neither_the_name_nor_a_way(host: Host, api: App) -> None:
    try:
        deployed(host, api)
        assert names.of_tenant(host.cast.other.pk) == ()
        (service,) = fences.fence_of(host.cast.tenant).services
        assert service.address == service_address(engine.network().container_prefix, 49_152)
        assert [str(target) for target in service.targets] == ["10.207.0.16"]
        assert fences.fence_of(host.cast.other) == Fence(uid_base(host.cast.other))
    finally:
        end(api)


def test_what_was_lost_is_made_again_from_rows(host: Host, api: App, settings: Any) -> None:
    """As after a restart of the machine, or when names changed while a container was being made."""
    shop = host.cast.app
    try:
        deployed(host, shop)
        deployed(host, api)
        caller = running(shop)
        engine.network().fences.forget_all()
        (settings.PATHS.bundles / caller.pk / "hosts").write_text("127.0.0.1\tlocalhost\n")
        engine.network().remove_all()
        engine.network().apply_base()
        end(api)
        app_release = api.releases.get()
        row = roll_out.start_process(api, app_release, WEB, 1)  # fenced anew
        assert engine.network().is_fenced(uid_base(api.tenant))
        launch.take_down(row, reason="the test is over")
        names.tell_everybody()
        assert "api.internal" in (settings.PATHS.bundles / caller.pk / "hosts").read_text()
        assert ServiceAddress.objects.count() == 2
    finally:
        end(shop, api)
