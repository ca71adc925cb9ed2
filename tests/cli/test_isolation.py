"""`berth isolation`, with who plays the worker."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from tenants.isolation import observations
from tenants.isolation.models import Report
from tenants.isolation.observations import Tally
from tests.cli.berth import Berth
from tests.web.cast import Cast
from tests.web.seed_isolation import FINDING, machine_answer, tenant_answer

WRONG = {"seccomp": "process 7 is not filtered"}


@contextmanager
def worker(tally: Tally, answer: dict[str, Any]) -> Iterator[None]:
    def work() -> None:
        while (row := Report.objects.filter(status="queued").first()) is None:
            time.sleep(0.02)
        claimed = observations.claim(row.pk)
        assert claimed is not None
        observations.done(claimed, tally, answer)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(20)
    assert not thread.is_alive()


def test_a_broken_promise_is_an_exit_status(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.viewer)
    with worker(Tally(50, 1), tenant_answer(WRONG)):
        told = berth.run("isolation")
    assert told.returncode == 1 and "1 broken promise" in told.stderr
    lines = [" ".join(line.split()) for line in told.stdout.splitlines()]
    assert "System calls BROKEN 2 of 3 containers" in lines
    assert "Capabilities holds 3 of 3 containers" in lines
    assert lines[-1] == "shop web.0 (000000000000): System calls: process 7 is not filtered"


def test_the_last_report_is_shown_without_a_worker(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.viewer)
    never = berth.run("isolation", "--last")
    assert never.returncode == 1 and "nobody has looked yet" in never.stderr
    observations.looked(cast.tenant, Tally(50), tenant_answer({}))
    told = berth.run("isolation", "--last", "--json")
    assert told.returncode == 0 and json.loads(told.stdout)["passed"] == 50


def test_the_machine_is_for_administrators(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.owner)
    assert "needs an administrator" in berth.run("isolation", "--machine").stderr
    berth.sign_in(cast.admin)
    observations.looked(cast.tenant, Tally(50, 2), tenant_answer(WRONG))
    with worker(Tally(8), machine_answer({})):
        told = berth.run("isolation", "--machine")
    assert told.returncode == 1 and "2 broken promises" in told.stderr
    lines = [" ".join(line.split()) for line in told.stdout.splitlines()]
    assert "Open ports holds as promised, with all that the kernel says of it" in lines
    assert lines[-1] == "demo 50 2"
    assert any(line.startswith("skopeo 1.9.3+ds1-1+b10: CVE-2024-3727. Exposed: ") for line in lines)


def test_a_finding_out_of_reach_is_told_as_such_and_a_tenant_is_not_ignored(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.admin)
    with worker(Tally(8), machine_answer({}, {**FINDING, "reach": "closed"})):
        told = berth.run("isolation", "--machine")
    assert told.returncode == 0 and "CVE-2024-3727. Out of the containers' reach: " in told.stdout
    both = berth.run("isolation", "--machine", "-t", "demo")
    assert both.returncode == 1 and "Leave out --machine for the report of demo" in both.stderr
