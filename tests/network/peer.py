"""A machine in a network namespace of its own, driven over a pipe: one JSON request a line, one answer a line.

Run as `python -I -S peer.py`. It tries what a tenant with root inside its container could try.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PATIENCE = 0.4  # seconds; everything here is one memory copy away


def tcp(address: str, port: int, source: str | None = None) -> str:
    """ "connected" with what the server said, or why not."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        if source:
            sock.bind((source, 0))
        try:
            sock.connect((address, port))
            return sock.recv(100).decode()
        except OSError as error:
            return type(error).__name__


def udp(address: str, port: int, source: str | None = None) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        if source:
            sock.bind((source, 0))
        try:
            sock.sendto(b"?", (address, port))
            return sock.recv(100).decode()
        except OSError as error:
            return type(error).__name__


def raw_udp(source: str, address: str, port: int) -> str:
    """Send a datagram with a source address of our own choice."""
    payload = f"claims to be {source}".encode()
    datagram = struct.pack("!HHHH", 9, port, 8 + len(payload), 0) + payload
    ends = socket.inet_aton(source) + socket.inet_aton(address)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 1, 0, 64, socket.IPPROTO_UDP, 0) + ends
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        try:
            sock.sendto(header + datagram, (address, 0))
        except OSError as error:
            return type(error).__name__
    return "sent"


heard: list[str] = []
held: list[socket.socket] = []


def serve_tcp(port: int) -> None:
    """Greet whoever connects with the address that they seem to come from."""
    server = socket.create_server(("", port))

    def loop() -> None:
        while True:
            connection, peer = server.accept()
            heard.append(peer[0])
            with connection:
                connection.sendall(peer[0].encode())

    threading.Thread(target=loop, daemon=True).start()


def serve_udp(port: int, address: str = "") -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, port))

    def loop() -> None:
        while True:
            data, peer = server.recvfrom(100)
            heard.append(data.decode())
            server.sendto(peer[0].encode(), peer)

    threading.Thread(target=loop, daemon=True).start()


def serve_http(port: int, pages: dict[str, list[str]]) -> None:
    """Each path's answer as [status line, headers, body]; who asked is heard."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.client_address[0]} {self.path}")
            status, headers, body = pages.get(self.path, ["404 Not Found", "", ""])
            data = body.encode()
            head = f"HTTP/1.0 {status}\r\n{headers}Content-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("", port), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def serve_echo(port: int) -> None:
    """Say back whatever is said, after our own address."""
    server = socket.create_server(("", port))

    def talk(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(100):
                connection.sendall(connection.getsockname()[0].encode() + b" " + data)

    def loop() -> None:
        while True:
            threading.Thread(target=talk, args=[server.accept()[0]], daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()


def serve_slow(port: int) -> None:
    """Say back whatever is said, at once or as many seconds later as it begins with; "0 bye" is the last."""
    server = socket.create_server(("", port))

    def talk(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(100):
                time.sleep(float(data.split()[0]))
                connection.sendall(data)
                if data == b"0 bye":
                    return

    def loop() -> None:
        while True:
            threading.Thread(target=talk, args=[server.accept()[0]], daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()


def serve_sink(port: int, backlog: int | None = None) -> None:
    """Take what is sent, and say how many bytes it was when the sender is done."""
    server = socket.create_server(("", port), backlog=backlog)

    def take(connection: socket.socket) -> None:
        with connection:
            size = 0
            while data := connection.recv(1 << 16):
                size += len(data)
            connection.sendall(str(size).encode())

    def loop() -> None:
        while True:
            threading.Thread(target=take, args=[server.accept()[0]], daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()


def pour(address: str, port: int, seconds: float) -> tuple[int, float]:
    """Send as much as goes in so many seconds: bytes that arrived, and how long that really took."""
    with socket.create_connection((address, port), timeout=30) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        began, piece = time.monotonic(), bytes(1 << 14)
        while time.monotonic() - began < seconds:
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        arrived = int(sock.recv(100))
        return arrived, time.monotonic() - began


def hold(address: str, port: int) -> str:
    """Open a connection that stays."""
    held.append(socket.create_connection((address, port), timeout=PATIENCE))
    return "held"


def say(text: str) -> str:
    """On the latest connection that is held: the answer, or why there is none."""
    try:
        held[-1].sendall(text.encode())
        return held[-1].recv(100).decode()
    except OSError as error:
        return type(error).__name__


def ask(text: str) -> str:
    """On the latest connection that is held; `hear` gets the answer."""
    held[-1].sendall(text.encode())
    return "asked"


def hear(seconds: float) -> str:
    held[-1].settimeout(seconds)
    return held[-1].recv(100).decode()


def end(how: str) -> str:
    """Of the latest connection that is held: "half" of it, or by "abort"."""
    if how == "half":
        held[-1].shutdown(socket.SHUT_WR)
    else:
        held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        held.pop().close()
    return "ended"


def spray(address: str, port: int, number: int) -> str:
    """So many datagrams, each a flow of its own."""
    for _ in range(number):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"?", (address, port))
    return "sprayed"


def has_heard() -> list[str]:
    return list(heard)


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def start(*argv: str) -> int:
    """A process of its own, which nobody waits for: its id, as it is here."""
    # Popen would wait for those whose objects are gone, whenever it starts another.
    return os.spawnv(os.P_NOWAIT, argv[0], argv)


def write(path: str, text: str) -> None:
    Path(path).write_text(text)


def read(path: str) -> str:
    return Path(path).read_text().strip()


ACTIONS: dict[str, Callable[..., object]] = {
    "tcp": tcp,
    "udp": udp,
    "raw_udp": raw_udp,
    "serve_tcp": serve_tcp,
    "serve_udp": serve_udp,
    "serve_http": serve_http,
    "serve_echo": serve_echo,
    "serve_slow": serve_slow,
    "serve_sink": serve_sink,
    "pour": pour,
    "hold": hold,
    "say": say,
    "ask": ask,
    "hear": hear,
    "end": end,
    "spray": spray,
    "has_heard": has_heard,
    "run": run,
    "start": start,
    "write": write,
    "read": read,
}


def main() -> None:
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer: object = ACTIONS[name](*arguments)
        except OSError as error:
            answer = type(error).__name__
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
