from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from paas.network import own_networks

HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"


def table(tmp_path: Path, *rows: tuple[str, str, str, int, str]) -> Path:
    """As on a little-endian machine, which those are that Berth runs on."""
    file = tmp_path / "route"
    lines = (f"{i}\t{number(d)}\t{number(g)}\t{f:04X}\t0\t0\t0\t{number(m)}\t0\t0\t0" for i, d, g, f, m in rows)
    file.write_text(HEAD + "".join(f"{line}   \n" for line in lines))
    return file


def number(dotted: str) -> str:
    return bytes(map(int, reversed(dotted.split(".")))).hex().upper()


def test_what_is_reached_without_a_gateway_is_the_machines_own(tmp_path: Path) -> None:
    routes = table(
        tmp_path,
        ("eth0", "0.0.0.0", "198.51.100.1", 3, "0.0.0.0"),
        ("eth0", "198.51.100.0", "0.0.0.0", 1, "255.255.255.128"),
        ("eth1", "198.51.100.128", "0.0.0.0", 1, "255.255.255.128"),
        ("eth1", "203.0.113.0", "198.51.100.129", 3, "255.255.255.0"),
        ("wg0", "0.0.0.0", "0.0.0.0", 1, "128.0.0.0"),
        ("docker0", "172.17.0.0", "0.0.0.0", 1, "255.255.0.0"),
        ("*", "192.0.2.0", "0.0.0.0", 1, "255.255.255.0"),
        ("bv3ed44daa5980", "192.0.2.16", "0.0.0.0", 5, "255.255.255.255"),
    )
    assert own_networks(routes) == (IPv4Network("198.51.100.0/24"),)


def test_of_this_machine_it_is_read() -> None:
    assert all(isinstance(network, IPv4Network) for network in own_networks())
