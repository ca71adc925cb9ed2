"""A tenant whose apps take for ever to start, or to build, holds nobody else up."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from paas.worker import lock
from paas.worker.builds import BUILDS_AT_ONCE, run_build
from paas.worker.reconcile import STARTING_AT_ONCE, reconcile
from tenants.accounts.models import Tenant
from tenants.releases.actions import restart, start_build, upload_source
from tenants.releases.models import Build, Release
from tests.web.cast import GZIP
from tests.worker.host import Host

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


def test_a_build_waits_for_its_own_tenants_only(host: Host) -> None:
    cast = host.cast
    source = upload_source(actor=cast.owner, app=cast.app, kind="tar.gz", name="", chunks=[GZIP])
    build = start_build(actor=cast.owner, app=cast.app, source=source)
    with full("building", cast.tenant, BUILDS_AT_ONCE):
        run_build(build.pk)
        build.refresh_from_db()
        assert build.status == Build.Status.QUEUED
    with full("building", cast.other, BUILDS_AT_ONCE):
        run_build(build.pk)
    build.refresh_from_db()
    assert build.status == Build.Status.FAILED  # it is no archive
