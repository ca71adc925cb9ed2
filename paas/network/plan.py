"""The nftables ruleset as text: pure, read by `nft -f`, one transaction each.

One table holds everything and judges only packets from or to Berth's own interfaces; an accept here
leaves the last word to the host's other tables. A tenant's id is 48 bits and a packet mark 32, so
"same tenant" is looked up in two halves of 24 bits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from paas.network.addresses import interface_of

# What is not the public internet (IANA's special-purpose registry, RFC 6890), multicast and class E.
PRIVATE = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip

# One container may not fill the machine's connection table, which is everybody's.
FLOWS_PER_CONTAINER = 4096

_ICMP_ERRORS = "icmp type { destination-unreachable, time-exceeded, parameter-problem }"


@dataclass(frozen=True, slots=True)
class Policy:
    """What containers may reach. `same_tenant` opens containers of one tenant to each other."""

    container_prefix: IPv4Network
    egress_allow: tuple[IPv4Network, ...] = ()
    resolvers: tuple[IPv4Address, ...] = ()
    same_tenant: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A connected container: ids of 12 hexadecimal digits."""

    container_id: str
    tenant_id: str
    address: IPv4Address


def table(prefix: str) -> str:
    return f"{prefix}berth"


def version(prefix: str, policy: Policy) -> str:
    """The name of an empty chain that says which ruleset the kernel has."""
    return f"ruleset_{hashlib.sha256(_body(prefix, policy).encode()).hexdigest()[:16]}"


def replace(prefix: str, policy: Policy, endpoints: Iterable[Endpoint]) -> str:
    """The whole table with its elements, in place of whatever was there."""
    lines = [
        drop_table(prefix).rstrip(),
        f"table inet {table(prefix)} {{",
        f"\tchain {version(prefix, policy)} {{ }}",
        _body(prefix, policy),
        "}",
        *(add(prefix, endpoint).rstrip() for endpoint in endpoints),
    ]
    return "\n".join(lines) + "\n"


def drop_table(prefix: str) -> str:
    """Remove the table, there or not: nft 1.0.6 has no `destroy`."""
    return f"add table inet {table(prefix)}\ndelete table inet {table(prefix)}\n"


def add(prefix: str, endpoint: Endpoint) -> str:
    """Let one container's packets in. Adding it again changes nothing."""
    return "".join(f"add element inet {table(prefix)} {text}\n" for text in _elements(prefix, endpoint))


def remove(prefix: str, endpoint: Endpoint) -> str:
    """The opposite of `add`, for an endpoint that is there as a whole."""
    return "".join(f"delete element inet {table(prefix)} {text}\n" for text in _elements(prefix, endpoint))


def look_up(prefix: str, container_id: str, address: IPv4Address) -> str:
    """Ask whether the container has `address`, and for the two halves of its tenant; fails where it has not."""
    name = table(prefix)
    return (
        f'get element inet {name} bindings {{ "{interface_of(prefix, container_id)}" . {address} }}\n'
        f"get element inet {name} tenant_high {{ {address} }}\n"
        f"get element inet {name} tenant_low {{ {address} }}\n"
    )


def tenant_in(answer: str) -> str | None:
    """The tenant's id in nft's answer to `look_up`."""
    halves = re.findall(r": 0x00([0-9a-f]{6})\b", answer)
    return "".join(halves) if len(halves) == 2 else None


def _elements(prefix: str, endpoint: Endpoint) -> list[str]:
    address, tenant = endpoint.address, endpoint.tenant_id
    high, low = f"0x{tenant[:6]}", f"0x{tenant[6:]}"
    return [
        f'bindings {{ "{interface_of(prefix, endpoint.container_id)}" . {address} }}',
        f"tenant_high {{ {address} : {high} }}",
        f"tenant_low {{ {address} : {low} }}",
        f"member_high {{ {address} . {high} }}",
        f"member_low {{ {address} . {low} }}",
    ]


def _body(prefix: str, policy: Policy) -> str:
    blocks = [
        ("set bindings", ["type ifname . ipv4_addr"]),
        ("map tenant_high", ["type ipv4_addr : mark"]),
        ("map tenant_low", ["type ipv4_addr : mark"]),
        ("set member_high", ["type ipv4_addr . mark"]),
        ("set member_low", ["type ipv4_addr . mark"]),
        ("set flows", ["type ipv4_addr", "size 65535", "flags dynamic"]),
        ("chain dns", _dns(policy.resolvers)),
        ("chain between", _between(policy.same_tenant)),
        ("chain egress", _egress(policy)),
        ("chain ingress", _ingress()),
        ("chain prerouting", _prerouting(prefix)),
        ("chain input", _input(prefix)),
        ("chain forward", _forward(prefix)),
        ("chain postrouting", _postrouting(prefix, policy)),
    ]
    return "\n".join(
        f"\t{name} {{\n" + "".join(f"\t\t{line}\n" for line in body) + "\t}" for name, body in blocks
    )


def _dns(resolvers: Sequence[IPv4Address]) -> list[str]:
    if not resolvers:
        return []
    return [f"ip daddr {_one_of(sorted(set(resolvers)))} meta l4proto {{ tcp, udp }} th dport 53 accept"]


def _between(same_tenant: bool) -> list[str]:
    """From one container to another."""
    if not same_tenant:
        return ["drop"]
    halves = (
        f"meta mark set ip saddr map @tenant_{half} ip daddr . meta mark @member_{half}"
        for half in ("high", "low")
    )
    return [f"{' '.join(halves)} accept", "drop"]


def _egress(policy: Policy) -> list[str]:
    """From a container out of the machine."""
    allowed = list(collapse_addresses(policy.egress_allow))
    return [
        "ct state established accept",
        f"ct state related {_ICMP_ERRORS} accept",
        "ct state invalid drop",
        f"ip daddr {policy.container_prefix} drop",
        f"ct state new add @flows {{ ip saddr ct count over {FLOWS_PER_CONTAINER} }} drop",
        "jump dns",
        "tcp dport 25 drop",
        *([f"ip daddr {_one_of(allowed)} accept"] if allowed else []),
        f"ip daddr {_one_of(PRIVATE)} drop",
        "accept",
    ]


def _ingress() -> list[str]:
    """To a container, from the host's input hook or from outside: answers only."""
    return [
        "ct direction reply ct state established accept",
        f"ct state related {_ICMP_ERRORS} accept",
        "drop",
    ]


def _prerouting(prefix: str) -> list[str]:
    """Before connection tracking: what a container may not say at all leaves no trace."""
    return [
        "type filter hook prerouting priority raw - 10; policy accept;",
        f'iifname "{prefix}*" meta nfproto ipv6 drop',
        f'iifname "{prefix}*" iifname . ip saddr != @bindings drop',
    ]


def _input(prefix: str) -> list[str]:
    """To the host itself: answers, and the resolver where it is one of the host's own addresses."""
    return [
        "type filter hook input priority filter - 10; policy accept;",
        f'iifname "{prefix}*" jump dns',
        f'iifname "{prefix}*" goto ingress',
    ]


def _forward(prefix: str) -> list[str]:
    return [
        "type filter hook forward priority filter - 10; policy accept;",
        f'iifname "{prefix}*" oifname "{prefix}*" goto between',
        f'iifname "{prefix}*" goto egress',
        f'oifname "{prefix}*" goto ingress',
    ]


def _postrouting(prefix: str, policy: Policy) -> list[str]:
    return [
        "type nat hook postrouting priority srcnat; policy accept;",
        f'ip saddr {policy.container_prefix} oifname != "{prefix}*" masquerade',
    ]


def _one_of(items: Sequence[IPv4Address] | Sequence[IPv4Network]) -> str:
    return f"{{ {', '.join(str(item) for item in items)} }}"
