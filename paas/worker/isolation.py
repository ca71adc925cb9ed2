"""The isolation report: rows -> what has to be -> what the kernel says -> pages, the log and bin/up --check.

Bounded for a machine full of containers: no program is started for any of them, some milliseconds go by for
each, and a report lists so many in full, those with a broken promise first.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.utils import timezone

from paas.errors import HostProblem
from paas.isolation import control_plane, gather, installed, judge, standing, tenant
from paas.isolation.facts import Here
from paas.isolation.gather import Gone, Place
from paas.isolation.rows import Promise, Row
from paas.network import address_of
from paas.worker import engine, jobs, lock
from paas.worker.translate import tenant_spec
from tenants.accounts.models import Tenant
from tenants.containers.models import Container
from tenants.isolation import observations
from tenants.isolation.models import GOING, Report
from tenants.isolation.observations import Tally

log = structlog.get_logger()
MOST_LISTED = 100  # containers of a tenant
MOST_LOGGED = 20  # broken promises of a tenant
# What begins or ends just then looks weaker for a moment: the runtime is in the container before it has given
# everything up. What is really weaker still is so after this many seconds.
AGAIN_SECONDS = 0.3
_OURS = HostProblem("the isolation could not be looked at", hint="look at the worker's log")
LIVE = (Container.Status.RUNNING, Container.Status.SLEEPING)
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    container: Container
    rows: tuple[Row, ...]

    @property
    def is_broken(self) -> bool:
        return any(row.outcome == "fail" for row in self.rows)


def settle(report_id: str) -> None:
    """Look, if that was asked for. A second message finds it claimed and does nothing."""
    with jobs.claimed("isolation", report_id, observations.claim) as report:
        if report is not None:
            with jobs.told(partial(observations.failed, report), _OURS):
                _look(report)


def requeue_interrupted() -> list[str]:
    """Waiting ones whose message may be lost, and running ones whose worker died."""
    going = Report.objects.filter(status__in=GOING).defer("answer")
    return [
        report.pk
        for report in going
        if report.status == Report.Status.QUEUED
        or (lock.is_free(f"isolation-{report.pk}") and observations.interrupted(report))
    ]


def _look(report: Report) -> None:
    """What somebody took from the network's rules is set right first: the machine's report and the log tell."""
    if mended := engine.network().mend():
        log.error("network.mended", found=mended)
    if report.tenant:
        observations.done(report, *_tenant(report.tenant, _here()))
    else:
        _machine(report, f"{mended}; Berth has just made them again" if mended else "")


# --- a tenant
def _tenant(of: Tenant, here: Here) -> tuple[Tally, Answer]:
    spec, live = tenant_spec(of), _containers([of])
    own = tenant.judge(_place(), spec, here)
    judged = [found for row in live[of.pk] if (found := _judge(row, here))]
    if any(found.is_broken for found in judged):
        judged = _again(judged)
    judged.sort(key=lambda found: (not found.is_broken, str(found.container)))
    _tell(of, own, judged)
    rows = [*own, *(row for found in judged for row in found.rows)]
    answer = {
        "promises": _words(tenant.PROMISES) + _words(judge.CONTRACT),
        "tenant": _told(own),
        "summary": _summary(judged),
        "containers": [_listed(found) for found in judged[:MOST_LISTED]],
        "count": len(judged),
        "more": max(0, len(judged) - MOST_LISTED),
    }
    return tally(rows), answer


def _again(judged: Sequence[Judged]) -> list[Judged]:
    time.sleep(AGAIN_SECONDS)
    here = _here()
    seen = (found if not found.is_broken else _judge(found.container, here) for found in judged)
    return [found for found in seen if found]


def _judge(row: Container, here: Here) -> Judged | None:
    """None when it has ended."""
    try:
        address = address_of(settings.CONTAINER_PREFIX, row.address) if row.address is not None else None
        wanted = gather.wanted(_place(), tenant_spec(row.tenant), row.pk, address)
        seen = gather.look(_place(), wanted, here, engine.network().tenant_of)
    except Gone:
        return None
    return Judged(row, judge.judge(seen, wanted, here))


def _containers(of: Iterable[Tenant]) -> Mapping[str, list[Container]]:
    """Those that run, by tenant."""
    found: dict[str, list[Container]] = defaultdict(list)
    rows = Container.objects.filter(tenant__in=of, status__in=LIVE).select_related("tenant", "app")
    for row in rows:
        found[row.tenant_id].append(row)
    return found


def _place() -> Place:
    """With what builds are shown of the host: see paas.worker.sandbox."""
    uv = shutil.which("uv", path=str(Path(settings.PYTHON).parent))
    shown = [Path(path).resolve() for path in (uv, settings.BUILD_CA_BUNDLE) if path]
    return Place(settings.PATHS, settings.CGROUP_ROOT, tuple(shown))


def _here() -> Here:
    return gather.here(_place(), engine.runtime().list(), engine.network().drift())


# --- the machine
def _machine(report: Report, mended: str) -> None:
    """Berth's own processes, the versions of what it stands on, and every tenant that has something here."""
    here, broken = _here(), 0
    for of in Tenant.objects.filter(containers__isnull=False).distinct():
        found, answer = _tenant(of, here)
        observations.looked(of, found, answer)
        broken += found.failed
    seen = control_plane.look(settings.PATHS, settings.GROUP, settings.PORT, here.rules or mended)
    own = control_plane.judge(seen)
    for row in own:
        if row.outcome == "fail":
            log.error("isolation.broken", of="control plane", promise=row.id, found=row.found)
    bad = installed.known_bad()
    void = [finding for finding in bad if finding.entry.reach == "void"]
    for finding in void:
        log.error(
            "isolation.broken", of=str(finding.installed), promise=finding.entry.id, found=finding.entry.exposes
        )
    counted = tally(own)
    counted = Tally(counted.passed, counted.failed + len(void), counted.unavailable)
    answer = {
        "promises": _words(control_plane.PROMISES),
        "rows": _told(own),
        "versions": [finding.as_dict() for finding in bad],
        "installed": [str(it) for it in installed.installed()],
    }
    observations.done(report, counted, answer)
    standing.write(settings.PATHS.state, broken + counted.failed, timezone.now())


# --- as a report has it
def tally(rows: Iterable[Row]) -> Tally:
    counts = Counter(row.outcome for row in rows)
    return Tally(counts["pass"], counts["fail"], counts["n/a"])


def _summary(judged: Iterable[Judged]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for found in judged:
        for row in found.rows:
            counts.setdefault(row.id, {"pass": 0, "fail": 0, "n/a": 0})[row.outcome] += 1
    return counts


def _words(promises: Iterable[Promise[Any]]) -> list[dict[str, str]]:
    return [{"id": it.id, "title": it.title, "promise": it.promise} for it in promises]


def _told(rows: Iterable[Row]) -> list[dict[str, str]]:
    return [asdict(row) for row in rows]


def _listed(found: Judged) -> Answer:
    row = found.container
    return {
        "id": row.pk,
        "app": row.app.name,
        "name": str(row),
        "kind": row.kind,
        "failed": sum(it.outcome == "fail" for it in found.rows),
        "rows": _told(found.rows),
    }


def _tell(of: Tenant, own: Iterable[Row], judged: Iterable[Judged]) -> None:
    """Each broken promise a line of the worker's log, at the level of an error."""
    broken = [(of.slug, "", row) for row in own if row.outcome == "fail"]
    broken += [
        (of.slug, found.container.pk, row) for found in judged for row in found.rows if row.outcome == "fail"
    ]
    for slug, container, row in broken[:MOST_LOGGED]:
        log.error("isolation.broken", of=slug, container=container, promise=row.id, found=row.found)
    if len(broken) > MOST_LOGGED:
        log.error("isolation.broken", of=of.slug, more=len(broken) - MOST_LOGGED)
