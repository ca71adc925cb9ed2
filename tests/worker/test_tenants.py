"""A tenant's end: nothing of it on the host, nothing of a neighbour touched, its history kept."""

from __future__ import annotations

import pytest
from django.conf import settings

from paas.errors import BadInput, NotFound, Refused
from paas.linux.cgroups import Cgroup
from paas.network import nft
from paas.network.fence import mark
from paas.specs import Fence
from paas.worker import engine, fences, tenants
from paas.worker.reconcile import reconcile
from paas.worker.translate import uid_base
from tenants.accounts.models import IdRange, Member, Tenant
from tenants.apps.actions import create_app
from tenants.apps.models import App
from tenants.audit.models import Event
from tenants.fleet.actions import destroy_tenant
from tenants.releases import actions
from tests.web.cast import Cast
from tests.web.pages import Browser
from tests.worker.host import MIB, Host

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]


def test_all_of_it_goes_and_its_neighbour_stays(host: Host) -> None:
    cast, process = host.cast, {"name": "worker", "args": ["sleep", "60"], "memory_bytes": 32 * MIB, "count": 1}
    cast.app.releases.update(processes=[process])
    actions.restart(actor=cast.owner, app=cast.app)
    reconcile(cast.app.pk)
    pk, ids = cast.tenant.pk, IdRange.objects.count()
    assert len(engine.runtime().list()) == 1 and (settings.PATHS.tenants / pk / "disk.img").exists()
    ours, theirs, rules = uid_base(cast.tenant), uid_base(cast.other), engine.network()
    fences.sync(cast.other)
    rules.set_fence(Fence(4242))  # of a tenant that ended while its worker was killed
    nft.demand(f"add element inet bwberth sent {{ {mark(ours)} counter }}\n")  # as its packets do
    assert rules.fences.tenants() and mark(ours) in nft.demand("list table inet bwberth\n")
    destroy_tenant(actor=cast.admin, tenant=cast.tenant, confirm="demo")
    assert not Member.objects.filter(tenant=pk).exists()
    tenants.settle(pk)
    assert Tenant.objects.filter(pk=pk).exists() and tenants.ending() == [pk], "its app is still there"
    reconcile(cast.app.pk)
    tenants.settle(pk)
    tenants.settle(pk)
    assert list(Tenant.objects.all()) == [cast.other] and list(App.objects.all()) == [cast.others_app]
    assert host.is_clean() and not (settings.PATHS.tenants / pk).exists()
    assert not Cgroup(f"{settings.CGROUP_ROOT}/{pk}").exists()
    fences.forget_gone()
    told = nft.demand("list table inet bwberth\n")
    assert rules.fences.tenants() == [theirs] and mark(theirs) in told
    assert mark(ours) not in told and mark(4242) not in told
    assert Event.objects.get(verb="tenant.destroy").detail == {"slug": "demo", "apps": ["shop"]}
    assert IdRange.objects.count() == ids, "nobody gets its user ids"


def test_only_an_administrator_who_types_its_name(cast: Cast) -> None:
    with pytest.raises(Refused):
        destroy_tenant(actor=cast.owner, tenant=cast.tenant, confirm="demo")
    with pytest.raises(BadInput, match="nothing was destroyed"):
        destroy_tenant(actor=cast.admin, tenant=cast.tenant, confirm="Demo")
    browser = Browser(cast.admin)
    page = browser.post("/machine/tenants/demo/destroy/", {"confirm": "demo"}, follow=True).content.decode()
    assert "Demo is being destroyed" in page and "being destroyed</span>" in page
    assert "It is being destroyed, since" in browser.get("/machine/tenants/demo/").content.decode()
    assert Browser(cast.owner).get("/tenants/demo/").status_code == 404
    with pytest.raises(NotFound, match="demo is being destroyed"):
        create_app(actor=cast.owner, tenant=cast.tenant, name="late")
    with pytest.raises(NotFound, match="already"):
        destroy_tenant(actor=cast.admin, tenant=cast.tenant, confirm="demo")
