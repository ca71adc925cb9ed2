"""Whether the rules in the kernel are Berth's own, rule for rule: as nftables shows them, against how it shows
the same ruleset in a network namespace where nothing else is."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from paas.network import nft, plan
from paas.network.plan import Endpoint, Policy

CLONE_NEWNET = 0x40000000
_BLOCK = re.compile(r"^\t((?:chain|set|map) \S+) \{\n(.*?)^\t\}$", re.MULTILINE | re.DOTALL)
_libc = ctypes.CDLL(None, use_errno=True)


def drift(prefix: str, policy: Policy) -> str:
    """What is missing or different, in words; "" if nothing. A block that is not of ours can only forbid more:
    an accept in one chain leaves the last word to the others of its hook."""
    found, wanted = blocks(_listed(prefix)), _wanted(prefix, policy)
    if not found:
        return f"there is no nftables table {plan.table(prefix)}"
    wrong = sorted(name for name, body in wanted.items() if found.get(name) != body)
    return f"the nftables table {plan.table(prefix)} lacks rules: {', '.join(wrong[:4])}" if wrong else ""


def shut_out(prefix: str, endpoints: Iterable[Endpoint]) -> list[str]:
    """The ids of those that the rules do not let through."""
    there = {
        f"{name} {{ {element} }}"
        for kind, name in (("set", "bindings"), ("map", "tenants"), ("set", "members"))
        for element in elements(nft.demand(f"list {kind} inet {plan.table(prefix)} {name}\n"))
    }
    return [it.container_id for it in endpoints if not there.issuperset(plan.elements(prefix, it))]


def elements(listing: str) -> list[str]:
    """Of one set or map."""
    _, _, rest = listing.partition("elements = {")
    return re.split(r",\s+", rest.partition("}")[0].strip())


def blocks(listing: str) -> dict[str, str]:
    """`chain egress` -> what is in it, of a listing without elements and counts."""
    return dict(_BLOCK.findall(listing))


@cache
def _wanted(prefix: str, policy: Policy) -> dict[str, str]:
    """In a thread, which has a network namespace for itself and takes it along when it ends."""
    with ThreadPoolExecutor(1, thread_name_prefix="rules") as aside:
        return blocks(aside.submit(_made_aside, prefix, policy).result())


def _made_aside(prefix: str, policy: Policy) -> str:
    if _libc.unshare(CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"unshare: {os.strerror(code)}")
    nft.demand(plan.replace(prefix, policy, ()))
    return _listed(prefix)


def _listed(prefix: str) -> str:
    return nft.run(f"list table inet {plan.table(prefix)}\n", flags=nft.STATELESS | nft.TERSE).output
