"""The nftables ruleset as text: pure, read by `nft -f`, one transaction each.

One table holds everything and judges only packets from or to Berth's own interfaces; an accept here leaves
the last word to the host's other tables. While a packet is judged its mark says whose it is: the tenant's first
user id, looked up by its address. It is 0 again when the packet goes on, so that no rule of others sees it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from paas.network import asleep, awaited
from paas.network.addresses import host_address, interface_of, services
from paas.network.fence import additions, mark
from paas.network.nfnetlink import Element
from paas.specs import MOST_OF_A_TYPE, REFUSALS, Fence

# What is not the public internet (IANA's special-purpose registry, RFC 6890), multicast and class E.
PRIVATE = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip

# Neither one container nor one tenant may fill the machine's connection table, which is everybody's. The kernel
# walks through all that it counts, for a new connection in each tick: 2 ms for 4,000, 24 ms for 16,000 of them.
# So they are counted in buckets, by a hash of the connection, of so many each. The first to be full refuses: of
# a container at about 4,000 connections, of a tenant at about 13,000.
BUCKETS = 64
FLOWS_PER_CONTAINER = 96
FLOWS_PER_TENANT = 256
NEW_FLOWS_PER_SECOND = 500  # of a tenant; as many again and twice that at once, after a rest
NEW_FLOWS_BURST = 1000

_ICMP_ERRORS = "icmp type { destination-unreachable, time-exceeded, parameter-problem }"
_DYNAMIC = ["size 1048576", "flags dynamic"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What is the same for all tenants: where containers are, what they may reach at the most."""

    container_prefix: IPv4Network
    egress_allow: tuple[IPv4Network, ...] = ()
    resolvers: tuple[IPv4Address, ...] = ()
    closed: tuple[IPv4Network, ...] = ()  # none within another, nor within PRIVATE


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A connected container: an id of 12 hexadecimal digits, its tenant's first user id, its address."""

    container_id: str
    tenant: int
    address: IPv4Address


def table(prefix: str) -> str:
    return f"{prefix}berth"


def version(prefix: str, policy: Policy) -> str:
    """The name of an empty chain that says which ruleset the kernel has."""
    return f"ruleset_{hashlib.sha256(_body(prefix, policy).encode()).hexdigest()[:16]}"


def replace(
    prefix: str,
    policy: Policy,
    endpoints: Iterable[Endpoint],
    fences: Iterable[Fence] = (),
    *,
    sleeping: Iterable[IPv4Address] = (),
    called: Iterable[IPv4Address] = (),
    waiting: Mapping[bytes, float] | None = None,
) -> str:
    """The whole table with its elements, in place of whatever was there."""
    lines = [
        drop_table(prefix).rstrip(),
        f"table inet {table(prefix)} {{",
        f"\tchain {version(prefix, policy)} {{ }}",
        _body(prefix, policy),
        "}",
        *(add(prefix, endpoint).rstrip() for endpoint in endpoints),
        *(line for fence in fences for line in additions(table(prefix), fence)),
        *asleep.additions(table(prefix), sleeping, called),
        *awaited.additions(table(prefix), waiting or {}),
    ]
    return "\n".join(lines) + "\n"


def drop_table(prefix: str) -> str:
    """Remove the table, there or not: nft 1.0.6 has no `destroy`."""
    return f"add table inet {table(prefix)}\ndelete table inet {table(prefix)}\n"


def add(prefix: str, endpoint: Endpoint) -> str:
    """Let one container's packets in. Adding it again changes nothing."""
    return "".join(f"add element inet {table(prefix)} {text}\n" for text in elements(prefix, endpoint))


def elements(prefix: str, endpoint: Endpoint) -> list[str]:
    """What lets its packets in: of each set or map the element, as nftables lists it too."""
    address, tenant = endpoint.address, mark(endpoint.tenant)
    return [
        f'bindings {{ "{interface_of(prefix, endpoint.container_id)}" . {address} }}',
        f"tenants {{ {address} : {tenant} }}",
        f"members {{ {address} . {tenant} }}",
    ]


def packed(prefix: str, endpoint: Endpoint) -> tuple[Element, Element, Element]:
    """The same as the kernel has them: a name fills sixteen bytes, a mark is a number of this machine's."""
    address, tenant = endpoint.address.packed, endpoint.tenant.to_bytes(4, sys.byteorder)
    return (
        binding(prefix, endpoint.container_id, endpoint.address),
        Element("tenants", address, tenant),
        Element("members", address + tenant),
    )


def binding(prefix: str, container_id: str, address: IPv4Address) -> Element:
    """That the container has the address."""
    return Element("bindings", interface_of(prefix, container_id).encode().ljust(16, b"\0") + address.packed)


def tenant_in(found: Element) -> int:
    """Of an element of `tenants`."""
    return int.from_bytes(found.data, sys.byteorder)


def _body(prefix: str, policy: Policy) -> str:
    blocks = [
        ("set bindings", ["type ifname . ipv4_addr"]),
        ("map tenants", ["type ipv4_addr : mark"]),
        ("set members", ["type ipv4_addr . mark"]),  # services too
        ("map policies", ["type mark : verdict"]),
        ("set resolving", ["type mark"]),
        ("set listed", ["type mark . ipv4_addr . inet_service", "flags interval"]),
        ("map rates", ["type mark : limit"]),
        ("map spread", ["type ipv4_addr : verdict"]),
        ("map targets", ["type ipv4_addr . inet_service . mark : ipv4_addr . inet_service"]),
        ("set flows", ["type ipv4_addr . classid", *_DYNAMIC]),
        ("set tenant_flows", ["type mark . classid", *_DYNAMIC]),
        *((f"set {name}", ["type mark", *_DYNAMIC]) for name in PER_TENANT),
        *asleep.sets(),
        *awaited.sets(),
        *((f"chain refuse_{reason}", _refuse(reason)) for reason in REFUSALS),
        ("chain notice_from", asleep.notice_from()),
        ("chain notice_to", asleep.notice_to(prefix)),
        *awaited.chains(),
        ("chain leave", _leave()),
        ("chain received_by", _received_by()),
        ("chain arrive", ["jump received_by", "accept"]),
        ("chain new_flows", _new_flows()),
        ("chain dns", _dns(policy.resolvers)),
        ("chain egress_open", _egress_open(policy)),
        ("chain egress_list", _egress_list()),
        ("chain egress_none", ["goto refuse_policy"]),
        ("chain between", _between()),
        ("chain egress", _egress(policy)),
        ("chain ingress", _answers("arrive", "drop")),
        ("chain answer", _answers("leave", "goto refuse_closed")),
        *((f"chain spread_{number}", _spread(number)) for number in range(1, MOST_OF_A_TYPE + 1)),
        ("chain translate", _translate()),
        ("chain prerouting", _prerouting(prefix)),
        ("chain services", _services(prefix, policy)),
        ("chain unserved", _unserved(prefix, policy)),
        ("chain input", _input(prefix)),
        ("chain output", _output(prefix)),
        ("chain forward", _forward(prefix)),
        ("chain postrouting", _postrouting(prefix, policy)),
    ]
    return "\n".join(
        f"\t{name} {{\n" + "".join(f"\t\t{line}\n" for line in body) + "\t}" for name, body in blocks
    )


COUNTED = ("sent", "received", *(f"refused_{reason}" for reason in REFUSALS))
PER_TENANT = ("tenant_pace", *COUNTED)  # sets that packets fill, an element a tenant


def _refuse(reason: str) -> list[str]:
    """Said at once where a tenant's own policy forbids it; what it has no business with gets no answer."""
    count = f"update @refused_{reason} {{ meta mark counter }}"
    if reason != "policy":
        return [count, "drop"]
    return [count, "meta l4proto tcp reject with tcp reset", "reject with icmpx admin-prohibited"]


def _leave() -> list[str]:
    """Out of the machine: to the internet, or as an answer to whoever asked through the ingress."""
    return [
        "limit name meta mark map @rates goto refuse_rate",
        "update @sent { meta mark counter }",
        "meta mark set 0",
        "jump notice_from",
        "accept",
    ]


def _received_by() -> list[str]:
    return [
        "meta mark set ip daddr map @tenants",
        "update @received { meta mark counter }",
        "meta mark set 0",
        "jump notice_to",
    ]


def _new_flows() -> list[str]:
    """The packet's priority says its bucket for a moment: nft 1.0.6 takes no hash in an element."""
    pace = f"limit rate over {NEW_FLOWS_PER_SECOND}/second burst {NEW_FLOWS_BURST} packets"
    refuse = "goto refuse_connections"
    return [
        f"add @tenant_pace {{ meta mark {pace} }} {refuse}",
        f"meta priority set jhash ip daddr . th sport . th dport mod {BUCKETS}",
        f"add @flows {{ ip saddr . meta priority ct count over {FLOWS_PER_CONTAINER} }} {refuse}",
        f"add @tenant_flows {{ meta mark . meta priority ct count over {FLOWS_PER_TENANT} }} {refuse}",
        "meta priority set 0:0",
    ]


def _dns(resolvers: Sequence[IPv4Address]) -> list[str]:
    if not resolvers:
        return []
    servers = _one_of(sorted(set(resolvers)))
    return [f"meta mark @resolving ip daddr {servers} meta l4proto {{ tcp, udp }} th dport 53 goto leave"]


def _egress_open(policy: Policy) -> list[str]:
    allowed = list(collapse_addresses(policy.egress_allow))
    return [
        *([f"ip daddr {_one_of(allowed)} goto leave"] if allowed else []),
        f"ip daddr {_one_of((*PRIVATE, *policy.closed))} goto refuse_closed",
        "goto leave",
    ]


def _egress_list() -> list[str]:
    """What is named, where the operator has not closed it."""
    return [
        "meta l4proto { tcp, udp } meta mark . ip daddr . th dport @listed goto egress_open",
        "goto refuse_policy",
    ]


def _between() -> list[str]:
    """From one container to another: by a service's address only, and by one of the same tenant's."""
    return [
        "ct state invalid drop",
        "ip daddr . meta mark != @members goto refuse_closed",
        "ct status & dnat == 0 goto refuse_closed",
        "ct state new jump new_flows",
        "meta mark set 0",
        "jump notice_from",
        "jump notice_to",
        "jump notice_question",
        "accept",
    ]


def _egress(policy: Policy) -> list[str]:
    """From a container out of the machine. No packet passes because an earlier one did: a policy that changes
    ends what is under way."""
    return [
        "ct state invalid drop",
        f"ip daddr {policy.container_prefix} goto refuse_closed",
        "tcp dport 25 goto refuse_closed",
        "ct state new jump new_flows",
        "jump dns",
        "meta mark vmap @policies",
        "goto refuse_policy",
    ]


def _answers(passing: str, otherwise: str) -> list[str]:
    return [
        f"ct direction reply ct state established goto {passing}",
        f"ct state related {_ICMP_ERRORS} goto {passing}",
        otherwise,
    ]


def _spread(number: int) -> list[str]:
    """To one of so many containers; the mark is the place of the one that was drawn."""
    place = f"numgen random mod {number}" if number > 1 else "0"
    return [f"meta mark set {place}", "dnat ip to ip daddr . tcp dport . meta mark map @targets"]


def _translate() -> list[str]:
    return ["meta mark set ip saddr map @tenants", "ip daddr . meta mark @members ip daddr vmap @spread"]


def _prerouting(prefix: str) -> list[str]:
    """Before connection tracking: what a container may not say at all leaves no trace."""
    return [
        "type filter hook prerouting priority raw - 10; policy accept;",
        f'iifname "{prefix}*" meta nfproto ipv6 drop',
        f'iifname "{prefix}*" iifname . ip saddr != @bindings drop',
    ]


def _services(prefix: str, policy: Policy) -> list[str]:
    return [
        "type nat hook prerouting priority dstnat; policy accept;",
        f'iifname "{prefix}*" ip daddr {services(policy.container_prefix)} meta l4proto tcp jump translate',
    ]


def _unserved(prefix: str, policy: Policy) -> list[str]:
    """What still has a service's address leads nowhere. The answer is the same whether the service has no
    container, is another tenant's, or is none."""
    here = f'iifname "{prefix}*" ip daddr {services(policy.container_prefix)}'
    return [
        "type filter hook prerouting priority dstnat + 5; policy accept;",
        f'iifname "{prefix}*" ct state new ct status & dnat != 0 meta mark set 0',
        f"{here} meta l4proto tcp reject with tcp reset",
        f"{here} reject with icmpx port-unreachable",
    ]


def _input(prefix: str) -> list[str]:
    """To the host itself: answers, and the resolver where it is one of the host's own addresses."""
    return [
        "type filter hook input priority filter - 10; policy accept;",
        f'iifname "{prefix}*" meta mark set ip saddr map @tenants',
        f'iifname "{prefix}*" jump dns',
        f'iifname "{prefix}*" goto answer',
    ]


def _output(prefix: str) -> list[str]:
    return [
        "type filter hook output priority filter - 10; policy accept;",
        f'oifname "{prefix}*" jump received_by',
    ]


def _forward(prefix: str) -> list[str]:
    return [
        "type filter hook forward priority filter - 10; policy accept;",
        f'iifname "{prefix}*" meta mark set ip saddr map @tenants',
        f'iifname "{prefix}*" oifname "{prefix}*" goto between',
        f'iifname "{prefix}*" goto egress',
        f'oifname "{prefix}*" goto ingress',
    ]


def _postrouting(prefix: str, policy: Policy) -> list[str]:
    """Out of the machine as the host; and a container that calls its own service hears the host call, because
    it would take a packet from its own address for a forgery."""
    return [
        "type nat hook postrouting priority srcnat; policy accept;",
        f'ip saddr {policy.container_prefix} oifname != "{prefix}*" masquerade',
        f"oifname . ip saddr @bindings snat ip to {host_address(policy.container_prefix)}",
    ]


def _one_of(items: Sequence[IPv4Address] | Sequence[IPv4Network]) -> str:
    return f"{{ {', '.join(str(item) for item in items)} }}"
