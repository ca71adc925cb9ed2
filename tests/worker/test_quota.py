"""A quota that the kernel refuses in part while an app holds more, on the real kernel."""

from __future__ import annotations

import json
from ast import literal_eval
from typing import Any

import pytest
import redis
from django.conf import settings
from structlog.testing import capture_logs

from paas.linux.cgroups import host_tree, io_throttling
from paas.logs import read_tail
from paas.worker import engine, isolation, quota, runs
from paas.worker.reconcile import reconcile
from tenants.accounts.models import Tenant
from tenants.containers.models import Container
from tenants.fleet.actions import set_quota
from tenants.isolation import actions
from tenants.releases.models import Release
from tenants.runs.actions import start_run
from tenants.runs.models import Run
from tests.runtime.conftest import Bed
from tests.worker.host import MIB, Host

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
HOLDS = """exec awk 'BEGIN {
    s = "x"; while (length(s) < 1048576) s = s s
    for (i = 0; i < 128; i++) held[i] = s i
    print "has it"; fflush(); system("sleep 60")
}'"""
LESS = {"memory": 96 * MIB, "swap": 0, "cpu": 300, "pids": 100, "io": 5 * MIB}


@pytest.fixture
def full(host: Host) -> Host:
    """Its app holds 128 MiB."""
    process = {"name": "worker", "args": ["sh", "-c", HOLDS], "memory_bytes": 240 * MIB, "count": 1}
    Release.objects.filter(pk=host.release.pk).update(processes=[process])
    reconcile(host.cast.app.pk)
    log = settings.PATHS.container_log(host.cast.app.containers.get(status="running").pk)
    Bed.until(lambda: [line.text for line in read_tail(log, 1)] == ["has it"])
    return host


def seen(host: Host) -> tuple[Tenant, dict[str, Any]]:
    tenant = Tenant.objects.get(pk=host.cast.tenant.pk)
    return tenant, {name: (line["value"], line["why"]) for name, line in tenant.in_force.items()}


def woken(platform: redis.Redis[bytes]) -> list[str]:
    """The tenants whose quota the worker was told to apply since the last call."""
    messages = [json.loads(message)["headers"] for message in platform.lrange("deploy", 0, -1)]
    platform.delete("deploy")
    return [literal_eval(it["argsrepr"])[0] for it in messages if it["task"] == "berth.quota"]


def broken(host: Host) -> set[str]:
    report = actions.look_at(actor=host.cast.viewer, tenant=host.cast.tenant)
    isolation.settle(report.pk)
    report.refresh_from_db()
    return {row["id"] for row in (report.answer or {})["tenant"] if row["outcome"] == "fail"}


def test_what_is_refused_leaves_the_rest_in_force_and_is_tried_again_by_itself(
    full: Host, platform: redis.Redis[bytes]
) -> None:
    Tenant.objects.filter(pk=full.cast.tenant.pk).update(swap_bytes=0)
    quota.apply_quota(full.cast.tenant.pk)
    set_quota(actor=full.cast.admin, tenant=full.cast.tenant, changes=LESS)
    with capture_logs() as logs:
        for _ in range(2):
            quota.apply_quota(full.cast.tenant.pk)
            quota.look()
    tenant, lines = seen(full)
    assert "limited to 96 MiB: what runs holds 1" in tenant.quota_error and "/" not in tenant.quota_error
    assert tenant.quota_applied_at is None
    assert lines["memory"] == (256 * MIB, f"the host refused it: {tenant.quota_error}")
    assert (lines["swap"][0] or 0, lines["cpu"], lines["pids"]) == (0, (300, ""), (100, ""))
    assert lines["io"][0] == (5 * MIB if io_throttling(host_tree()) else None)
    assert broken(full) == {"quota"}, "the promise is not held, and the report says so"
    told = [entry["event"] for entry in logs if entry["event"].startswith("quota.")]
    assert told == ["quota.refused"], "once, however often it is tried"
    assert woken(platform) == [tenant.pk] * 3, "what was set, and each look, has it tried"

    run = start_run(actor=full.cast.developer, app=full.cast.app, command="echo it runs")
    runs.settle(run.pk)
    run = Run.objects.select_related("container").get(pk=run.pk)
    assert run.container is not None, run.error
    engine.runtime().wait(run.container.pk, 20)
    runs.settle(run.pk)
    run.refresh_from_db()
    assert (run.status, run.exit_code) == (Run.Status.EXITED, 0), run.error

    engine.runtime().delete(Container.objects.get(app=full.cast.app, process_type="worker").pk)
    quota.apply_quota(tenant.pk)
    tenant, lines = seen(full)
    assert (tenant.quota_error, lines["memory"]) == ("", (96 * MIB, ""))
    assert tenant.quota_applied_at is not None and broken(full) == set()
    woken(platform)
    quota.look()
    assert woken(platform) == [], "all is in force"
