"""Other firewalls on the host, and how Berth's packets get through them.

A packet that one table accepts is still judged by every other, and a firewall that drops what it does not know
(Docker makes iptables' FORWARD such a chain, ufw too) knows nothing of containers. So in each chain on the
forward hook that ends by dropping, two rules are put just before that end: what the operator has forbidden by a
rule stays forbidden, only the chain's last word is not for us. They accept by interface alone, because our own
table has judged the packet before, and they are written so that iptables can list them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from paas.network import nfnetlink, nft

FIREWALLD = "firewalld"  # its zones end in a reject of their own, in chains that it goes to
_RULE = re.compile(r"^\t\t(?P<text>.*) # handle (?P<handle>\d+)$", re.MULTILINE)
_END = re.compile(r"(counter packets \d+ bytes \d+ )?(drop|reject( with .*)?)")


@dataclass(frozen=True, slots=True)
class Rule:
    text: str
    handle: int


@dataclass(frozen=True, slots=True)
class Chain:
    """A base chain on the forward hook that is not ours."""

    family: str
    table: str
    name: str
    drops: bool  # by its policy
    rules: tuple[Rule, ...]

    @property
    def place(self) -> str:
        return f"{self.family} {self.table} {self.name}"


def let_pass(prefix: str, own_table: str) -> bool:
    """Put in the rules that are missing; False if none was."""
    lines = [line for chain in chains(own_table) for line in missing(prefix, chain)]
    if lines:
        nft.demand("\n".join(lines) + "\n")
    return bool(lines)


def withdraw(prefix: str, own_table: str) -> None:
    """Take out every rule of ours. None there is fine."""
    lines = [line for chain in chains(own_table) for line in ours(prefix, chain)]
    if lines:
        nft.demand("\n".join(lines) + "\n")


def somebody_else_forwards(own_table: str) -> bool:
    """Whether another program has rules for what this host forwards, and so needs forwarding."""
    return any(chain.hook == nfnetlink.FORWARD and chain.table != own_table for chain in nfnetlink.chains())


def chains(own_table: str) -> Iterator[Chain]:
    for chain in nfnetlink.chains():
        if chain.hook == nfnetlink.FORWARD and chain.table != own_table:
            place = f"{chain.family} {chain.table} {chain.name}"
            listing = nft.run(f"list chain {place}\n", flags=nft.HANDLES).output
            yield Chain(chain.family, chain.table, chain.name, chain.drops, tuple(rules(listing)))


def rules(listing: str) -> Iterator[Rule]:
    for found in _RULE.finditer(listing):
        if not found["text"].startswith("type "):
            yield Rule(found["text"].strip(), int(found["handle"]))


def missing(prefix: str, chain: Chain) -> list[str]:
    """The commands that a chain needs: pure."""
    if any(_comment(prefix) in rule.text for rule in chain.rules):
        return []
    if chain.table == FIREWALLD:
        where = f"insert rule {chain.place}"
    elif chain.rules and _END.fullmatch(chain.rules[-1].text):
        where = f"insert rule {chain.place} handle {chain.rules[-1].handle}"
    elif chain.drops:
        where = f"add rule {chain.place}"
    else:
        return []
    ways = (f'{way} "{prefix}*" counter accept comment {_comment(prefix)}' for way in ("iifname", "oifname"))
    return [f"{where} {way}" for way in ways]


def ours(prefix: str, chain: Chain) -> list[str]:
    mine = [rule for rule in chain.rules if _comment(prefix) in rule.text]
    return [f"delete rule {chain.place} handle {rule.handle}" for rule in mine]


def _comment(prefix: str) -> str:
    return f'"berth {prefix}"'
