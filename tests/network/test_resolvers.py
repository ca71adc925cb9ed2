from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from paas.network.resolvers import host_resolvers, resolv_conf


def test_resolv_conf() -> None:
    servers = [IPv4Address(f"192.0.2.{n}") for n in (1, 2, 3, 4)]
    assert resolv_conf(servers) == (
        "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\noptions timeout:2 attempts:2\n"
    )


def test_without_a_resolver_there_is_only_the_option_line() -> None:
    assert resolv_conf([]) == "options timeout:2 attempts:2\n"


def test_host_resolvers_are_those_a_container_can_reach(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# nameserver 192.0.2.9\n; nameserver 192.0.2.8\nsearch example.org\nnameserver\n"
        "nameserver 127.0.0.53\nnameserver 0.0.0.0\nnameserver 2001:db8::1\nnameserver fe80::1%eth0\n"
        "nameserver 192.0.2.1\nnameserver  192.0.2.2 # second\nnameserver 192.0.2.1\n"
    )
    assert host_resolvers([file]) == (IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2"))


def test_the_first_file_with_a_usable_one_counts(tmp_path: Path) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\n")
    real.write_text("nameserver 192.0.2.1\n")
    assert host_resolvers([tmp_path / "absent", stub, real]) == (IPv4Address("192.0.2.1"),)
    assert host_resolvers([stub]) == ()
