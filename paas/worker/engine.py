"""The engine's parts, made once a process from the settings: the only place that joins them."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from paas.images import Store
from paas.images.base import SUITES
from paas.network import Network, host_resolvers
from paas.router import Caddy, Table
from paas.runtime import Runtime
from paas.sleep import Bed


@cache
def store() -> Store:
    return Store(settings.PATHS.store)


def base_image() -> str:
    """The name of the image that apps stand on which ask for nothing else."""
    return SUITES[settings.BASE_SUITE]


@cache
def runtime() -> Runtime:
    return Runtime(settings.PATHS, cgroup_root=settings.CGROUP_ROOT)


@cache
def network() -> Network:
    return Network(
        prefix=settings.BERTH_PREFIX,
        container_prefix=settings.CONTAINER_PREFIX,
        egress_allow=settings.EGRESS_ALLOW,
        resolvers=host_resolvers(),
        state_file=settings.PATHS.run / "network.json",
        closed=settings.OWN_NETWORKS,
    )


def bed() -> Bed:
    """Where containers sleep."""
    return Bed(network().asleep, settings.PATHS.woken)


@cache
def caddy() -> Caddy:
    return Caddy(settings.PATHS.caddy_admin_socket)


@cache
def table() -> Table:
    return Table(settings.PATHS.routes)
