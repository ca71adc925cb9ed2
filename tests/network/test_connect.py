"""The life of a connection, in the kernel."""

from __future__ import annotations

import dataclasses
import re
import socket
import subprocess
import threading
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from paas.errors import Conflict, HostProblem
from paas.network import Endpoint, links
from paas.network.apply import SYSCTLS, Network
from tests.network.conftest import PREFIX, Peer, uid

pytestmark = pytest.mark.kernel

ID, OTHER_ID = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
TENANT, OTHER_TENANT = uid(1), uid(2)
ADDRESS = PREFIX[16]
Make = Callable[[], Peer]


def ip(*argv: str) -> str:
    return subprocess.run(["ip", *argv], capture_output=True, text=True, check=True).stdout


def ruleset() -> str:
    """Without what was counted, and when each address was last used."""
    listing = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    return re.sub(r"\s+elements = \{[^}]* (?:counter|expires) [^}]*\}", "", listing)


def host_state() -> tuple[str, str, str, str]:
    return ip("-br", "address"), ip("route", "show", "table", "all"), ruleset(), sysctls()


def sysctls() -> str:
    return (SYSCTLS / "ip_forward").read_text()


def greets(address: IPv4Address, port: int = 8000) -> bool:
    """Does the container answer the host, and does it see the host's one address?"""
    try:
        with socket.create_connection((str(address), port), timeout=0.5) as sock:
            return sock.recv(100).decode() == str(PREFIX[1])
    except OSError:
        return False


# --- the base


def test_base_again_changes_nothing(network: Network) -> None:
    before = host_state()
    network.apply_base()
    assert host_state() == before
    assert "blackhole 10.208.0.0/16" in before[1]
    assert before[3] == "1\n"


def test_remove_all_leaves_the_host_as_it_was(own_netns: None, tmp_path: Path, container: Make) -> None:
    (SYSCTLS / "ip_forward").write_text("0")
    before = host_state()
    network = Network("bx", PREFIX, [], [], tmp_path / "run" / "network.json")
    network.apply_base()
    network.apply_base()  # must not take its own setting for the host's
    network.connect(ID, TENANT, ADDRESS, container().pid)
    network.remove_all()
    assert host_state() == before
    assert list((tmp_path / "run").iterdir()) == []
    network.remove_all()
    assert host_state() == before


def test_forwarding_that_was_on_stays_on(own_netns: None, tmp_path: Path) -> None:
    (SYSCTLS / "ip_forward").write_text("1")
    network = Network("bx", PREFIX, [], [], tmp_path / "network.json")
    network.apply_base()
    network.remove_all()
    assert sysctls() == "1\n"


def test_a_prefix_that_the_machine_uses_is_refused_before_anything_is_changed(
    own_netns: None, tmp_path: Path
) -> None:
    ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
    ip("address", "add", "10.208.7.1/24", "dev", "lan0")
    ip("link", "set", "lan0", "up")
    before = host_state()
    with pytest.raises(HostProblem, match=r"lan0 leads to 10\.208\.7\.0/24.*BERTH_CONTAINER_PREFIX"):
        Network("bx", PREFIX, [], [], tmp_path / "network.json").apply_base()
    assert host_state() == before


def test_other_tables_are_left_alone(own_netns: None, tmp_path: Path) -> None:
    subprocess.run(["nft", "add table ip filter; add chain ip filter DOCKER-USER"], check=True)
    network = Network("bx", PREFIX, [], [], tmp_path / "network.json")
    network.apply_base()
    network.remove_all()
    assert "DOCKER-USER" in ruleset()


# --- connecting


def test_connect_then_disconnect(network: Network, container: Make) -> None:
    before = host_state()
    peer = container()
    peer("serve_tcp", 8000)
    network.connect(ID, TENANT, ADDRESS, peer.pid)
    assert network.connected() == {ID}
    assert greets(ADDRESS)
    assert "inet 10.208.0.16/32" in peer("run", "ip", "address", "show", "eth0")
    assert peer("run", "ip", "route").strip() == "default via 169.254.1.1 dev eth0 proto static onlink"
    assert "LOOPBACK,UP" in peer("run", "ip", "link", "show", "lo")
    network.disconnect(ID, ADDRESS)
    assert network.connected() == set()
    assert host_state() == before


def test_connecting_again_keeps_what_is_there(network: Network, container: Make) -> None:
    peer = container()
    network.connect(ID, TENANT, ADDRESS, peer.pid)
    before = ip("link", "show", f"bx{ID}"), ruleset()
    network.connect(ID, TENANT, ADDRESS, peer.pid)
    assert (ip("link", "show", f"bx{ID}"), ruleset()) == before


def test_a_connection_left_half_made_is_made_whole(network: Network, container: Make) -> None:
    peer = container()
    peer("serve_tcp", 8000)
    network.connect(ID, TENANT, ADDRESS, peer.pid)
    peer("run", "ip", "route", "del", "default")
    network.connect(ID, TENANT, ADDRESS, peer.pid)
    assert greets(ADDRESS)


def test_disconnecting_again_and_what_was_never_there(network: Network, container: Make) -> None:
    before = host_state()
    network.disconnect(ID, ADDRESS)
    network.connect(ID, TENANT, ADDRESS, container().pid)
    network.disconnect(ID, ADDRESS)
    network.disconnect(ID, ADDRESS)
    assert host_state() == before


def test_an_address_in_use_is_a_conflict_and_its_owner_stays_connected(
    network: Network, container: Make
) -> None:
    peer = container()
    peer("serve_tcp", 8000)
    network.connect(ID, TENANT, ADDRESS, peer.pid)
    before = host_state()
    with pytest.raises(Conflict, match=r"10\.208\.0\.16 belongs to a running container"):
        network.connect(OTHER_ID, OTHER_TENANT, ADDRESS, container().pid)
    assert host_state() == before
    assert greets(ADDRESS)


def test_a_failure_inside_leaves_nothing(
    network: Network, container: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host_state()
    monkeypatch.setattr(links, "INSIDE", "lo")  # the peer's name is taken in there
    with pytest.raises(HostProblem, match="cannot connect container aaaaaaaaaaaa: File exists"):
        network.connect(ID, TENANT, ADDRESS, container().pid)
    assert host_state() == before


def test_a_process_that_has_ended(network: Network, container: Make) -> None:
    peer = container()
    peer.end()
    with pytest.raises(HostProblem, match="ended before its container was connected"):
        network.connect(ID, TENANT, ADDRESS, peer.pid)


def test_a_process_in_the_hosts_network_is_refused(network: Network) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            with pytest.raises(HostProblem, match="host's own network"):
                network.connect(ID, TENANT, ADDRESS, process.pid)
        finally:
            process.kill()


def test_an_address_whose_container_died_unnoticed_can_be_given_again(
    network: Network, container: Make
) -> None:
    first, second = container(), container()
    network.connect(ID, TENANT, ADDRESS, first.pid)
    ip("link", "del", f"bx{ID}")  # what the kernel does, a little later, when the namespace has ended
    second("serve_tcp", 8000)
    network.connect(OTHER_ID, OTHER_TENANT, ADDRESS, second.pid)
    assert greets(ADDRESS)
    assert ID not in ruleset()
    network.disconnect(ID, ADDRESS)  # late, and of no effect on the new owner
    assert greets(ADDRESS)
    assert network.connected() == {OTHER_ID}


@pytest.mark.parametrize("alias", ["0123456789ab 10.208.0.16", ""])
def test_what_another_version_connected_is_let_through_again(
    network: Network, container: Make, alias: str
) -> None:
    peer = container()
    peer("serve_tcp", 8000)
    network.connect(ID, TENANT, ADDRESS, peer.pid)
    here = Endpoint(ID, TENANT, ADDRESS)
    assert network.keep([here]) == []
    ip("link", "set", f"bx{ID}", "alias", alias)
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    network.apply_base()
    assert not greets(ADDRESS)
    assert network.keep([here, Endpoint(OTHER_ID, OTHER_TENANT, PREFIX[17])]) == [ID]
    assert greets(ADDRESS) and network.tenant_of(ID, ADDRESS) == TENANT


def test_containers_stay_connected_when_the_rules_change_or_are_flushed(
    network: Network, container: Make
) -> None:
    peer = container()
    peer("serve_tcp", 8000)
    network.connect(ID, TENANT, ADDRESS, peer.pid)
    changed = dataclasses.replace(network, egress_allow=[IPv4Network("10.9.0.0/16")])
    changed.apply_base()
    assert "10.9.0.0/16" in ruleset()
    assert greets(ADDRESS)
    with_rules = ruleset()
    subprocess.run(["nft", "flush ruleset"], check=True)
    changed.apply_base()
    assert ruleset() == with_rules
    assert greets(ADDRESS)


def test_connecting_repairs_flushed_rules(network: Network, container: Make) -> None:
    with_rules = ruleset()
    subprocess.run(["nft", "flush ruleset"], check=True)
    network.connect(ID, TENANT, ADDRESS, container().pid)
    network.disconnect(ID, ADDRESS)
    assert ruleset() == with_rules


def test_many_at_once(network: Network, container: Make) -> None:
    peers = [container() for _ in range(6)]
    failures: list[BaseException] = []

    def connect(number: int) -> None:
        try:
            network.connect(f"{number:012x}", TENANT, PREFIX[16 + number], peers[number].pid)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=connect, args=[number]) for number in range(len(peers))]
    for thread in threads:
        thread.start()
    subprocess.run(["nft", "flush ruleset"], check=True)
    network.apply_base()
    for thread in threads:
        thread.join()
    assert failures == []
    listing = ruleset()
    for number, peer in enumerate(peers):
        assert f'"bx{number:012x}" . {PREFIX[16 + number]}' in listing
        assert "default via" in peer("run", "ip", "route")


def test_the_first_packet_arrives(network: Network, container: Make) -> None:
    """Right after `connect` both ends send: a link that is up but not yet active would drop silently."""
    peer, lost = container(), []
    for number in range(60):
        address = PREFIX[16 + number]
        network.connect(ID, TENANT, address, peer.pid)
        try:
            with socket.create_connection((str(address), 9), timeout=0.5):
                pytest.fail("nothing listens there")
        except ConnectionRefusedError:
            pass
        except TimeoutError:
            lost.append(number)
        network.disconnect(ID, address)
    assert lost == []
