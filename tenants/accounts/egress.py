"""What a tenant's containers may send out of the machine, as an administrator writes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from paas.specs import Destination
from tenants.accounts.models import Egress, Tenant
from tenants.checks import bad_field

MOST_LISTED = 200
LEAST_RATE = 10_000  # bytes a second; slower than that, a build of anything times out
MOST_RATE = 12_500_000_000  # 100 Gbit/s
_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")))


@dataclass(frozen=True, slots=True)
class Rules:
    """As the columns of Tenant."""

    egress: Egress
    egress_list: tuple[str, ...] = ()
    egress_rate: int = 0

    @classmethod
    def of(cls, tenant: Tenant) -> Rules:
        return cls(Egress(tenant.egress), tuple(tenant.egress_list), tenant.egress_rate)

    def columns(self) -> dict[str, object]:
        return {
            "egress": self.egress.value,
            "egress_list": list(self.egress_list),
            "egress_rate": self.egress_rate,
        }


def destinations(listed: Iterable[str]) -> tuple[Destination, ...]:
    """Of rows, which were checked."""
    return tuple(_destination(text) for text in listed)


def _destination(text: str) -> Destination:
    network, _, port = text.partition(":")
    return Destination(IPv4Network(network), int(port) if port else None)


def check_list(
    texts: Sequence[str], *, operator_allows: Sequence[IPv4Network], own: Sequence[IPv4Network] = ()
) -> tuple[str, ...]:
    """As it is kept: networks in full, each once, in order. BadInput that names the entry.

    A private network, and one of the machine's `own`, is open to nobody unless the operator opens it to
    everybody (BERTH_EGRESS_ALLOW).
    """
    if len(texts) > MOST_LISTED:
        raise _wrong(f"{len(texts)} entries are too many", f"Write at most {MOST_LISTED}.")
    closed = (*_PRIVATE, *own)
    found = {_checked(text.strip(), operator_allows, closed) for text in texts if text.strip()}
    return tuple(_text(destination) for destination in sorted(found, key=lambda d: (d.network, d.port or 0)))


def _checked(text: str, operator_allows: Sequence[IPv4Network], closed: Sequence[IPv4Network]) -> Destination:
    try:
        found = _destination(text)
    except ValueError:
        hint = "Write a network or an address, as 192.0.2.0/24, or with a port, as 192.0.2.7:443. No names."
        raise _wrong(f"{text[:60]!r} is no IPv4 network", hint) from None
    if found.port is not None and not 1 <= found.port <= 65_535:
        raise _wrong(f"{text[:60]!r} has no port that exists", "Ports go from 1 to 65535.")
    if found.port == 25:
        raise _wrong(f"{text}: port 25 is closed to every tenant", "Use a mail service's port 465 or 587.")
    is_closed = any(found.network.subnet_of(network) for network in closed)
    if is_closed and not any(found.network.subnet_of(network) for network in operator_allows):
        hint = "Name it in the setting BERTH_EGRESS_ALLOW as well; that opens it to every tenant that is open."
        what = "a private network, or one that this machine is part of"
        raise _wrong(f"{text} is of {what}, which is closed to all tenants", hint)
    return found


def _text(destination: Destination) -> str:
    return f"{destination.network}:{destination.port}" if destination.port else str(destination.network)


def _wrong(summary: str, hint: str) -> Exception:
    return bad_field("listed", summary, hint=hint)


def check_rate(rate: int) -> None:
    if rate and not LEAST_RATE <= rate <= MOST_RATE:
        least, most = (f"{bytes * 8 / 1_000_000:g}" for bytes in (LEAST_RATE, MOST_RATE))
        raise bad_field("rate", f"choose {least} to {most} Mbit/s, or nothing for no limit")
