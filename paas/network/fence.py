"""A tenant's fence as elements of the ruleset, what the kernel says of it, and its form on disk: pure."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import get_args

from paas.specs import REFUSALS, Destination, Egress, Fence, Held, Service, Traffic

WEB_PORT = 80  # of every name, whatever port the process itself listens on
# The kernel's bucket holds this beside what a second gives. Without, a slow tenant's would hold less than the
# largest packet, which is 64 KiB before it is cut, and let none by.
BURST = 128 * 1024
_UNITS = {"bytes": 1, "kbytes": 1024, "mbytes": 1024**2}
_POLICY = re.compile(r"0x([0-9a-f]{8}) : goto egress_([a-z]+)")
_RATE = re.compile(r'0x([0-9a-f]{8}) : "([a-z0-9_]+)"')
_LIMIT = re.compile(r"limit (\w+) \{\s+rate over (\d+) ([a-z]+)/second")
_COUNTER = re.compile(r"0x([0-9a-f]{8}) counter packets (\d+) bytes (\d+)")


def mark(tenant: int) -> str:
    return f"0x{tenant:08x}"


def additions(table: str, fence: Fence) -> list[str]:
    return change(table, None, fence)


def change(table: str, before: Fence | None, after: Fence | None) -> list[str]:
    """The commands from one to the other, to be carried out as one transaction; None is no fence at all."""
    old, new = _elements(before), _elements(after)
    old_limit, new_limit = _limit(before), _limit(after)
    lines = [f"delete element inet {table} {text}" for text in old if text not in new]
    if old_limit and old_limit != new_limit:
        lines.append(f"delete limit inet {table} {_limit_name(before)}")
    if new_limit and old_limit != new_limit:
        lines.append(f"add limit inet {table} {new_limit}")
    return lines + [f"add element inet {table} {text}" for text in new if text not in old]


def _elements(fence: Fence | None) -> list[str]:
    if fence is None:
        return []
    tenant = mark(fence.tenant)
    found = [f"policies {{ {tenant} : goto egress_{fence.egress} }}"]
    if fence.egress != "none":
        found.append(f"resolving {{ {tenant} }}")
    if fence.egress == "list":
        found += (f"listed {{ {tenant} . {where} }}" for where in ranges(fence.allowed))
    if fence.rate:
        found.append(f'rates {{ {tenant} : "{_limit_name(fence)}" }}')
    return found + [text for service in fence.services for text in _service(tenant, service)]


def _service(tenant: str, service: Service) -> Iterator[str]:
    yield f"members {{ {service.address} . {tenant} }}"
    if not service.targets:
        return
    yield f"spread {{ {service.address} : goto spread_{len(service.targets)} }}"
    for asked in sorted({WEB_PORT, service.port}):
        for place, target in enumerate(service.targets):
            yield f"targets {{ {service.address} . {asked} . {place:#x} : {target} . {service.port} }}"


def _limit_name(fence: Fence | None) -> str:
    """With its value: a limit cannot be changed, so that another one takes its place."""
    return f"rate_{fence.tenant:08x}_{fence.rate}" if fence else ""


def _limit(fence: Fence | None) -> str:
    if fence is None or not fence.rate:
        return ""
    return f"{_limit_name(fence)} {{ rate over {fence.rate} bytes/second burst {BURST} bytes ; }}"


def ranges(allowed: Sequence[Destination]) -> list[str]:
    """As "network . ports" that do not overlap, which the kernel demands: what is open as a whole is taken out
    of what is open on one port."""
    by_port: dict[int | None, list[IPv4Network]] = defaultdict(list)
    for destination in allowed:
        by_port[destination.port].append(destination.network)
    whole = list(collapse_addresses(by_port.pop(None, [])))
    found = [f"{network} . 0-65535" for network in whole]
    for port in sorted(port for port in by_port if port is not None):
        rest = list(collapse_addresses(by_port[port]))
        for network in whole:
            rest = [piece for part in rest for piece in _without(part, network)]
        found += (f"{network} . {port}" for network in sorted(rest))
    return found


def _without(part: IPv4Network, taken: IPv4Network) -> list[IPv4Network]:
    if part.subnet_of(taken):
        return []
    return list(part.address_exclude(taken)) if taken.subnet_of(part) else [part]


# --- what the kernel says


def held(policies: str, rates: str, limits: str) -> dict[int, Held]:
    """Of each tenant, in nft's listings of the two maps and of all limits."""
    amounts = {name: int(amount) * _UNITS[unit] for name, amount, unit in _LIMIT.findall(limits)}
    by_tenant = {tenant: amounts.get(name, 0) for tenant, name in _RATE.findall(rates)}
    return {
        int(tenant, 16): Held(egress, by_tenant.get(tenant, 0))
        for tenant, found in _POLICY.findall(policies)
        for egress in get_args(Egress)
        if egress == found
    }


def traffic(listings: dict[str, str]) -> dict[int, Traffic]:
    """Of nft's listing of each counted set, by tenant."""
    counts = {name: _counted(text) for name, text in listings.items()}
    tenants = {tenant for found in counts.values() for tenant in found}
    return {
        tenant: Traffic(
            sent=counts["sent"].get(tenant, (0, 0)),
            received=counts["received"].get(tenant, (0, 0)),
            refused=tuple((why, counts[f"refused_{why}"].get(tenant, (0, 0))[0]) for why in REFUSALS),
        )
        for tenant in tenants
    }


def _counted(listing: str) -> dict[int, tuple[int, int]]:
    return {int(tenant, 16): (int(packets), int(size)) for tenant, packets, size in _COUNTER.findall(listing)}


# --- on disk


def to_json(fence: Fence) -> str:
    return json.dumps(
        {
            "tenant": fence.tenant,
            "egress": fence.egress,
            "allowed": [[str(where.network), where.port] for where in fence.allowed],
            "rate": fence.rate,
            "services": [[str(s.address), s.port, [str(t) for t in s.targets]] for s in fence.services],
        }
    )


def from_json(text: str) -> Fence:
    data = json.loads(text)
    return Fence(
        tenant=data["tenant"],
        egress=data["egress"],
        allowed=tuple(Destination(IPv4Network(network), port) for network, port in data["allowed"]),
        rate=data["rate"],
        services=tuple(
            Service(IPv4Address(address), port, tuple(map(IPv4Address, targets)))
            for address, port, targets in data["services"]
        ),
    )
