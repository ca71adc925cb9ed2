"""Isolation reports of the seeded tenants: one broken, one whole, one never taken; and the machine's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.utils import timezone

from paas.isolation import control_plane, judge, tenant
from paas.isolation.rows import Promise, Row
from tenants.accounts.models import Tenant
from tenants.isolation.models import MACHINE, Report

LONG = "/run/berth/bundles/ffffffffffff/a-rather-long-name-of-a-file-that-nobody-wanted-in-there.conf"
WRONG = {
    "host-paths": f"/srv/files is the host's {LONG}; /srv/files is mounted without nodev and nosuid",
    "network-rules": "the nftables table bvberth lacks rules: chain egress, chain forward",
    "swap": "this kernel sets no limit on swap: boot with swapaccount=1",
}
FINDING = {
    "installed": "skopeo 1.9.3+ds1-1+b10", "id": "CVE-2024-3727", "reach": "open",
    "exposes": "A registry can have skopeo ask for other things there in a tenant's name.",
    "remedy": "apt-get install --only-upgrade skopeo, once Debian has a newer one.",
    "source": "https://github.com/containers/image/pull/2403",
}  # fmt: skip


def rows(promises: tuple[Promise[Any], ...], wrong: dict[str, str]) -> list[dict[str, str]]:
    found = [Row(it.id, "pass", "as promised, with all that the kernel says of it") for it in promises]
    outcomes: dict[str, Any] = {"swap": "n/a"}
    told = [
        replace(r, outcome=outcomes.get(r.id, "fail"), found=wrong[r.id]) if r.id in wrong else r for r in found
    ]
    return [{"id": row.id, "outcome": row.outcome, "found": row.found} for row in told]


def words(*groups: tuple[Promise[Any], ...]) -> list[dict[str, str]]:
    return [{"id": it.id, "title": it.title, "promise": it.promise} for group in groups for it in group]


def fill() -> None:
    for slug, wrong in (("acme", WRONG), ("harbor", {})):
        of = Tenant.objects.get(slug=slug)
        Report.objects.create(
            pk=of.pk, tenant=of, status="done", checked_at=timezone.now(), passed=55, unavailable=1,
            failed=2 if wrong else 0, answer={**tenant_answer(wrong), "count": 153, "more": 150},
        )  # fmt: skip
    void = {**FINDING, "installed": "kernel 6.1.5", "reach": "void"}
    closed = {**FINDING, "installed": "runc 1.1.5", "reach": "closed"}
    answer = machine_answer({"listening": "valkey (77) listens on [::]:6379"}, void, FINDING, closed)
    Report.objects.create(
        pk=MACHINE, status="running", checked_at=timezone.now(), passed=7, failed=2, answer=answer
    )


def machine_answer(wrong: dict[str, str], *versions: dict[str, str]) -> dict[str, Any]:
    return {
        "promises": words(control_plane.PROMISES),
        "rows": rows(control_plane.PROMISES, wrong),
        "versions": versions or [FINDING],
        "installed": ["kernel 6.1.5", "crun 1.8.1-1+deb12u1", "caddy 2.11.7"],
    }


def tenant_answer(wrong: dict[str, str]) -> dict[str, Any]:
    """Three containers of shop, what is wrong of the first."""
    containers = []
    summary = {it.id: {"pass": 0, "fail": 0, "n/a": 0} for it in judge.CONTRACT}
    for number in range(3):
        found = rows(judge.CONTRACT, {} if number else wrong)
        for row in found:
            summary[row["id"]][row["outcome"]] += 1
        failed = sum(row["outcome"] == "fail" for row in found)
        containers.append(
            {"id": f"{number:012x}", "app": "shop", "name": f"web.{number}", "kind": "process",
             "failed": failed, "rows": found}
        )  # fmt: skip
    return {
        "promises": words(tenant.PROMISES, judge.CONTRACT),
        "tenant": rows(tenant.PROMISES, {}),
        "summary": summary,
        "containers": containers,
        "count": 3,
        "more": 0,
    }
