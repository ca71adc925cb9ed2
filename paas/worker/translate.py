"""Rows -> frozen specs. Everything that a container is made of is decided here, from validated rows only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from django.conf import settings

from paas.errors import HostProblem
from paas.network import address_of, host_resolvers, resolv_conf
from paas.specs import (
    DEFAULT_PORT,
    ID_RANGE_SIZE,
    ContainerSpec,
    ImageSpec,
    Limits,
    Mount,
    ProcessSpec,
    TenantSpec,
    VolumeMount,
)
from paas.worker import names
from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.releases import serial
from tenants.releases.models import Release

APP_PIDS = 256


def tenant_spec(tenant: Tenant) -> TenantSpec:
    return TenantSpec(
        id=tenant.pk,
        uid_base=uid_base(tenant),
        quota=Limits(
            memory_bytes=tenant.memory_bytes,
            swap_bytes=tenant.swap_bytes,
            cpu_millis=tenant.cpu_millis,
            pids=tenant.pids,
            io_bytes=tenant.io_bytes,
            io_operations=tenant.io_operations,
        ),
        disk_bytes=tenant.disk_bytes,
        container=Limits(io_bytes=settings.IO_BYTES, io_operations=settings.IO_OPERATIONS),
        since=tenant.quota_set_at.timestamp() if tenant.quota_set_at else 0.0,
    )


def uid_base(tenant: Tenant) -> int:
    return int(settings.UID_BASE) + tenant.range_index * ID_RANGE_SIZE


def port_of(release: Release, process_type: str) -> int:
    """The port that a process is told to listen on: berth.toml's for it, what its image exposes, or 8000."""
    own = next((p.port for p in serial.processes(release) if p.name == process_type), None)
    return own or serial.image(release).exposed_port or DEFAULT_PORT


def starts_as_root(user: str) -> bool:
    return user.partition(":")[0] in ("", "root", "0")


def app_env(app: App, release: Release, image: ImageSpec, process_type: str) -> dict[str, str]:
    """The image's variables, then the release's, then the platform's own, which always win."""
    return {
        **dict(image.env),
        **release.config,
        "PORT": str(port_of(release, process_type)),
        "BERTH_APP": app.name,
        "BERTH_TENANT": app.tenant.slug,
        "BERTH_RELEASE": f"v{release.version}",
        "BERTH_PROCESS": process_type,
    }


def process_container(
    row: Container, release: Release, image: ImageSpec, process: ProcessSpec
) -> ContainerSpec:
    """A container for one process of a release, or for a command run with its image, config and volumes."""
    return container_spec(
        row,
        layers=image.layers,
        args=process.args,
        env=app_env(row.app, release, image, process.name),
        workdir=image.workdir or "/",
        user=image.user or "0:0",
        limits=Limits(
            memory_bytes=process.memory_bytes,
            swap_bytes=process.memory_bytes,
            cpu_millis=process.cpu_millis,
            pids=APP_PIDS,
        ),
        stop_signal=image.stop_signal,
        mounts=volume_mounts(row.app, release),
    )


def volume_mounts(app: App, release: Release) -> tuple[VolumeMount, ...]:
    """By ids that the server made; the release's roll-out has made the rows."""
    if not release.volumes:
        return ()
    ids = dict(app.volumes.filter(delete_asked_at=None).values_list("name", "pk"))
    missing = [name for name, _ in release.volumes if name not in ids]
    if missing:
        raise HostProblem(
            f"volume {missing[0]} of {app} is not there", hint="restart the app to have it made anew"
        )
    return tuple(VolumeMount(ids[name], path) for name, path in release.volumes)


def container_spec(
    row: Container,
    *,
    layers: tuple[str, ...],
    args: tuple[str, ...],
    env: Mapping[str, str],
    workdir: str,
    user: str,
    limits: Limits,
    stop_signal: str = "SIGTERM",
    mounts: tuple[Mount, ...] = (),
    network: bool = True,
) -> ContainerSpec:
    assert row.address is not None, "a container without an address is never started"
    address = address_of(settings.CONTAINER_PREFIX, row.address)
    return ContainerSpec(
        id=row.pk,
        tenant=tenant_spec(row.tenant),
        app_id=row.app_id,
        layers=layers,
        args=args,
        env=tuple(sorted(env.items())),
        address=address,
        limits=replace(limits, io_bytes=settings.IO_BYTES, io_operations=settings.IO_OPERATIONS),
        workdir=workdir,
        user=user,
        hostname=names.hostname_of(row),
        root_capable=starts_as_root(user),
        stop_signal=stop_signal,
        mounts=mounts,
        network=network,
        resolver=resolv_conf(host_resolvers()),
        hosts=names.hosts_of(row),
        goes_first=row.kind != Container.Kind.PROCESS,
    )
