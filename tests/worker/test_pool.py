"""The processes that builds run in."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from billiard.pool import EX_RECYCLE
from celery.signals import task_postrun, task_prerun

from paas import celery


@contextmanager
def process(works_after: float) -> Iterator[int]:
    """Forked as by a pool, it has one task."""
    pid = os.fork()
    if pid == 0:
        celery.end_after_rest()
        task_prerun.send(sender=None)
        time.sleep(works_after)
        task_postrun.send(sender=None)
        while True:
            signal.pause()
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_of_those_that_rest_who_worked_last_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery, "REST_SECONDS", 0.3)
    with process(0.2) as last, process(0.0) as first:
        ended = os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        assert ended and ended.si_status == EX_RECYCLE
        time.sleep(0.5)
        assert os.waitid(os.P_PID, last, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None
