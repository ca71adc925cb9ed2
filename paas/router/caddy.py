"""Caddy's admin API, over its Unix socket: https://caddyserver.com/docs/api"""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paas.errors import HostProblem
from paas.router.boot import save


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
    """A running Caddy, known by its admin socket.

    `boot_config` is the file that it starts from: kept up to date, a Caddy that was killed comes back with
    every route, without waiting for anybody.
    """

    admin_socket: Path
    boot_config: Path | None = None
    timeout: float = 30.0

    def load(self, config: dict[str, Any]) -> bool:
        """Make `config` what Caddy runs, in one step, or leave what it runs. True if that changed anything.

        Raises HostProblem when Caddy does not answer or refuses the configuration.
        """
        changed = self.current() != config
        if changed:
            self._ask("POST", "/load", json.dumps(config))
        if self.boot_config:
            save(self.boot_config, config)
        return changed

    def current(self) -> dict[str, Any] | None:
        """The configuration that Caddy runs."""
        config: dict[str, Any] | None = json.loads(self._ask("GET", "/config/"))
        return config

    def requests_in_flight(self) -> dict[str, int]:
        """How many requests each upstream ("10.0.0.1:8000") has now."""
        upstreams = json.loads(self._ask("GET", "/reverse_proxy/upstreams"))
        return {upstream["address"]: upstream["num_requests"] for upstream in upstreams}

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        connection = _AdminConnection(self.admin_socket, self.timeout)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
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
            raise HostProblem(
                f"Caddy refused {method} {path}: {_reason(answer)}",
                hint="what it ran before, it still runs",
                details={"status": response.status},
                retryable=True,
            )
        return answer


def _reason(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return answer.decode(errors="replace")[:500] or "no reason given"
