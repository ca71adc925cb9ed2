"""`berth volumes` and `berth quota`: what a person reads, is asked, and loses only by a name."""

from __future__ import annotations

import json

import pytest

from paas.specs import Effective, Limits
from paas.worker import quota
from tenants.accounts.models import Tenant
from tenants.containers.models import Container
from tenants.volumes.models import Volume
from tests.cli.berth import Berth
from tests.web.cast import Cast

APP = ("--app", "demo/shop")
MIB = 1024 * 1024


@pytest.fixture
def two(cast: Cast) -> Cast:
    """One that the release mounts, one that it does not."""
    Volume.objects.create(app=cast.app, name="data", path="/var/lib/data", size_bytes=5 * MIB)
    Volume.objects.create(app=cast.app, name="old", path="/srv/old")
    cast.app.releases.update(volumes=[["data", "/var/lib/data"]])
    return cast


def test_volumes_are_listed_and_deleted_by_name(berth: Berth, two: Cast) -> None:
    berth.sign_in(two.owner)
    shown = berth.run("volumes", *APP).stdout
    assert shown.splitlines()[1].split() == ["data", "5", "MiB", "/var/lib/data"]
    assert "not counted yet" in shown and "not by the present release (was /srv/old)" in shown
    refused = berth.run("volumes", "delete", "data", "--confirm", "data", *APP)
    assert refused.returncode == 1 and "mounted by the present release" in refused.stderr
    wrong = berth.run("volumes", "delete", "old", *APP, stdin="odl\n")
    assert wrong.returncode == 1 and "so nothing was deleted" in wrong.stderr
    assert Volume.objects.get(name="old").delete_asked_at is None
    done = berth.run("volumes", "delete", "old", *APP, stdin="old\n")
    assert done.returncode == 0 and "Volume old is being deleted." in done.stdout, done.stderr
    gone = berth.run("volumes", "delete", "old", "--confirm", "old", *APP)
    assert gone.returncode == 1 and "has no volume old" in gone.stderr


def test_a_destroy_names_the_volumes_first(berth: Berth, two: Cast) -> None:
    berth.sign_in(two.owner)
    asked = berth.run("destroy", *APP, stdin="no\n").stderr
    assert "and all that is in its volumes (data, old), for good?" in asked


def test_a_quota_shows_what_was_set_and_what_holds(berth: Berth, cast: Cast) -> None:
    tenant = cast.tenant
    asked = Limits(tenant.memory_bytes, tenant.swap_bytes, tenant.cpu_millis, 100, tenant.pids)
    seen = Effective(tenant.memory_bytes, None, tenant.cpu_millis, 7)
    found = quota.compared(asked, tenant.disk_bytes, seen)
    Tenant.objects.filter(pk=tenant.pk).update(in_force=found, quota_error="it holds more memory")
    berth.sign_in(cast.viewer)
    shown = berth.run("quota")
    rows = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert rows["cpu"].split()[1:5] == ["2", "cores", "2", "cores"]
    assert "2,048" in rows["pids"] and "7" in rows["pids"] and quota.DRIFTED in rows["pids"]
    assert "counts no swap" in rows["swap"] and rows["disk"].split()[3] == "-"
    assert "Not in force as it was set: it holds more memory" in shown.stderr
    same = json.loads(berth.run("quota", "--tenant", "demo", "--json").stdout)
    assert len(same["limits"]) == len(rows) - 1


def test_an_administrator_changes_a_quota(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.admin)
    done = berth.run("quota", "set", "demo", "memory=1G", "cpu=1.5")
    rows = {line.split()[0]: line.split()[1:3] for line in done.stdout.splitlines()}
    assert (rows["memory"], rows["cpu"]) == (["1", "GiB"], ["1.5", "cores"]), done.stderr
    assert berth.run("quota", "--machine", "-t", "demo").stdout == done.stdout
    store = berth.run("quota", "set", "demo", "store=0.7G").stdout
    assert "717 MiB" in store and "751619276" not in store, "as the page has it"
    wrong = berth.run("quota", "set", "demo", "memroy=1G")
    assert wrong.returncode == 1 and "Did you mean memory?" in wrong.stderr
    assert "memory is given twice" in berth.run("quota", "set", "demo", "memory=1G", "memory=2G").stderr
    Container.objects.create(
        tenant=cast.tenant, app=cast.app, kind="process", memory_limit=1, status="running", pids=65
    )
    noted = berth.run("quota", "set", "demo", "pids=64")
    assert noted.returncode == 0 and "Note: it has 65 processes now" in noted.stderr
    assert "is not NAME=AMOUNT" in berth.run("quota", "set", "demo", "memory").stderr
    berth.sign_in(cast.owner)
    refused = berth.run("quota", "set", "demo", "memory=1G")
    assert refused.returncode == 1 and "needs an administrator" in refused.stderr
