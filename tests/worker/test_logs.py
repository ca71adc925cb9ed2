"""Whose logs the agent keeps small."""

from __future__ import annotations

from typing import Any

from paas.agent.logs import Logs
from paas.logs import read_tail
from paas.runtime.log_keeper import BURST
from tests.worker.host import Host


def test_what_one_that_has_ended_since_wrote_last_is_judged(host: Host, settings: Any) -> None:
    """Nothing of it is on the host any more but its log."""
    logs = Logs()
    logs._keep()
    path = settings.PATHS.container_log("ended")
    path.write_bytes(b"2026-01-01T00:00:00.000000000+00:00 stdout F and so on\n" * (2 * BURST // 50))
    logs._keep()
    assert path.stat().st_size <= BURST + 1000
    assert "berth" in [line.stream for line in read_tail(path, 100_000)]
    assert read_tail(path, 1)[0].text == "and so on", "its last lines stay"
    assert logs._dropped["ended"] > BURST // 2
