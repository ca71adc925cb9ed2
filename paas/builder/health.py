"""An image's HEALTHCHECK -> how Berth checks a web process of it. Pure."""

from __future__ import annotations

from paas.oci.config import Healthcheck, ImageConfig
from paas.specs import HealthCheck

_SECOND = 1_000_000_000
# Docker's own values, for what an instruction leaves open.
_INTERVAL, _TIMEOUT, _RETRIES = 30 * _SECOND, 30 * _SECOND, 3
_LEAST, _MOST = 60.0, 600.0  # seconds that a web process has to become ready, as [health] allows
_LONGEST_ATTEMPT = 60.0
SHELL = ("/bin/sh", "-c")


def health_of(image: ImageConfig) -> HealthCheck:
    """Of an image that was built elsewhere; an open port where it says nothing."""
    return readiness(image.healthcheck, image.shell or SHELL) or HealthCheck()


def readiness(check: Healthcheck | None, shell: tuple[str, ...]) -> HealthCheck | None:
    """Berth asks until the first success, and gives up when Docker would call the container unhealthy.

    It does not wait for an interval before the first attempt, as Docker does: a deploy waits for it.
    """
    if check is None or check.test[0] not in ("CMD", "CMD-SHELL") or len(check.test) < 2:
        return None
    attempt = (check.timeout or _TIMEOUT) / _SECOND
    patience = (check.start_period + (check.retries or _RETRIES) * (check.interval or _INTERVAL)) / _SECOND
    return HealthCheck(
        command=check.test[1:] if check.test[0] == "CMD" else (*shell, check.test[1]),
        timeout=min(max(patience, _LEAST), _MOST),
        interval=min(1.0, (check.start_interval or check.interval or _INTERVAL) / _SECOND),
        attempt_timeout=min(attempt, _LONGEST_ATTEMPT),
    )
