from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status

from tenants.accounts.access import admin, tenant_for
from tenants.accounts.tokens import person
from tenants.isolation import actions, selectors
from tenants.isolation.models import Report
from tenants.schemas import ERRORS

router = Router(tags=["isolation"])
LATER = "A worker looks: ask again until `status` is no longer `queued` or `running`."
SHOWN = 200


class ReportOut(Schema):
    """`status`: never, queued, running, done, failed. `passed`, `failed`, `unavailable` count promises, as of
    `checked_at`. `answer` of a tenant: `promises` (id, title, promise), `tenant` and `containers` with rows of
    id, outcome (pass, fail or n/a) and found, `summary`, `count` of containers and how many `more` are not
    listed. Of the machine: `promises`, `rows`, `versions` known to be bad, and what is `installed`."""

    tenant: str
    status: str
    asked_at: datetime | None
    checked_at: datetime | None
    passed: int
    failed: int
    unavailable: int
    answer: dict[str, Any] | None
    error: dict[str, Any] | None

    @staticmethod
    def of(report: Report, *, with_answer: bool = True) -> ReportOut:
        names = ("status", "asked_at", "checked_at", "passed", "failed", "unavailable", "error")
        return ReportOut(
            tenant=report.tenant.slug if report.tenant else "",
            answer=report.answer if with_answer else None,
            **{name: getattr(report, name) for name in names},
        )


class MachineOut(ReportOut):
    """With the counts of every tenant, broken promises first."""

    tenants: list[ReportOut]

    @staticmethod
    def of_all(report: Report) -> MachineOut:
        tenants = [ReportOut.of(row, with_answer=False) for row in selectors.of_all()[:SHOWN]]
        return MachineOut(**ReportOut.of(report).dict(), tenants=tenants)


@router.get(
    "/tenants/{tenant}/isolation",
    response={200: ReportOut, **ERRORS},
    summary="The isolation report of a tenant",
)
def report(request: HttpRequest, tenant: str) -> object:
    return ReportOut.of(selectors.of_tenant(tenant_for(person(request), tenant)))


@router.post(
    "/tenants/{tenant}/isolation",
    response={202: ReportOut, **ERRORS},
    summary="Look again how its containers are fenced off",
    description=LATER,
)
def look(request: HttpRequest, tenant: str) -> object:
    found = tenant_for(person(request), tenant)
    return Status(202, ReportOut.of(actions.look_at(actor=person(request), tenant=found)))


@router.get(
    "/machine/isolation", response={200: MachineOut, **ERRORS}, summary="Of the machine (administrator)"
)
def machine(request: HttpRequest) -> object:
    admin(person(request))
    return MachineOut.of_all(selectors.of_machine())


@router.post(
    "/machine/isolation",
    response={202: MachineOut, **ERRORS},
    summary="Look again at the machine and every tenant (administrator)",
    description=LATER,
)
def look_at_machine(request: HttpRequest) -> object:
    return Status(202, MachineOut.of_all(actions.look_at_machine(actor=person(request))))
