"""A limit on failed attempts by address, kept in Valkey."""

from __future__ import annotations

import ipaddress

import redis
import structlog
from allauth.account.adapter import get_adapter
from django.http import HttpRequest

from paas.errors import TooMany
from paas.live import client

log = structlog.get_logger()


class FailureLimit:
    """At most `most` failures from one address in `seconds`; then TooMany, even for a good one.

    Without Valkey it lets all through: the secrets it protects have 256 bits, and serving matters more.
    """

    def __init__(self, name: str, *, what: str, most: int, seconds: int) -> None:
        self.name, self.what, self.most, self.seconds = name, what, most, seconds

    def check(self, request: HttpRequest) -> None:
        try:
            failures = int(client().get(self._key(request)) or 0)
        except redis.RedisError as error:
            log.warning("limit.unreachable", error=str(error))
            return
        if failures >= self.most:
            raise TooMany(
                "too many failed attempts from this address",
                retry_after=self.seconds,
                hint=f"Wait {self.seconds // 60} minutes, then use {self.what} that is valid.",
            )

    def failed(self, request: HttpRequest) -> None:
        key = self._key(request)
        try:
            with client().pipeline() as pipe:
                pipe.incr(key)
                pipe.expire(key, self.seconds, nx=True)  # since the first of them
                pipe.execute()
        except redis.RedisError as error:
            log.warning("limit.unreachable", error=str(error))

    def _key(self, request: HttpRequest) -> str:
        return f"limit:{self.name}:{_network(get_adapter().get_client_ip(request))}"


def _network(address: str) -> str:
    """An IPv6 client owns a whole /64."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)
