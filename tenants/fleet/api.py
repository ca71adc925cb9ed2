from __future__ import annotations

from datetime import datetime
from typing import Annotated

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import WithJsonSchema

from tenants.accounts.access import admin, tenant_for
from tenants.accounts.api import QuotaOut
from tenants.accounts.egress import Rules
from tenants.accounts.models import Egress, Tenant
from tenants.accounts.tokens import person
from tenants.containers.models import ServiceAddress
from tenants.fleet import actions, selectors
from tenants.fleet.consequences import notes
from tenants.fleet.quota import sent
from tenants.schemas import ERRORS, Input

router = Router(tags=["network"])


class HeldOut(Schema):
    """What the kernel says that it holds; `policy` is empty until the agent or a worker has asked it."""

    policy: str
    rate: int


class TrafficOut(Schema):
    """From the tenant's beginning to `counted_at`, null where nothing was counted yet. `refused` are
    packets, by reason."""

    counted_at: datetime | None
    sent_bytes: int
    sent_packets: int
    received_bytes: int
    received_packets: int
    refused: dict[str, int]


class NetworkOut(Schema):
    """`policy` is "open", "list" or "none"; `rate` in bytes a second, 0 for no limit. `applied` is false until
    the kernel was brought to what was set last, `error` why it could not be. `names` are internal."""

    tenant: str
    policy: str
    listed: list[str]
    rate: int
    held: HeldOut
    applied: bool
    error: str
    traffic: TrafficOut
    names: list[str]


class NetworkIn(Input):
    policy: Egress
    listed: list[str] = []
    rate: int = 0


class QuotaIn(Input):
    """Limits by name: a number in the unit of the answer, or as people write it: "2G", "1.5" cores, "30m"
    for `sleep`, which may be "never" or "default" as well."""

    # Checked by `sent`: what is wrong with one of a union's kinds is told of each kind, by the kind's name.
    changes: dict[str, Annotated[object, WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}]})]]


class QuotaSetOut(QuotaOut):
    """`notes`: what the quota means for what runs, where that has more already."""

    notes: list[str]


@router.get(
    "/machine/tenants/{tenant}/quota",
    response={200: QuotaOut, **ERRORS},
    summary="What was set for any tenant, and what the kernel holds it to (administrator)",
    tags=["quota"],
)
def show_quota(request: HttpRequest, tenant: str) -> object:
    admin(person(request))
    return QuotaOut.of(selectors.tenant(tenant))


@router.patch(
    "/machine/tenants/{tenant}/quota",
    response={200: QuotaSetOut, **ERRORS},
    summary="Change some of a tenant's limits (administrator)",
    tags=["quota"],
)
def set_quota(request: HttpRequest, tenant: str, body: QuotaIn) -> object:
    actor = admin(person(request))
    changes = {name: sent(name, value) for name, value in body.changes.items()}
    actions.set_quota(actor=actor, tenant=selectors.tenant(tenant), changes=changes)
    now = selectors.tenant(tenant)
    return QuotaSetOut(**QuotaOut.of(now).dict(), notes=notes(now))


@router.get(
    "/tenants/{tenant}/network",
    response={200: NetworkOut, **ERRORS},
    summary="What a tenant may send, what the kernel holds, what it sent, and its internal names",
)
def show(request: HttpRequest, tenant: str) -> NetworkOut:
    return _out(tenant_for(person(request), tenant))


@router.get(
    "/machine/tenants/{tenant}/network",
    response={200: NetworkOut, **ERRORS},
    summary="The same of any tenant (administrator)",
)
def show_any(request: HttpRequest, tenant: str) -> NetworkOut:
    admin(person(request))
    return _out(selectors.tenant(tenant))


@router.put(
    "/machine/tenants/{tenant}/network",
    response={200: NetworkOut, **ERRORS},
    summary="Set what a tenant may send (administrator)",
)
def set_network(request: HttpRequest, tenant: str, body: NetworkIn) -> NetworkOut:
    actor = admin(person(request))
    rules = Rules(body.policy, tuple(body.listed), body.rate)
    actions.set_egress(actor=actor, tenant=selectors.tenant(tenant), rules=rules)
    return _out(selectors.tenant(tenant))


def _out(tenant: Tenant) -> NetworkOut:
    traffic = selectors.traffic_of(tenant)
    rows = ServiceAddress.objects.filter(app__tenant=tenant, app__destroyed_at=None).select_related("app")
    return NetworkOut(
        tenant=tenant.slug,
        policy=tenant.egress,
        listed=tenant.egress_list,
        rate=tenant.egress_rate,
        held=HeldOut(policy=tenant.egress_held, rate=tenant.egress_rate_held),
        applied=tenant.egress_set_at is None or tenant.egress_applied_at is not None,
        error=tenant.egress_error,
        traffic=TrafficOut(
            counted_at=traffic.counted_at,
            sent_bytes=traffic.sent_bytes,
            sent_packets=traffic.sent_packets,
            received_bytes=traffic.received_bytes,
            received_packets=traffic.received_packets,
            refused=traffic.refused,
        ),
        names=sorted(name for row in rows for name in row.names),
    )
