"""Caddy's admin API, over its Unix socket: https://caddyserver.com/docs/api"""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path

from paas.errors import HostProblem


class _AdminConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True, slots=True)
class Caddy:
    """A running Caddy, known by its admin socket."""

    admin_socket: Path
    timeout: float = 30.0

    def requests_in_flight(self) -> dict[str, int]:
        """How many requests each upstream ("10.0.0.1:8000") has now; one that has none may be missing.

        Raises HostProblem when Caddy does not answer.
        """
        upstreams = json.loads(self._ask("/reverse_proxy/upstreams"))
        return {upstream["address"]: upstream["num_requests"] for upstream in upstreams}

    def _ask(self, path: str) -> bytes:
        connection = _AdminConnection(self.admin_socket, self.timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise HostProblem(
                f"Caddy does not answer at {self.admin_socket}: {error}",
                hint="see whether it runs: bin/up starts it",
                retryable=True,
            ) from error
        finally:
            connection.close()
        if response.status != 200:
            raise HostProblem(f"Caddy answers {path} with {response.status}", retryable=True)
        return answer
