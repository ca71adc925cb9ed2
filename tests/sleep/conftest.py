"""Containers' networks as in tests/network, one of them with its process in a cgroup that can be frozen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paas.linux.cgroups import Cgroup
from paas.network import nft, plan
from paas.network.addresses import services
from paas.network.apply import Network
from paas.network.asleep import Sleeper
from paas.sleep import Bed
from paas.specs import MIB, Fence, Limits, Service
from tests.network.conftest import PREFIX, Peer, container, network, own_netns, uid

__all__ = ["container", "network", "own_netns"]
ROOT = Path(__file__).resolve().parents[2]
CGROUP_ROOT = f"/bs{os.getpid()}"
OURS, OTHER, NAME = PREFIX[16], PREFIX[17], services(PREFIX)[1]
TCP, ECHO, UDP, SINK = 8000, 8001, 8002, 8003


@dataclass
class House:
    """A container that may sleep, and a neighbour that may call it by a name."""

    network: Network
    bed: Bed
    cgroup: Cgroup
    ours: Peer
    other: Peer
    waker: subprocess.Popen[bytes] | None = None

    @property
    def sleeper(self) -> Sleeper:
        return Sleeper("0" * 12, str(OURS), self.cgroup.name, 1.0, 5)

    def sleeps(self) -> bool:
        return self.cgroup.is_frozen() and self.bed.asleep.holds(OURS)

    def runs(self) -> bool:
        return not self.cgroup.is_frozen() and not self.bed.asleep.holds(OURS)

    def start_waker(self) -> None:
        argv = [sys.executable, "-S", "-m", "paas.sleep.waker", "bx", str(self.network.state_file.parent)]
        self.waker = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE)
        assert self.waker.stderr
        assert b"waits for calls" in self.waker.stderr.readline()

    def kill_waker(self) -> bytes:
        """What it said after it had begun to wait."""
        if self.waker is None:
            return b""
        self.waker.send_signal(signal.SIGKILL)
        _, said = self.waker.communicate()
        self.waker = None
        return said

    def lose_the_table(self) -> None:
        nft.demand(plan.drop_table("bx"))

    @staticmethod
    def until(condition: Callable[[], bool], timeout: float = 10.0) -> None:
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, "it did not come true"
            time.sleep(0.002)


@pytest.fixture
def house(network: Network, container: Callable[[], Peer]) -> Iterator[House]:
    ours, other = container(), container()
    cgroup = Cgroup(f"{CGROUP_ROOT}/ours")
    cgroup.create(Limits(memory_bytes=256 * MIB, swap_bytes=256 * MIB, pids=64))
    if cgroup.tree.version == 1:
        cgroup.folder("freezer").mkdir(parents=True)  # the runtime makes it for a container
    cgroup.attach(ours.pid)
    network.set_fence(Fence(uid(1), services=(Service(NAME, TCP, (OURS,)),)))
    network.connect("0" * 12, uid(1), OURS, ours.pid)
    network.connect("1" * 12, uid(1), OTHER, other.pid)
    ours("serve_tcp", TCP)
    ours("serve_echo", ECHO)
    ours("serve_udp", UDP)
    bed = Bed(network.asleep, network.state_file.with_name("woken"))
    made = House(network, bed, cgroup, ours, other)
    try:
        yield made
    finally:
        made.kill_waker()
        cgroup.kill()
        for name in (cgroup.name, CGROUP_ROOT):
            Cgroup(name).remove()
