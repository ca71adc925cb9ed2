"""Celery's side: a task's argument is a primary key, its work is idempotent, its result is in the rows."""

from __future__ import annotations

from celery import shared_task
from celery.signals import task_postrun

from paas.linux import heap
from paas.worker import (
    builds,
    exports,
    fences,
    inspections,
    isolation,
    quota,
    registry,
    runs,
    sleep,
    tenants,
    volumes,
)
from paas.worker import reconcile as apps
from paas.worker import upkeep as store


@task_postrun.connect  # type: ignore[untyped-decorator]
def give_back(**_: object) -> None:
    """A thousand deploys would otherwise leave each worker with several times of what it needs at rest."""
    heap.give_back()


@shared_task(name="berth.build")  # type: ignore[untyped-decorator]
def build(build_id: str) -> None:
    """Some build waits; which of them is next is decided here, not by whose message came first."""
    builds.run_next()


@shared_task(name="berth.reconcile")  # type: ignore[untyped-decorator]
def reconcile(app_id: str) -> None:
    apps.reconcile(app_id)


@shared_task(name="berth.run")  # type: ignore[untyped-decorator]
def run(run_id: str) -> None:
    runs.settle(run_id)


@shared_task(name="berth.inspect")  # type: ignore[untyped-decorator]
def inspect(inspection_id: str) -> None:
    inspections.inspect(inspection_id)


@shared_task(name="berth.isolation")  # type: ignore[untyped-decorator]
def look_at_isolation(report_id: str) -> None:
    isolation.settle(report_id)


@shared_task(name="berth.quota")  # type: ignore[untyped-decorator]
def apply_quota(tenant_id: str) -> None:
    quota.apply_quota(tenant_id)


@shared_task(name="berth.volume")  # type: ignore[untyped-decorator]
def delete_volume(volume_id: str) -> None:
    volumes.settle(volume_id)


@shared_task(name="berth.measure")  # type: ignore[untyped-decorator]
def measure_volumes(tenant_id: str) -> None:
    volumes.measure(tenant_id)


@shared_task(name="berth.egress")  # type: ignore[untyped-decorator]
def apply_egress(tenant_id: str) -> None:
    fences.apply_egress(tenant_id)


@shared_task(name="berth.tenant")  # type: ignore[untyped-decorator]
def destroy_tenant(tenant_id: str) -> None:
    tenants.settle(tenant_id)


@shared_task(name="berth.upkeep")  # type: ignore[untyped-decorator]
def upkeep(upkeep_id: str) -> None:
    store.settle(upkeep_id)


@shared_task(name="berth.push")  # type: ignore[untyped-decorator]
def push(push_id: str) -> None:
    registry.settle_push(push_id)


@shared_task(name="berth.export")  # type: ignore[untyped-decorator]
def export(export_id: str) -> None:
    exports.settle(export_id)


@shared_task(name="berth.sleep")  # type: ignore[untyped-decorator]
def sleep_or_wake(app_id: str) -> None:
    sleep.obey(app_id)
