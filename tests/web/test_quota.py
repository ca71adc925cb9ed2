"""A tenant's quota: shown and set by administrators, checked, brought to the host, and told honestly."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from paas.errors import BadInput, HostProblem, Refused
from paas.specs import MIB, Effective, Limits
from paas.worker import engine, sweep
from paas.worker import quota as worker
from paas.worker.translate import tenant_spec
from tenants.accounts import observations
from tenants.accounts.models import Tenant
from tenants.audit.models import Event
from tenants.containers.models import Container
from tenants.fleet.actions import set_quota
from tenants.fleet.models import Machine
from tenants.fleet.observations import machine_sampled
from tenants.fleet.quota import Quota, amount
from tests.web.cast import Cast, make_build, released
from tests.web.pages import Browser

PAGE = "/machine/tenants/demo/"
GIB = 1024 * MIB
FORM = {
    **{"memory": "1024", "swap": "512", "cpu": "1.5", "pids": "512", "disk": "20"},
    **{"io": "50", "operations": "2000", "containers": "30", "builds": "2", "log": "512", "store": "5"},
}


def now(cast: Cast) -> Tenant:
    return Tenant.objects.get(pk=cast.tenant.pk)


def container(cast: Cast, **columns: Any) -> Container:
    return Container.objects.create(
        tenant=cast.tenant, app=cast.app, kind="process", memory_limit=MIB, status="running", **columns
    )


def machine() -> None:
    machine_sampled(
        cores=4,
        memory_bytes=8 * GIB,
        memory_available_bytes=4 * GIB,
        cpu_millis=0,
        disk_bytes=100 * GIB,
        disk_free_bytes=50 * GIB,
        swap_bytes=8 * GIB,
        swap_free_bytes=8 * GIB,
    )


def with_disk(cast: Cast) -> None:
    """As the worker saw it after a first build."""
    found = worker.compared(ASKED, 10 * GIB, replace(SEEN, disk_whole=10 * GIB))
    observations.quota_seen(now(cast), found)


def test_an_administrator_sets_it_and_the_worker_is_told(cast: Cast, platform: Any) -> None:
    page = Browser(cast.admin).post(PAGE, FORM, follow=True).content.decode()
    assert "The quota is saved." in page and "Quota is being applied" in page
    tenant = now(cast)
    spec = tenant_spec(tenant)
    assert (spec.quota.memory_bytes, spec.quota.swap_bytes, spec.quota.cpu_millis) == (GIB, 512 * MIB, 1500)
    assert (spec.quota.pids, spec.disk_bytes) == (512, 20 * GIB)
    assert (spec.quota.io_bytes, spec.quota.io_operations) == (50 * MIB, 2000)
    assert (tenant.containers_at_once, tenant.builds_at_once) == (30, 2)
    assert (tenant.log_bytes, tenant.store_bytes) == (512 * 1024, 5 * GIB)
    event = Event.objects.get(verb="tenant.quota")
    assert (event.actor, event.tenant_id) == (cast.admin, cast.tenant.pk)
    assert event.detail["changes"]["pids"] == [2048, 512]


@pytest.mark.django_db(transaction=True)
def test_its_message_names_the_tenant_alone(platform: Any) -> None:
    from tests.web.cast import make_cast  # noqa: PLC0415

    cast = make_cast()
    platform.flushall()
    set_quota(actor=cast.admin, tenant=cast.tenant, changes={"memory": GIB, "pids": 512})
    message = platform.lrange("deploy", 0, -1)[0].decode()
    assert "berth.quota" in message and str(GIB) not in message


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("memory", "63", "needs 64 MiB at least"),
        ("memory", "8193", "this machine has 8 GiB"),
        ("memory", "199", "its containers use 200 MiB now"),
        ("swap", "-1", "greater than or equal to 0"),
        ("cpu", "0.01", "0.05 cores at least"),
        ("cpu", "4.1", "this machine has 4 cores"),
        ("cpu", "lots", "Enter a number"),
        ("pids", "10", "64 to 32,768"),
        ("pids", "1e3", "Enter a number"),
        ("pids", "1048577", "less than or equal to"),
        ("swap", "8193", "this machine has 8 GiB of swap"),
        ("disk", "9", "a disk never shrinks, and this one has 10 GiB"),
        ("disk", "0.2", "256 MiB at least"),
        ("disk", "101", "disk has 100 GiB"),
        ("io", "0.5", "Ensure that there are no more than 0 decimal places"),
        ("operations", "49", "50 a second at least, or 0 for no limit"),
        ("containers", "0", "1 to 5,000 containers"),
        ("builds", "33", "1 to 32 builds"),
        ("log", "15", "16 KiB a second at least"),
        ("store", "0.2", "256 MiB at least"),
        ("store", "101", "disk has 100 GiB"),
        ("sleep", "soon", "is not a time that is allowed"),
        ("sleep", "9", "from 10 seconds to 30 days"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(cast: Cast, field: str, value: str, said: str) -> None:
    machine()
    container(cast, memory_bytes=200 * MIB)
    with_disk(cast)
    before = Quota.of(now(cast))
    answer = Browser(cast.admin).post(PAGE, {**FORM, field: value})
    page = answer.content.decode()
    assert answer.status_code == 422 and said.lower() in page.lower()
    assert f'id="id_{field}_error"' in page
    assert Quota.of(now(cast)) == before and not Event.objects.filter(verb="tenant.quota").exists()


@pytest.mark.django_db(transaction=True)
def test_more_builds_at_once_begin_at_once(platform: Any) -> None:
    from tests.web.cast import make_cast  # noqa: PLC0415

    cast = make_cast()
    waiting = [make_build(cast.app, cast.developer) for _ in range(3)]
    Tenant.objects.filter(pk=cast.tenant.pk).update(builds_at_once=2)
    platform.flushall()
    worker.apply_quota(cast.tenant.pk)
    told = b"".join(platform.lrange("build", 0, -1)).decode()
    assert [build.pk in told for build in waiting] == [True, True, False]


def test_all_that_cannot_be_is_told_at_once(cast: Cast) -> None:
    machine()
    wrong = {"memory": "63", "pids": "10", "cpu": "lots"}
    page = Browser(cast.admin).post(PAGE, {**FORM, **wrong}).content.decode()
    assert all(f'id="id_{field}_error"' in page for field in wrong)
    assert 'id="id_disk_error"' not in page


def test_what_is_shown_rounded_stays_exact(cast: Cast) -> None:
    Tenant.objects.update(disk_bytes=10 * GIB + 12345)
    form = {"memory": "2048", "swap": "2048", "cpu": "2", "pids": "2048", "disk": "10.00"}
    form |= {"io": "0", "operations": "0", "containers": "100", "builds": "1", "log": "1024", "store": "10"}
    Browser(cast.admin).post(PAGE, {**form, "pids": "1024"})
    assert (now(cast).disk_bytes, now(cast).pids) == (10 * GIB + 12345, 1024)
    page = Browser(cast.admin).post(PAGE, {**form, "pids": "1024"}, follow=True).content.decode()
    assert "Nothing to change." in page


def test_only_an_administrator_sets_it(cast: Cast) -> None:
    assert Browser(cast.owner).post(PAGE, FORM).status_code == 403
    with pytest.raises(Refused):
        set_quota(actor=cast.owner, tenant=cast.tenant, changes={"memory": GIB, "pids": 512})
    with pytest.raises(BadInput):
        set_quota(actor=cast.admin, tenant=cast.tenant, changes={"swap": -1})


def test_it_is_changed_through_the_api_as_by_the_form(cast: Cast, platform: Any) -> None:
    client, url = cast.client(cast.admin), "machine/tenants/demo/quota"
    asked = {"memory": "1G", "cpu": "1.5", "pids": 512, "io": "0", "log": "512K"}
    limits = client.call("PATCH", url, {"changes": asked}).json()["limits"]
    assert {limit["name"]: limit["asked"] for limit in limits if limit["name"] in asked} == {
        **{"memory": GIB, "cpu": 1500, "pids": 512, "io": None, "log": 512 * 1024}
    }
    assert now(cast).disk_bytes == cast.tenant.disk_bytes, "what is not named stays"
    assert amount("disk", "0.7G") == int(0.7 * GIB), "as the form has it"
    event = Event.objects.get(verb="tenant.quota")
    assert (event.actor, event.detail["changes"]["pids"]) == (cast.admin, [2048, 512])
    assert client.call("PATCH", url, {"changes": asked}).status_code == 200
    assert Event.objects.filter(verb="tenant.quota").count() == 1, "nothing to change"
    assert client.call("PATCH", "machine/tenants/nobody/quota", {"changes": asked}).status_code == 404


@pytest.mark.parametrize(
    ("name", "value", "said", "hint"),
    [
        ("memory", "199M", "its containers use 200 MiB now", "Stop some of its apps"),
        ("memory", "8193M", "this machine has 8 GiB", ""),
        ("memory", "2048", "not an amount", "Write 2G, 512M or 64K."),
        ("cpu", "4.1", "this machine has 4 cores", ""),
        ("cpu", "1.0005", "not an amount", "cores, as 1.5"),
        ("pids", "5K", "not an amount", "a whole number"),
        ("disk", "9G", "a disk never shrinks", ""),
        ("swap", "100G", "this machine has 8 GiB of swap", "Choose less"),
        ("swap", -1, "out of range", "Choose 0 to"),
        ("swap", 10**30, "out of range", "Choose 0 to"),
        ("builds", 33, "1 to 32 builds", ""),
        ("sleep", "31d", "sleep=31d is not a time that is allowed", "default, for the machine"),
        ("sleep", 9, "10 seconds at least, or 0 for never", ""),
        ("sleep", 2_592_001, "out of range", "0 to 2592000"),
        ("memroy", "2G", "no limit 'memroy'", "Did you mean memory?"),
        ("colour", 1, "no limit 'colour'", "The limits are memory, swap, "),
        ("inodes", 1, "come with the disk", "each GiB has 65,536 files"),
        ("egress", "20M", "with the rest of the network's rules", "berth network set TENANT rate=20M"),
        ("memory", True, "memory is neither a whole number nor a text", "Send a number"),
        ("memory", 1.5, "memory is neither", ""),
        ("memory", None, "memory is neither", ""),
        ("memory", {"a": 1}, "memory is neither", ""),
    ],
)
def test_the_api_refuses_what_the_form_does(cast: Cast, name: str, value: Any, said: str, hint: str) -> None:
    machine()
    with_disk(cast)
    container(cast, memory_bytes=200 * MIB)
    answer = cast.client(cast.admin).call("PATCH", "machine/tenants/demo/quota", {"changes": {name: value}})
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["details"]["field"] == name
    assert said in error["summary"] and hint in error["hint"]
    assert not Event.objects.filter(verb="tenant.quota").exists()


def test_a_disk_that_was_not_made_yet_may_be_of_any_size(cast: Cast) -> None:
    """A new tenant's row says 10 GiB; its first build or start makes the disk."""
    assert set_quota(actor=cast.admin, tenant=cast.tenant, changes={"disk": GIB})
    assert tenant_spec(now(cast)).disk_bytes == GIB
    with pytest.raises(BadInput, match="256 MiB at least"):
        set_quota(actor=cast.admin, tenant=cast.tenant, changes={"disk": 256 * MIB - 1})
    with_disk(cast)  # it was under way meanwhile
    assert set_quota(actor=cast.admin, tenant=cast.tenant, changes={"pids": 512}), "what is not named stays"
    assert why(disk_whole=21 * GIB)["disk"] == worker.NEVER_SHRINKS


def test_swap_that_stays_is_not_held_against_the_machine(cast: Cast) -> None:
    machine()
    Machine.objects.update(swap_bytes=0)
    assert set_quota(actor=cast.admin, tenant=cast.tenant, changes={"pids": 512})
    assert set_quota(actor=cast.admin, tenant=cast.tenant, changes={"swap": MIB})  # it holds when there is some


def test_what_is_below_use_is_set_and_told(cast: Cast) -> None:
    released(cast.app, cast.developer)  # its web process may use 256 MiB
    for index in range(3):
        container(cast, index=index, process_type="web", pids=40)
    client, url = cast.client(cast.admin), "machine/tenants/demo/quota"
    assert client.call("PATCH", url, {"changes": {"pids": 120, "containers": 3}}).json()["notes"] == []
    changes = {"pids": 100, "containers": 2, "memory": "128M"}
    assert client.call("PATCH", url, {"changes": changes}).json()["notes"] == [
        "it has 120 processes now; they go on, and none more starts while there are 100 or more",
        "it has 3 containers now; they go on, and to start more than 2 is refused",
        "shop's web has a memory limit of 256 MiB, above the quota of 128 MiB: its next start is refused",
    ]
    page = Browser(cast.admin).post(PAGE, {**FORM, "pids": "110"}, follow=True).content.decode()
    assert "The quota is saved." in page
    assert "It has 120 processes now; they go on, and none more starts while there are 110 or more." in page


def test_when_its_apps_sleep_is_of_the_quota(cast: Cast, settings: Any) -> None:
    settings.SLEEP_AFTER = 900
    client, url, browser = cast.client(cast.admin), "machine/tenants/demo/quota", Browser(cast.admin)

    def told(written: str | int) -> tuple[int | None, int]:
        limits = client.call("PATCH", url, {"changes": {"sleep": written}}).json()["limits"]
        (found,) = [limit for limit in limits if limit["name"] == "sleep"]
        return found["asked"], found["effective"]

    assert [told(text) for text in ("30m", "never", 45)] == [(1800, 1800), (0, 0), (45, 45)]
    assert 'name="sleep" value="45s"' in browser.get(PAGE).content.decode()
    assert told("default") == (None, 900)
    browser.post(PAGE, {**FORM, "sleep": "2h"})
    assert now(cast).sleep_after == 7200
    browser.post(PAGE, {**FORM, "sleep": ""})
    assert now(cast).sleep_after is None


class Host:
    """Stands where the engine would: this suite has no mounts. The real one is tested in tests/runtime."""

    def __init__(self, error: HostProblem | None = None) -> None:
        self.error, self.specs = error, list[Any]()

    def apply_quota(self, spec: Any) -> None:
        self.specs.append(spec)
        if self.error:
            raise self.error

    def tenant_effective(self, tenant_id: str) -> None:
        return None


def test_the_worker_brings_it_to_the_host(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    monkeypatch.setattr(engine, "runtime", lambda: host)
    Browser(cast.admin).post(PAGE, FORM)
    worker.apply_quota(cast.tenant.pk)
    assert host.specs == [], "nothing of it is on the host: its first container will bring it"
    container(cast)
    worker.apply_quota(cast.tenant.pk)
    assert host.specs == [tenant_spec(now(cast))]
    assert "Quota in force" in Browser(cast.admin).get(PAGE).content.decode()
    worker.apply_quota("gone")


def test_what_the_host_refuses_is_shown_and_can_be_tried_again(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(HostProblem("cannot write 1 to memory.max: busy"))
    monkeypatch.setattr(engine, "runtime", lambda: host)
    container(cast)
    browser = Browser(cast.admin)
    browser.post(PAGE, FORM)
    worker.apply_quota(cast.tenant.pk)
    page = browser.get(PAGE).content.decode()
    assert "The quota could not be applied: cannot write 1 to memory.max: busy." in page
    assert sweep.forgotten_quotas() == []
    host.error = None
    browser.post(PAGE, FORM)
    worker.apply_quota(cast.tenant.pk)
    assert "Quota in force" in browser.get(PAGE).content.decode()


def test_a_lost_message_is_made_good(cast: Cast) -> None:
    Browser(cast.admin).post(PAGE, FORM)
    assert sweep.forgotten_quotas() == [], "the message may still be on its way"
    Tenant.objects.filter(pk=cast.tenant.pk).update(quota_set_at=timezone.now() - timedelta(minutes=1))
    assert sweep.forgotten_quotas() == [cast.tenant.pk]


def test_an_older_quota_is_not_taken_for_the_newer(cast: Cast) -> None:
    Browser(cast.admin).post(PAGE, FORM)
    seen = now(cast)
    Browser(cast.admin).post(PAGE, {**FORM, "pids": "600"})
    assert not observations.quota_applied(seen)
    assert now(cast).quota_applied_at is None


ASKED = Limits(memory_bytes=GIB + 1, swap_bytes=0, cpu_millis=1500, pids=512)
SEEN = Effective(GIB, 0, 1500, 512, None, None, 20 * GIB, 19 * GIB, GIB, 20 * 65_536, 7, 300 * MIB)


def why(asked: Limits = ASKED, how: dict[str, bool] | None = None, **seen: Any) -> dict[str, str]:
    found = worker.compared(asked, 20 * GIB, replace(SEEN, **seen), **(how or {}))
    return {name: line["why"] for name, line in found.items() if line["why"]}


def test_what_is_in_force_is_told_apart_from_what_was_asked() -> None:
    assert why() == {}, "the kernel counts memory in pages"
    assert why(pids=None, cpu_millis=1000) == {"pids": worker.DRIFTED, "cpu": worker.DRIFTED}
    assert why(swap_bytes=None)["swap"].startswith("this kernel counts no swap")
    assert "with each 128 MiB" in why(inodes=19 * 65_536)["inodes"]
    assert set(why(disk_whole=10 * GIB, inodes=10 * 65_536)) == {"disk", "inodes"}
    limited = replace(ASKED, io_bytes=MIB)
    assert why(asked=limited) == {"io": worker.DRIFTED} and why(asked=limited, io_bytes=MIB) == {}
    without = {"disks_held": False}
    assert why(limited, without) == {"io": worker.NOT_HELD} and why(how=without) == {}
    assert why(io_operations=5) == {"operations": worker.DRIFTED}


def test_on_v1_one_limit_on_disks_brings_the_other_with_it_and_says_why() -> None:
    limited, v1 = replace(ASKED, io_bytes=MIB), {"gathered": True}
    assert why(limited, v1, io_bytes=MIB, io_operations=500) == {"operations": worker.GATHERED}
    assert why(limited, v1, io_bytes=MIB) == {}, "nothing runs, or a container has no limit either"
    assert why(limited, v1, io_operations=500) == {"io": worker.DRIFTED, "operations": worker.GATHERED}
    assert why(how=v1, io_operations=500) == {"operations": worker.DRIFTED}


def test_both_are_shown_to_members_administrators_and_programs(cast: Cast) -> None:
    found = worker.compared(ASKED, 20 * GIB, replace(SEEN, disk_whole=10 * GIB))
    assert observations.quota_seen(now(cast), found) and not observations.quota_seen(now(cast), found)
    observations.store_seen(cast.tenant.pk, 3 * GIB)
    for reader, page in ((cast.viewer, "/tenants/demo/"), (cast.admin, PAGE)):
        text = Browser(reader).get(page).content.decode()
        assert "10 GiB" in text and "19 GiB" not in text and "3 GiB" in text and "300 MiB" in text
    limits = cast.client(cast.viewer).call("GET", "tenants/demo/quota").json()["limits"]
    by_name = {limit["name"]: limit for limit in limits}
    assert by_name["memory"] | {"why": ""} == {
        **{"name": "memory", "unit": "bytes", "asked": 2 * GIB, "effective": GIB},
        **{"used": 0, "known": True, "why": ""},
    }
    assert [by_name[name]["used"] for name in ("inodes", "store", "swap")] == [7, 3 * GIB, 300 * MIB]
    assert (by_name["io"]["asked"], by_name["io"]["effective"]) == (None, None)


def test_what_was_seen_before_a_change_is_told_as_such_until_it_is_applied(cast: Cast) -> None:
    before, seen = replace(ASKED, io_bytes=50 * MIB), replace(SEEN, io_bytes=50 * MIB)
    observations.quota_seen(now(cast), worker.compared(before, 20 * GIB, seen))
    Browser(cast.admin).post(PAGE, {**FORM, "io": "0"})

    def shown(name: str) -> Any:
        limits = cast.client(cast.viewer).call("GET", "tenants/demo/quota").json()["limits"]
        return next(limit for limit in limits if limit["name"] == name)

    assert (shown("io")["effective"], shown("io")["why"]) == (50 * MIB, "it is being applied")
    assert shown("memory")["why"] == "", "this is as it was"
    worker.apply_quota(cast.tenant.pk)
    assert "applied" not in shown("io")["why"]


def test_of_a_tenant_that_never_ran_anything_nothing_is_claimed(cast: Cast) -> None:
    limits = cast.client(cast.viewer).call("GET", "tenants/demo/quota").json()["limits"]
    assert [limit["name"] for limit in limits if not limit["known"]] == [
        *("memory", "swap", "cpu", "pids", "io", "operations", "disk", "inodes", "egress")
    ]
