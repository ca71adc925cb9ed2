"""What a tenant may send: set by administrators, checked, brought to the kernel, told honestly, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network
from typing import Any

import pytest
from django.utils import timezone

from paas.errors import BadInput, HostProblem, Refused
from paas.specs import Destination, Held, Traffic
from paas.worker import engine, fences, sweep
from tenants.accounts.egress import Rules, check_list
from tenants.accounts.models import Egress, Tenant
from tenants.audit.models import Event
from tenants.containers.models import ServiceAddress
from tenants.containers.observations import MOST_SERVICES, allot_services
from tenants.fleet.actions import set_egress
from tenants.fleet.models import Traffic as Row
from tenants.fleet.observations import traffic_counted
from tests.web.cast import Cast
from tests.web.pages import Browser

PAGE = "/machine/tenants/demo/network/"
FORM = {"egress": "list", "listed": "192.0.2.7:443\n198.51.100.0/24", "rate": "10"}


def now(cast: Cast) -> Tenant:
    return Tenant.objects.get(pk=cast.tenant.pk)


class Kernel:
    """The engine's network as far as rules go."""

    def __init__(self, held: Held, error: str = "") -> None:
        self.fences: list[Any] = []
        self.restored = 0
        self._held, self._error = held, error

    def set_fence(self, fence: Any) -> bool:
        if self._error:
            raise HostProblem(self._error)
        self.fences.append(fence)
        return True

    def held(self) -> dict[int, Held]:
        return {self.fences[0].tenant: self._held} if self.fences else {}

    def is_as_set(self, held: Mapping[int, Held]) -> bool:
        return self.restored > 0

    def restore_fences(self) -> bool:
        self.restored += 1
        return True


def test_an_administrator_sets_it_and_the_kernels_answer_is_shown(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = Browser(cast.admin)
    page = admin.post(PAGE, FORM, follow=True).content.decode()
    assert "rules are saved" in page and "Rules are being applied" in page
    kernel = Kernel(Held("list", 1_250_000))
    monkeypatch.setattr(engine, "network", lambda: kernel)
    fences.apply_egress(cast.tenant.pk)
    (fence,) = kernel.fences
    assert (fence.egress, fence.rate) == ("list", 1_250_000)
    assert fence.allowed == (
        Destination(IPv4Network("192.0.2.7/32"), 443),
        Destination(IPv4Network("198.51.100.0/24")),
    )
    page = admin.get(PAGE).content.decode()
    assert "Rules in force" in page and "list, 10 Mbit/s" in page
    member = Browser(cast.viewer).get("/tenants/demo/").content.decode()
    assert "192.0.2.7/32:443" in member and "10 Mbit/s" in member
    event = Event.objects.get(verb="tenant.egress")
    assert (event.actor, event.detail["now"]["egress"]) == (cast.admin, "list")


def test_one_that_the_kernel_refuses_says_so(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    set_egress(actor=cast.admin, tenant=cast.tenant, rules=Rules(Egress.NONE))
    monkeypatch.setattr(engine, "network", lambda: Kernel(Held(None, 0), "nftables refuses"))
    fences.apply_egress(cast.tenant.pk)
    assert now(cast).egress_error == "nftables refuses"
    assert "Rules not in force" in Browser(cast.admin).get(PAGE).content.decode()
    assert set_egress(actor=cast.admin, tenant=cast.tenant, rules=Rules(Egress.NONE))  # to try again
    assert not set_egress(actor=cast.admin, tenant=cast.tenant, rules=Rules(Egress.NONE))


def test_what_the_kernel_holds_is_looked_at_again(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(Held("open", 0))
    kernel.set_fence(fences.fence_of(cast.tenant))  # by its first launch: nobody has set a policy yet
    monkeypatch.setattr(engine, "network", lambda: kernel)
    fences.look()
    assert (now(cast).egress_held, kernel.restored) == ("open", 1)


def test_a_message_that_was_lost_is_sent_again(cast: Cast) -> None:
    assert sweep.forgotten_egress() == []
    set_egress(actor=cast.admin, tenant=cast.tenant, rules=Rules(Egress.NONE))
    Tenant.objects.update(egress_set_at=timezone.now() - timedelta(minutes=1))
    assert cast.tenant.pk in sweep.forgotten_egress()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("example.com", "no IPv4 network"),
        ("2001:db8::/32", "no IPv4 network"),
        ("192.0.2.0/24:0", "no port that exists"),
        ("192.0.2.0/24:65536", "no port that exists"),
        ("192.0.2.1/24", "no IPv4 network"),
        ("192.0.2.0/24:25", "port 25"),
        ("192.168.1.0/24", "private network"),
        ("10.2.0.0/15", "private network"),
        ("203.0.113.7:443", "one that this machine is part of"),
    ],
)
def test_what_cannot_be_listed(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        check_list([text], operator_allows=[IPv4Network("10.2.0.0/16")], own=[IPv4Network("203.0.113.0/25")])
    assert caught.value.details["field"] == "listed" and caught.value.hint


def test_what_is_listed_is_kept_in_full_and_in_order() -> None:
    texts = ["198.51.100.0/24", " 10.2.3.4 ", "198.51.100.0/24:443", "198.51.100.0/24", ""]
    kept = check_list(texts, operator_allows=[IPv4Network("10.2.0.0/16")])
    assert kept == ("10.2.3.4/32", "198.51.100.0/24", "198.51.100.0/24:443")


def test_the_form_names_the_field_that_is_wrong(cast: Cast) -> None:
    page = Browser(cast.admin).post(PAGE, {"egress": "list", "listed": "shop.example"}).content.decode()
    assert "is no IPv4 network" in page
    page = Browser(cast.admin).post(PAGE, {"egress": "list"}).content.decode()
    assert "nothing is listed" in page.lower()
    page = Browser(cast.admin).post(PAGE, {"egress": "open", "rate": "0.001"}).content.decode()
    assert "0.08 to" in page
    assert now(cast).egress_set_at is None


def test_only_an_administrator_sets_it(cast: Cast) -> None:
    with pytest.raises(Refused):
        set_egress(actor=cast.owner, tenant=cast.tenant, rules=Rules(Egress.NONE))


def test_the_api_says_the_same(cast: Cast) -> None:
    allot_services(cast.app, ["web", "Worker"])
    body = {"policy": "list", "listed": ["192.0.2.7:443"], "rate": 125_000}
    done = cast.client(cast.admin).call("PUT", "machine/tenants/demo/network", body)
    assert done.status_code == 200, done.content
    seen = cast.client(cast.viewer).call("GET", "tenants/demo/network").json()
    assert (seen["policy"], seen["listed"], seen["rate"]) == ("list", ["192.0.2.7/32:443"], 125_000)
    assert seen["held"] == {"policy": "", "rate": 0} and seen["applied"] is False
    assert seen["traffic"]["counted_at"] is None
    assert seen["names"] == ["shop.internal", "web.shop.internal", "worker.shop.internal"]
    wrong = cast.client(cast.admin).call("PUT", "machine/tenants/demo/network", {"policy": "some"})
    assert wrong.status_code == 400


READING = Traffic(sent=(10, 1000), received=(20, 2000), refused=(("closed", 3), ("policy", 4)))


def test_counters_add_up_also_when_the_kernel_begins_anew(cast: Cast) -> None:
    traffic_counted({cast.tenant.pk: READING})
    traffic_counted({cast.tenant.pk: READING})
    traffic_counted({cast.tenant.pk: replace(READING, sent=(11, 1100))})
    traffic_counted({cast.tenant.pk: replace(READING, sent=(2, 200))})
    row = Row.objects.get(pk=cast.tenant.pk)
    assert (row.sent_packets, row.sent_bytes, row.received_bytes) == (13, 1300, 2000)
    assert row.refused == {"closed": 3, "policy": 4, "rate": 0, "connections": 0}
    page = Browser(cast.admin).get(PAGE).content.decode()
    assert "in 13 packets" in page and "4 by the rules, 3 to what is closed" in page


def test_counters_say_as_of_when_they_are_also_where_nothing_was_sent(cast: Cast) -> None:
    traffic_counted({cast.tenant.pk: READING})
    Row.objects.update(counted_at=timezone.now() - timedelta(hours=1))
    traffic_counted({cast.tenant.pk: READING})
    at = Row.objects.get().counted_at
    assert at and timezone.now() - at < timedelta(minutes=1)
    seen = cast.client(cast.viewer).call("GET", "tenants/demo/network").json()["traffic"]
    assert datetime.fromisoformat(seen["counted_at"]) == at.replace(microsecond=at.microsecond // 1000 * 1000)
    assert "<dt>Counted</dt>" in Browser(cast.viewer).get("/tenants/demo/").content.decode()


def test_the_rate_is_among_the_limits(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> dict[str, Any]:
        limits = cast.client(cast.viewer).call("GET", "tenants/demo/quota").json()["limits"]
        return next(limit for limit in limits if limit["name"] == "egress")

    kernel = Kernel(Held("open", 1_250_000))
    monkeypatch.setattr(engine, "network", lambda: kernel)
    set_egress(actor=cast.admin, tenant=cast.tenant, rules=Rules(Egress.OPEN, (), 1_250_000))
    assert (shown()["known"], shown()["why"]) == (False, "it is being applied")
    fences.apply_egress(cast.tenant.pk)
    assert shown() == {
        **{"name": "egress", "unit": "bytes sent a second", "known": True, "used": None, "why": ""},
        **{"asked": 1_250_000, "effective": 1_250_000},
    }
    assert "10 Mbit/s" in Browser(cast.admin).get("/machine/tenants/demo/").content.decode()
    set_egress(actor=cast.admin, tenant=cast.tenant, rules=Rules(Egress.OPEN))
    assert (shown()["asked"], shown()["effective"]) == (None, 1_250_000)
    monkeypatch.setattr(engine, "network", lambda: Kernel(Held(None, 0), "nftables refuses"))
    fences.apply_egress(cast.tenant.pk)
    assert shown()["why"] == "nftables refuses"


def test_a_private_app_has_no_public_address(cast: Cast) -> None:
    type(cast.app).objects.filter(pk=cast.app.pk).update(is_private=True)
    seen = cast.client(cast.viewer).call("GET", "apps/demo/shop").json()
    assert (seen["address"], seen["internal_address"]) == (None, "http://shop.internal")
    for path in ("/", "/t/demo/shop/"):
        page = Browser(cast.viewer).get(path).content.decode()
        assert "shop.internal" in page and "private" in page
        assert "shop-demo.localhost" not in page


def test_addresses_of_services_are_the_lowest_free_and_bounded(cast: Cast) -> None:
    assert allot_services(cast.app, ["web", "worker"])
    assert not allot_services(cast.app, ["web", "worker"])
    rows = dict(ServiceAddress.objects.values_list("process_type", "address"))
    assert rows == {"web": 49_152, "worker": 49_153}
    assert allot_services(cast.app, ["worker", "cron"])
    rows = dict(ServiceAddress.objects.values_list("process_type", "address"))
    assert rows == {"worker": 49_153, "cron": 49_152}
    with pytest.raises(Refused, match="more internal names"):
        allot_services(cast.app, [f"type{n}" for n in range(MOST_SERVICES + 1)])
