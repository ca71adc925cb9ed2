"""HTTP over a Unix socket: what supervisord, gunicorn and Caddy's admin API speak."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from pathlib import Path
from typing import Any


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float = 5.0) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__()
        self._path, self._timeout = path, timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return UnixConnection(self._path, self._timeout)


def status(path: Path, host: str, target: str) -> int | None:
    """The status of GET `target` for `host`; None when nobody answers."""
    connection = UnixConnection(path)
    try:
        connection.request("GET", target, headers={"Host": host, "X-Forwarded-For": "127.0.0.1"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
