"""Reach what a tenant should not reach: `python3 network.py ATTACK JSON`. Says what came of it in JSON."""

from __future__ import annotations

import errno
import fcntl
import json
import socket
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

PATIENCE = 1.0  # seconds; everything that is asked is on this very machine
Told = dict[str, object]


def answer(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except TimeoutError:
        return "silence"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def reach(targets: str) -> Told:
    """Each "ADDRESS PORT": what a connection comes to, all at once."""
    wanted = [tuple(target) for target in json.loads(targets)]

    def connect(target: tuple[str, int]) -> str:
        return answer(lambda: socket.create_connection(target, PATIENCE).close())

    with ThreadPoolExecutor(max(1, len(wanted))) as pool:
        return {
            f"{address} {port}": said
            for (address, port), said in zip(wanted, pool.map(connect, wanted), strict=True)
        }


def names(wanted: str) -> Told:
    """What a name leads to."""
    return {name: answer(lambda name=name: socket.getaddrinfo(name, 80)) for name in json.loads(wanted)}  # type: ignore[misc]


def raw(_: str) -> Told:
    """Every way to send what the kernel has not addressed itself, or to have more than the one address."""
    kinds = {"packet": (17, 3, 768), "packet, cooked": (17, 2, 768), "raw": (2, 3, 255), "icmp": (2, 3, 1),
             "raw ipv6": (10, 3, 255)}  # fmt: skip
    told: Told = {name: answer(lambda kind=kind: socket.socket(*kind).close()) for name, kind in kinds.items()}  # type: ignore[misc]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        told["foreign source"] = answer(lambda: plain.bind(("192.0.2.7", 0)))
        told["transparent"] = answer(lambda: plain.setsockopt(socket.SOL_IP, 19, 1))
        told["bind to device"] = answer(lambda: plain.setsockopt(socket.SOL_SOCKET, 25, b"lo\0"))
        told["mark"] = answer(lambda: plain.setsockopt(socket.SOL_SOCKET, 36, 1))
        name = b"eth0".ljust(16, b"\0")
        address = struct.pack("16sH2s4s8x", name, socket.AF_INET, b"\0\0", socket.inet_aton("10.99.0.1"))
        told["address"] = answer(lambda: fcntl.ioctl(plain, 0x8916, address))
        told["arp"] = answer(lambda: fcntl.ioctl(plain, 0x8955, bytes(68)))
        told["hardware address"] = answer(
            lambda: fcntl.ioctl(plain, 0x8924, struct.pack("16sH14s", name, 1, b"\2" * 6))
        )
        told["flags"] = answer(lambda: fcntl.ioctl(plain, 0x8914, struct.pack("16sH14x", name, 0x43)))
        told["route"] = answer(lambda: fcntl.ioctl(plain, 0x890B, bytes(120)))
    told["netlink"] = _netlink()
    return told


def _netlink() -> list[str]:
    """Of a new link, address, neighbour, route, rule, queue discipline: what the kernel says."""
    bodies = {16: 16, 20: 8, 28: 12, 24: 12, 32: 12, 36: 20}
    said = []
    with socket.socket(16, 3, 0) as link:
        for kind, length in bodies.items():
            link.send(struct.pack("IHHII", 16 + length, kind, 0x605, 1, 0) + bytes(length))
            (number,) = struct.unpack_from("i", link.recv(4096), 16)
            said.append(errno.errorcode.get(-number, "done"))
    return said


def main() -> None:
    print(json.dumps(globals()[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else "")), flush=True)


if __name__ == "__main__":
    main()
