"""Who waits for whose answer, between containers: the kernel notes of each connection who spoke last.

The set `awaited` has it as its caller does: from which address and port to which. What is left of its time
says how it stands: an hour after the caller said something, two seconds after the app did. A rule that takes it
out at the answer would be simpler, and miss some: the kernel only marks what a packet takes out, and is rid of
it a second later. Until then it takes nothing in where sixteen of the same key lie, as of a quick connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv4Address

from paas.network import nfnetlink
from paas.network.nfnetlink import Element

AWAITED = "awaited"
MOST_SECONDS = 3600  # who said something that is never answered keeps an app awake no longer
# Of a caller that has closed its side: after 60 seconds the kernel forgets such a connection, and with it the
# name that was called, so that what is answered later reaches nobody (nf_conntrack_tcp_timeout_close_wait).
CLOSED_SECONDS = 60
ANSWERED_SECONDS = 2
# Of a connection that both have closed, the app first: the kernel keeps it for half a minute more
# (nf_conntrack_tcp_timeout_last_ack).
BOTH_CLOSED = "31s"
_AT_A_TIME = 500  # of them fit into a message

# The length of TCP's header, in words, says how long a packet without data is. nft 1.0.6 gets wrong, in a pair,
# what is no whole byte (`tcp doff`), and dies of it when it lists the rules: this is that byte.
_EMPTY = ", ".join(f"{20 + 4 * words} . {words << 4:#x}" for words in range(5, 16))
WITHOUT_DATA = f"ip length . @th,96,8 {{ {_EMPTY} }}"


def sets() -> list[tuple[str, list[str]]]:
    """Of a full one the rest is not noted. A tenant's part is bounded by the connections that it may have."""
    key = "type ipv4_addr . inet_service . ipv4_addr . inet_service"
    return [
        (f"set {AWAITED}", [key, "size 262144", "flags dynamic,timeout", f"timeout {MOST_SECONDS // 3600}h"])
    ]


def chains() -> list[tuple[str, list[str]]]:
    """Of a packet from one container to another. To connect asks nothing yet, to acknowledge says nothing."""
    return [
        (
            "chain notice_answer",
            [
                f"tcp flags & (fin | rst) == 0 {WITHOUT_DATA} return",
                _left("ip daddr . tcp dport . ip saddr . tcp sport", ANSWERED_SECONDS),
            ],
        ),
        (
            "chain notice_question",
            [
                "tcp flags & syn != 0 return",
                "ct direction reply goto notice_answer",
                f"tcp flags & rst != 0 {_left(_CALLER, ANSWERED_SECONDS)} return",
                f"tcp flags & fin != 0 ct expiration < {BOTH_CLOSED} {_left(_CALLER, ANSWERED_SECONDS)} return",
                f"tcp flags & fin != 0 {_left(_CALLER, CLOSED_SECONDS)} return",
                f"{WITHOUT_DATA} return",
                # The app has closed its side: the kernel keeps such a connection for as long.
                f"ct expiration < {2 * CLOSED_SECONDS}s {_left(_CALLER, CLOSED_SECONDS)} return",
                _left(_CALLER, MOST_SECONDS),
            ],
        ),
    ]


_CALLER = "ip saddr . tcp sport . ip daddr . tcp dport"


def _left(key: str, seconds: int) -> str:
    return f"update @{AWAITED} {{ {key} timeout {seconds}s }}"


def additions(table: str, kept: Mapping[bytes, float]) -> list[str]:
    """What `read` gave, into a table that is made again, perhaps one of another version's."""
    left = {key: min(round(seconds), MOST_SECONDS) for key, seconds in kept.items()}
    texts = [f"{_text(key)} expires {seconds}s" for key, seconds in sorted(left.items())]
    return [f"add element inet {table} {AWAITED} {{ {', '.join(texts)} }}"] if texts else []


def _text(key: bytes) -> str:
    ends = (key[:8], key[8:])
    return " . ".join(f"{IPv4Address(end[:4])} . {int.from_bytes(end[4:6], 'big')}" for end in ends)


def read(table: str) -> dict[bytes, float]:
    """The connections whose callers wait, with the seconds until they are taken for gone. One look for all
    apps: the kernel finds none by its second half. OSError."""
    return {
        key: left
        for key, left in nfnetlink.keys(table, AWAITED).items()
        if left is not None and left > ANSWERED_SECONDS
    }


def apps(connections: Iterable[bytes]) -> set[IPv4Address]:
    return {IPv4Address(end) for end in {key[8:12] for key in connections}}


def forget(table: str, address: IPv4Address) -> None:
    """What it asked and what it was asked: it has ended, perhaps without a word to the other end. OSError."""
    gone = [Element(AWAITED, key) for key in read(table) if address.packed in (key[:4], key[8:12])]
    for some in _parts(gone):
        try:
            nfnetlink.remove(table, *some)
        except FileNotFoundError:  # the time of one is over just now, and none was taken out
            for one in some:
                with suppress(FileNotFoundError):
                    nfnetlink.remove(table, one)


def _parts(elements: list[Element]) -> Iterator[list[Element]]:
    return (elements[at : at + _AT_A_TIME] for at in range(0, len(elements), _AT_A_TIME))
