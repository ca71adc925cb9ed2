"""Waiting for the first answer, the same way for every candidate."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable

POLL_SECONDS = 0.001
PATIENCE_SECONDS = 20.0

Connect = Callable[[], socket.socket]


def tcp(address: str, port: int, *, timeout: float = 2) -> Connect:
    return lambda: socket.create_connection((address, port), timeout=timeout)


def first_answer(
    connect: Connect,
    path: str,
    wanted: bytes,
    *,
    host: str = "localhost",
    pause: float = POLL_SECONDS,
    patience: float = PATIENCE_SECONDS,
) -> float:
    """Poll until a GET's body holds `wanted`; the monotonic time of that answer."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            if wanted in body(connect, path, host):
                return time.monotonic()
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(pause)
    raise TimeoutError(f"no answer with {wanted!r} within {patience:g} s")


def body(connect: Connect, path: str, host: str) -> bytes:
    """Of the answer to a GET, whatever its status."""
    connection = http.client.HTTPConnection(host)
    connection.sock = connect()
    try:
        connection.request("GET", path, headers={"Host": host, "Connection": "close"})
        return connection.getresponse().read()
    finally:
        connection.close()
