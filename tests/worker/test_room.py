"""A tenant whose apps take for ever to start holds nobody else up."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from paas.worker import lock
from paas.worker.reconcile import STARTING_AT_ONCE, reconcile
from tenants.accounts.models import Tenant
from tenants.releases.actions import restart
from tenants.releases.models import Release
from tests.worker.host import MIB, Host

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]


def full(name: str, tenant: Tenant, places: int) -> ExitStack:
    stack = ExitStack()
    for _ in range(places):
        assert stack.enter_context(lock.one_of(f"{name}-{tenant.pk}", places))
    return stack


def test_a_release_waits_for_its_own_tenants_only(host: Host) -> None:
    host.cast.app.releases.update(processes=[])
    release = restart(actor=host.cast.owner, app=host.cast.app)
    with full("starting", host.cast.tenant, STARTING_AT_ONCE):
        reconcile(host.cast.app.pk)
        release.refresh_from_db()
        assert release.status == Release.Status.PENDING
    with full("starting", host.cast.other, STARTING_AT_ONCE):
        reconcile(host.cast.app.pk)
    release.refresh_from_db()
    assert release.status == Release.Status.LIVE


def test_one_container_above_the_tenants_quota_is_refused(host: Host) -> None:
    web = host.release.processes[0]
    host.release.processes = [{**web, "memory_bytes": 257 * MIB}]
    host.release.save()
    release = restart(actor=host.cast.owner, app=host.cast.app)
    reconcile(host.cast.app.pk)
    release.refresh_from_db()
    assert release.status == Release.Status.FAILED and release.error
    assert release.error["summary"] == (
        "cannot start web: memory limit 257 MiB is above the tenant's quota of 256 MiB"
    )
    host.cast.app.refresh_from_db()
    assert host.cast.app.serving_release_id == host.release.pk
