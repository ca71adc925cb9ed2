"""Network namespaces to try things in: nothing here touches the machine's own."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from paas.network.apply import Network

CLONE_NEWNET = 0x40000000
PREFIX = IPv4Network("10.208.0.0/16")
_libc = ctypes.CDLL(None, use_errno=True)


class Peer:
    """A process in a network namespace of its own (and, as a container, a user namespace); see peer.py."""

    def __init__(self, *unshare: str) -> None:
        script = Path(__file__).with_name("peer.py")
        self._process = subprocess.Popen(
            ["unshare", *unshare, sys.executable, "-I", "-S", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid  # unshare(1) executes, it does not fork
        assert self._answer() == "ready"

    def __call__(self, *request: Any) -> Any:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def own_network() -> Iterator[None]:
    """Move this thread, and what it starts, to a fresh network namespace for a while."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    assert _libc.unshare(CLONE_NEWNET) == 0
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        assert _libc.setns(before, CLONE_NEWNET) == 0
        os.close(before)


@pytest.fixture
def own_netns() -> Iterator[None]:
    with own_network():
        yield


@pytest.fixture
def network(own_netns: None, tmp_path: Path) -> Network:
    network = Network("bx", PREFIX, [], [IPv4Address("203.0.113.53")], tmp_path / "run" / "network.json")
    network.apply_base()
    return network


def uid(number: int) -> int:
    """A tenant, by the first of its user ids."""
    return 1_879_048_192 + number * 65_536


@pytest.fixture
def container(own_netns: None) -> Iterator[Callable[[], Peer]]:
    """Make containers' processes: root in a user and a network namespace of their own."""
    with ExitStack() as stack:

        def make() -> Peer:
            peer = Peer("--user", "--map-root-user", "--net")
            stack.callback(peer.end)
            return peer

        yield make
