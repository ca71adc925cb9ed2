"""Images from registries into the store, and releases' images to registries."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog
from django.conf import settings

from paas.builder import BuildCancelled
from paas.builder.health import health_of
from paas.builder.sandbox import Look
from paas.errors import BadInput, HostProblem
from paas.images import Loaded, LoadLimits
from paas.images.durable import room_on_tenants_disk
from paas.oci.digest import is_digest, of_bytes
from paas.oci.index import parse_index
from paas.oci.reference import Reference, parse_reference
from paas.specs import BuildReport, ImageSpec, ProcessSpec
from paas.worker import attested, engine, jobs, kept, launch
from paas.worker.sandbox import BuildSandbox
from paas.worker.transfer import PROCESS, Transfer, demand_allowed, read_manifest
from paas.worker.translate import tenant_spec
from tenants.containers.models import Container
from tenants.registries import observations
from tenants.registries.models import GOING, Push
from tenants.releases.models import Build

log = structlog.get_logger()
_OURS = HostProblem("the push failed inside Berth", hint="push it again")


def pull(name: str, transfer: Transfer, sandbox: BuildSandbox) -> str:
    """The digest, in the store, of the image with this name, for this machine's architecture.

    It is fetched each time, also when the store has it: who may have it is for the registry to say. A digest
    in the name is checked here, on what came; on an error nothing of it is kept.
    """
    reference = parse_reference(name)
    demand_allowed(reference)
    store = kept.store_for(transfer.app.tenant, "the pull")
    limits = LoadLimits(max_bytes=settings.PULL_MAX_BYTES)
    sandbox.prepare()
    with transfer.fetched(reference) as folder:
        _demand_digest(reference, folder, transfer)

        def load(look: Look) -> Loaded:
            return store.load_layout(folder, limits=limits, look=look)

        return sandbox.confined(load, is_light=False).digest


def _demand_digest(reference: Reference, folder: Path, transfer: Transfer) -> None:
    """The manifest is the one asked for, or is listed by the index that was asked for."""
    if not reference.digest:
        return
    raw = read_manifest(folder)
    if of_bytes(raw) == reference.digest:
        return
    with transfer.fetched(reference, "--multi-arch", "index-only") as only:
        index = read_manifest(only)
    listed = of_bytes(index) == reference.digest and of_bytes(raw) in {
        entry.descriptor.digest for entry in parse_index(index)
    }
    if not listed:
        raise BadInput(
            f"the registry gave {of_bytes(raw)} for {reference}", hint="do not trust it; check the digest"
        )


def deploy(
    build: Build, write: Callable[[bytes], None], cancelled: Callable[[], bool], sandbox: BuildSandbox
) -> BuildReport:
    """What a build of an image in a registry gives."""
    name = build.source.name
    write(f"Pulling {name}.\n".encode())
    transfer = Transfer(build.app, build=build, log=write, cancelled=cancelled)
    report = as_it_is(pull(name, transfer, sandbox), name)
    write(f"Pulled {report.image.digest}: {len(report.image.layers)} layers.\n".encode())
    return report


def as_it_is(digest: str, name: str) -> BuildReport:
    """Nothing is built: the image's command is the web process, its HEALTHCHECK the check of that."""
    image, health = engine.store().image(digest), health_of(engine.store().config(digest))
    return BuildReport(image=image, processes=processes(image, name), health=health, builder="image")


def processes(image: ImageSpec, name: str) -> tuple[ProcessSpec, ...]:
    args = (*image.entrypoint, *image.cmd)
    if not args:
        raise BadInput(
            f"{name} says no command to run", hint="give its Dockerfile a CMD or ENTRYPOINT, or build on it"
        )
    return (ProcessSpec(name="web", args=args),)


# --- pushing
def settle_push(push_id: str) -> None:
    """Push what was asked. A second message for it finds it claimed and does nothing."""
    with jobs.claimed("push", push_id, observations.claim) as push:
        if push is not None:
            with jobs.told(partial(observations.failed, push), _OURS):
                try:
                    observations.done(push, _send(push))
                except BuildCancelled:
                    observations.cancelled(push)


def requeue_interrupted() -> list[str]:
    going = Push.objects.filter(status__in=GOING).select_related("app__tenant")
    return jobs.requeue_interrupted(
        "push", going, interrupted=observations.interrupted, failed=observations.failed, clear=_clear
    )


def _send(push: Push) -> str:
    reference = parse_reference(push.reference)
    demand_allowed(reference)
    engine.runtime().prepare_tenant(tenant_spec(push.app.tenant))
    # On the tenant's own disk: its quota holds what is on its way.
    disk = settings.PATHS.disks / push.app.tenant_id
    layout = disk / "cache" / f"push-{push.pk}"
    shutil.rmtree(layout, ignore_errors=True)
    try:
        transfer = Transfer(push.app, release=push.release, cancelled=jobs.CancelAsked(push))
        with room_on_tenants_disk("the image", disk):
            layout.mkdir(mode=0o755)
            engine.store().save_layout(push.release.image["digest"], layout, name=str(reference))
            transfer.check()
            if not reference.digest:  # of the image alone: by that it goes out as it is
                attested.prepare(layout, push.release, transfer, reference)
        digest = transfer.send(layout, reference)
    finally:
        shutil.rmtree(layout, ignore_errors=True)
    if not is_digest(digest):
        raise HostProblem(f"the push of {reference} gave no digest", hint="push it again")
    return digest


def _clear(push: Push) -> None:
    """The container of a worker that died."""
    rows = push.app.containers.filter(process_type=PROCESS, release=push.release_id)
    for row in rows.exclude(status=Container.Status.STOPPED).select_related("tenant"):
        launch.take_down(row, reason="its push was interrupted")
