"""Telling open pages that something changed: one Valkey channel a tenant, messages say what, not how.

A page that hears `{"app": "…", "what": "release"}` fetches that part again through its access function,
so a message never carries anything that a reader could lack the right to see.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Literal

import redis
import structlog
from django.conf import settings
from django.db import transaction

log = structlog.get_logger()
What = Literal[
    "app", "config", "build", "release", "containers", "usage", "run", "inspection", "push", "isolation"
]
MACHINE = "live:machine"  # the administrator's channel


def channel(tenant_id: str) -> str:
    return f"live:tenant:{tenant_id}"


@cache
def client() -> redis.Redis[bytes]:
    return redis.Redis.from_url(settings.VALKEY_URL, socket_timeout=2)


def publish(name: str, message: dict[str, str]) -> None:
    try:
        client().publish(name, json.dumps(message))
    except redis.RedisError as error:  # a page that misses it catches up when it reconnects
        log.warning("live.unreachable", channel=name, error=str(error))


def listened_to() -> frozenset[str]:
    """The channels that somebody listens to now, the machine's among them; none when the broker is away."""
    try:
        names: list[Any] = client().pubsub_channels("live:*")  # bytes, whatever the library's types say
    except redis.RedisError as error:
        log.warning("live.unreachable", error=str(error))
        return frozenset()
    return frozenset(name.decode() for name in names)


def changed(tenant_id: str, app_id: str, what: What) -> None:
    """Tell the tenant's open pages, once the transaction is committed."""
    transaction.on_commit(lambda: publish(channel(tenant_id), {"app": app_id, "what": what}))
