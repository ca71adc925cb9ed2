"""A tenant's quota: shown and set by administrators, checked, brought to the host, and told honestly."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from paas.errors import BadInput, HostProblem, Refused
from paas.specs import MIB
from paas.worker import engine, sweep
from paas.worker import quota as worker
from paas.worker.translate import tenant_spec
from tenants.accounts import observations
from tenants.accounts.models import Tenant
from tenants.audit.models import Event
from tenants.containers.models import Container
from tenants.fleet.actions import set_quota
from tenants.fleet.observations import machine_sampled
from tenants.fleet.quota import Quota
from tests.web.cast import Cast
from tests.web.pages import Browser

PAGE = "/machine/tenants/demo/"
GIB = 1024 * MIB
FORM = {"memory": "1024", "swap": "512", "cpu": "1.5", "pids": "512", "disk": "20"}


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
    )


def test_an_administrator_sets_it_and_the_worker_is_told(cast: Cast, platform: Any) -> None:
    page = Browser(cast.admin).post(PAGE, FORM, follow=True).content.decode()
    assert "The quota is saved." in page and "Quota is being applied" in page
    tenant = now(cast)
    spec = tenant_spec(tenant)
    assert (spec.quota.memory_bytes, spec.quota.swap_bytes, spec.quota.cpu_millis) == (GIB, 512 * MIB, 1500)
    assert (spec.quota.pids, spec.disk_bytes) == (512, 20 * GIB)
    event = Event.objects.get(verb="tenant.quota")
    assert (event.actor, event.tenant_id) == (cast.admin, cast.tenant.pk)
    assert event.detail["changes"]["pids"] == [2048, 512]


@pytest.mark.django_db(transaction=True)
def test_its_message_names_the_tenant_alone(platform: Any) -> None:
    from tests.web.cast import make_cast  # noqa: PLC0415

    cast = make_cast()
    platform.flushall()
    set_quota(actor=cast.admin, tenant=cast.tenant, quota=Quota(GIB, GIB, 1000, 512, 20 * GIB))
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
        ("pids", "1e9", "less than or equal to"),
        ("disk", "9", "a disk never shrinks"),
        ("disk", "101", "disk has 100 GiB"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(cast: Cast, field: str, value: str, said: str) -> None:
    machine()
    container(cast, memory_bytes=200 * MIB)
    before = Quota.of(now(cast))
    answer = Browser(cast.admin).post(PAGE, {**FORM, field: value})
    page = answer.content.decode()
    assert answer.status_code == 422 and said.lower() in page.lower()
    assert f'id="id_{field}_error"' in page
    assert Quota.of(now(cast)) == before and not Event.objects.filter(verb="tenant.quota").exists()


def test_what_is_shown_rounded_stays_exact(cast: Cast) -> None:
    Tenant.objects.update(disk_bytes=10 * GIB + 12345)
    form = {"memory": "2048", "swap": "2048", "cpu": "2", "pids": "2048", "disk": "10.00"}
    Browser(cast.admin).post(PAGE, {**form, "pids": "1024"})
    assert (now(cast).disk_bytes, now(cast).pids) == (10 * GIB + 12345, 1024)
    page = Browser(cast.admin).post(PAGE, {**form, "pids": "1024"}, follow=True).content.decode()
    assert "Nothing to change." in page


def test_only_an_administrator_sets_it(cast: Cast) -> None:
    assert Browser(cast.owner).post(PAGE, FORM).status_code == 403
    with pytest.raises(Refused):
        set_quota(actor=cast.owner, tenant=cast.tenant, quota=Quota(GIB, GIB, 1000, 512, 20 * GIB))
    with pytest.raises(BadInput):
        set_quota(actor=cast.admin, tenant=cast.tenant, quota=Quota(GIB, -1, 1000, 512, 20 * GIB))


class Host:
    """Stands where the engine would: this suite has no mounts. The real one is tested in tests/runtime."""

    def __init__(self, error: HostProblem | None = None) -> None:
        self.error, self.specs = error, list[Any]()

    def prepare_tenant(self, spec: Any) -> None:
        self.specs.append(spec)
        if self.error:
            raise self.error


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
