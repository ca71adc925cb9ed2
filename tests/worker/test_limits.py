"""What runs is held to another limit, on the real kernel."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from paas.specs import MIB, ProcessSpec
from paas.worker import engine, launch, limits, sleep
from paas.worker.roll_out import start_process
from tenants.containers.models import Container
from tests.worker.host import Host

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
HELD = 24 * MIB
HOLDS = ProcessSpec(
    name="web", args=("sh", "-c", "dd if=/dev/zero bs=24M | sleep 600"), memory_bytes=48 * MIB, port=5000
)


def held_to(row: Container) -> list[int | None]:
    """MiB, by the kernel and by its row."""
    row.refresh_from_db()
    found = engine.runtime().cgroup_of(row.pk).effective().memory_bytes
    return [found and found // MIB, row.memory_limit // MIB]


def test_a_limit_follows_but_not_below_what_is_needed_nor_while_somebody_works_on_it(host: Host) -> None:
    row = start_process(host.cast.app, host.release, HOLDS, 1)
    end = time.monotonic() + 20
    while engine.runtime().usage(row.pk).memory_bytes < HELD:
        assert time.monotonic() < end
        time.sleep(0.02)
    more, less = ({"web": replace(HOLDS, memory_bytes=mib * MIB)} for mib in (64, 16))
    limits.follow([row], less)
    with sleep.undisturbed(row):
        limits.follow([row], more)
    limits.follow([row], {"worker": more["web"]})
    assert held_to(row) == [48, 48]
    for _ in range(2):
        limits.follow([row], more)
        assert held_to(row) == [64, 64]
    launch.take_down(row, reason="", grace=0.0)
