"""Between the switch and the stop: containers that no request is told of any more finish what they have."""

from __future__ import annotations

import time
from collections.abc import Sequence

from paas.errors import HostProblem
from paas.worker import engine
from paas.worker.routes import upstream
from tenants.containers.models import Container

SECONDS = 10.0
SETTLE_SECONDS = 0.2  # a request that was told the old address a moment ago has got there by then
POLL_SECONDS = 0.1


def until_idle(rows: Sequence[Container]) -> None:
    """Return once no visitor waits for any of them, or after SECONDS: a stream may never end."""
    ours = {upstream(row) for row in rows if row.process_type == "web" and row.address is not None}
    if not ours:
        return
    end = time.monotonic() + SECONDS
    time.sleep(SETTLE_SECONDS)
    while time.monotonic() < end and _busy(ours):
        time.sleep(POLL_SECONDS)


def _busy(upstreams: set[str]) -> bool:
    try:
        requests = engine.caddy().requests_in_flight()
    except HostProblem:  # without an ingress there is no visitor
        return False
    return any(requests.get(name) for name in upstreams)
