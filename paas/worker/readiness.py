"""Whether a container answers, asked from the host over its own address."""

from __future__ import annotations

import http.client
import socket
from ipaddress import IPv4Address

from paas.specs import HealthCheck

ATTEMPT_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.005


def pause(waited: float, check: HealthCheck) -> float:
    """Seconds until the next attempt: readiness is seen late by a twentieth of the wait at most."""
    return min(max(FIRST_PAUSE_SECONDS, waited / 20), check.interval)


def answers(address: IPv4Address, port: int, check: HealthCheck) -> tuple[bool, str]:
    """One attempt: (ready, what was seen). A path must answer 2xx or 3xx; without one an open port will do."""
    try:
        if check.path is None:
            with socket.create_connection((str(address), port), timeout=ATTEMPT_SECONDS):
                return True, f"port {port} is open"
        connection = http.client.HTTPConnection(str(address), port, timeout=ATTEMPT_SECONDS)
        try:
            connection.request(
                "GET", check.path, headers={"User-Agent": "berth-readiness", "Host": "localhost"}
            )
            status = connection.getresponse().status
        finally:
            connection.close()
    except ConnectionRefusedError:
        return False, f"nothing listens on port {port} ($PORT)"
    except TimeoutError:
        return False, f"no answer on port {port} within {ATTEMPT_SECONDS:g} s"
    except (OSError, http.client.HTTPException) as error:
        return False, f"port {port}: {error or type(error).__name__}"
    return 200 <= status < 400, f"GET {check.path} answered {status}"
