"""Where a tenant's packets get to: nowhere but where they are meant to."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest

from tests.e2e.hostile.conftest import Attack
from tests.e2e.hostile.inside.web import ELSEWHERE
from tests.e2e.hostile.tenant import APP, SLUG, Hostile
from tests.e2e.platform import PORT, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]
GATEWAY = "169.254.1.1"


@pytest.fixture
def service() -> Iterator[int]:
    """A service of the host's on all of its addresses, as SSH or a careless database is."""
    with socket.create_server(("", 0)) as server:

        def greet() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:  # closed
                    return

        thread = threading.Thread(target=greet)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def own_addresses() -> list[str]:
    """Of this machine, but for those that mean "here" in a container too."""
    told = subprocess.run(["ip", "-j", "-4", "address"], capture_output=True, text=True, check=True).stdout
    found = (info["local"] for link in json.loads(told) for info in link["addr_info"])
    return [address for address in found if not address.startswith("127.")]


def test_the_host_has_no_door(mallory: Hostile, attack: Attack, service: int) -> None:
    """Each of its addresses, with a port on which something listens, and the platform's own."""
    hosts = own_addresses()
    for address in hosts:  # control: the service is there for others
        socket.create_connection((address, service), 1).close()
    targets = [(address, port) for address in (*hosts, GATEWAY) for port in (service, PORT)]
    with attack("the host's addresses"):
        told = mallory.says("network", "reach", json.dumps(targets))
    assert set(told.values()) == {"silence"}, told


def test_loopback_is_the_containers_own(mallory: Hostile, attack: Attack, service: int) -> None:
    targets = [(address, port) for address in ("127.0.0.1", "127.0.0.53", "::1") for port in (service, PORT)]
    with attack("127/8"):
        told = mallory.says("network", "reach", json.dumps(targets))
    assert set(told.values()) <= {"ECONNREFUSED", "EADDRNOTAVAIL"}, told


def test_a_neighbour_is_out_of_reach(mallory: Hostile, attack: Attack, platform: Platform) -> None:
    """The addresses that containers have here, and names by which one might be asked."""
    prefix = IPv4Network(platform.environment["BERTH_CONTAINER_PREFIX"])
    targets = [(str(prefix[number]), 8000) for number in range(2, 200)]
    (neighbour,) = platform.containers("hello")
    with attack("neighbours by address, name"):
        told = mallory.says("network", "reach", json.dumps(targets))
        names = [neighbour["id"], "hello", "hello-demo", "hello.internal", "web.hello.demo.internal"]
        found = mallory.says("network", "names", json.dumps(names))
    own = [
        target for target, said in told.items() if said == "ECONNREFUSED"
    ]  # where nobody listens, as it knows
    assert len(own) == 1 and set(told.values()) == {"silence", "ECONNREFUSED"}, told
    assert "done" not in found.values()


def test_forged_packets_and_addresses(mallory: Hostile, attack: Attack) -> None:
    with attack("raw sockets, addresses"):
        told = mallory.says("network", "raw")
    assert told.pop("bind to device") == "done"  # since Linux 5.7 for everybody, and it gains nothing
    assert told.pop("netlink") == ["EPERM"] * 6
    assert set(told.values()) <= {"EPERM", "EAFNOSUPPORT", "EADDRNOTAVAIL"}, told


def test_another_port_than_the_apps(attack: Attack, platform: Platform, seconds: float) -> None:
    """Whoever asks the ingress is led to the app's port, whatever else listens and whatever port they name."""
    host, named = f"{APP}-{SLUG}.localhost", f"{APP}-{SLUG}.localhost:{ELSEWHERE}"
    found, end = set(), time.monotonic() + seconds
    with attack("listening elsewhere"):
        while time.monotonic() < end:
            found |= {
                platform.request(host, "/", Host=named).body,
                platform.request(host, f"http://{named}/").body,
                platform.request(host, "/", X_Forwarded_Host=named, X_Forwarded_Port=str(ELSEWHERE)).body,
            }
        with pytest.raises(ConnectionRefusedError):
            platform.request(host, "/", port=ELSEWHERE)
    assert found == {b"port 8000, 0 elsewhere"}
    # Control: the container itself gets there.
    assert platform.request(host, "/count").body == b"port 8000, 1 elsewhere"
