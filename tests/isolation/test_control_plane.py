"""The control plane's promises: a whole one, and one thing changed of it. Pure, but for a socket of our own."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest

from paas.isolation import capabilities, control_plane, listeners
from paas.isolation.control_plane import ControlPlane, Door
from paas.isolation.listeners import Listener
from tests.isolation.planes import INGRESS, NOBODY, ROOT, UID, plane, program


def failing(seen: ControlPlane) -> dict[str, str]:
    return {row.id: row.found for row in control_plane.judge(seen) if row.outcome == "fail"}


def test_a_whole_one_keeps_every_promise() -> None:
    assert failing(plane()) == {}


def test_what_is_being_restarted_is_told_and_not_blamed() -> None:
    fewer = tuple(it for it in plane().programs if it.name != "valkey")
    rows = {row.id: row for row in control_plane.judge(plane(programs=fewer))}
    assert rows["web-processes"].outcome == "n/a" and rows["web-processes"].found.endswith(": valkey")


def with_one(**changes: Any) -> ControlPlane:
    """A whole one and a second `web`, or what `name` says."""
    one = program(changes.pop("name", "web"), **changes)
    return plane(programs=(*plane().programs, one))


FORWARDS = Listener(2, IPv6Address("::"), 6379)
ADMIN = Listener(3, IPv4Address("0.0.0.0"), 2019)
CASES = {
    "web-processes": [
        (with_one(status=ROOT), "web (100) runs as [0] in groups [0]; web (100) may gain privileges"),
        (
            with_one(status=replace(NOBODY, capabilities={"CapBnd": capabilities.mask(["CAP_SYS_ADMIN"])})),
            "web (100) has CAP_SYS_ADMIN",
        ),
    ],
    "root-processes": [
        (with_one(status=ROOT), "web (100) is root"),
        (with_one(name="agent", mount_namespace="mnt:[1]"), "agent (100) is in the host's mount namespace"),
    ],
    "sockets": [
        (plane(sockets=(Door(Path("/run/b/sockets/caddy.sock"), UID, 0o777),)), "caddy.sock has mode 777"),
    ],
    "tenants-files": [
        (plane(roots_own=(Door(Path("/state/tenants"), 0, 0o711),)), "/state/tenants is user 0's, mode 711"),
        (plane(roots_own=(Door(Path("/state/store"), UID, 0o700),)), f"/state/store is user {UID}'s, mode 700"),
    ],
    "own-files": [(plane(shared=(Door(Path("/state/db"), UID, 0o755),)), "/state/db has mode 755")],
    "code": [(plane(code=(Door(Path("/state/code"), UID, 0o755),)), f"/state/code is user {UID}'s, mode 755")],
    "listening": [
        (with_one(name="valkey", listeners=(FORWARDS,)), "valkey (100) listens on [::]:6379"),
        (with_one(name="caddy", listeners=(INGRESS, ADMIN)), "caddy (100) listens on 0.0.0.0:2019"),
    ],
    "fences": [(plane(rules="there is no table"), "there is no table")],
}


@pytest.mark.parametrize("row", CASES)
def test_one_thing_changed_breaks_its_promise(row: str) -> None:
    for seen, found in CASES[row]:
        assert failing(seen)[row] == found


def test_every_promise_can_be_broken() -> None:
    assert {promise.id for promise in control_plane.PROMISES} == CASES.keys()


def test_the_ingress_may_bind_low_ports_and_nothing_else() -> None:
    low = {**NOBODY.capabilities, "CapEff": control_plane.BIND_LOW}
    status = replace(NOBODY, capabilities=low)
    assert failing(with_one(name="caddy", status=status)) == {}
    assert "web-processes" in failing(with_one(name="web", status=status))


def test_listeners_are_the_kernels() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as ours,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("::", 0))
        found = listeners.by_process([os.getpid()], listeners.read())[os.getpid()]
        told = {str(listener): listener.is_loopback for listener in found}
        assert told[f"127.0.0.1:{ours.getsockname()[1]}"]
        assert not told[f"[::]:{udp.getsockname()[1]}"]


def test_an_ipv4_loopback_written_as_ipv6_is_one() -> None:
    line = "0: 0000000000000000FFFF00000100007F:1F90 0:0 0A 0:0 0:0 0 0 0 77"
    (found,) = listeners.parse("tcp6", f"header\n{line}\n")
    assert (found.inode, found.port, found.is_loopback) == (77, 8080, True)
