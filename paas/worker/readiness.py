"""Whether a container answers, asked from the host over its own address."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address

from paas.errors import CommandFailed
from paas.linux import sockets
from paas.linux.command import Completed
from paas.specs import HealthCheck

ATTEMPT_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.02
LISTENS_SECONDS = 0.002
DEFERRED_SECONDS = 0.2
LINE_MAX = 1024
_REQUEST = "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: berth-readiness\r\nConnection: close\r\n\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r\n]")


def pause(waited: float, check: HealthCheck) -> float:
    """Seconds until the next attempt: readiness is seen late by a twentieth of the wait at most."""
    return min(max(FIRST_PAUSE_SECONDS, waited / 20), check.interval)


def until_it_listens(address: IPv4Address, port: int, seconds: float) -> None:
    """Sleep, but no longer than until something listens where nothing did: most apps are ready when they do.

    An attempt costs the machine far more than a packet that is refused, while the app is just starting on it.
    """
    end, every = time.monotonic() + seconds, max(LISTENS_SECONDS, seconds / 10)
    if _listens(address, port, seconds):
        time.sleep(seconds)
    while (left := end - time.monotonic()) > 0 and not _listens(address, port, left):
        time.sleep(min(every, left))


def _listens(address: IPv4Address, port: int, seconds: float) -> bool:
    try:
        with socket.create_connection((str(address), port), timeout=seconds):
            return True
    except OSError:
        return False


def answers(address: IPv4Address, port: int, check: HealthCheck, pid: int) -> tuple[bool, str]:
    """One attempt: (ready, what was seen), of an app with this process among its own. A path must answer 2xx or
    3xx; without one it will do that a connection is taken."""
    try:
        status = _ask(address, port, check.path, pid)
    except ConnectionRefusedError:
        return False, f"nothing listens on port {port} ($PORT)"
    except TimeoutError:
        missing = "no answer" if check.path else "nobody takes a connection"
        return False, f"{missing} on port {port} within {ATTEMPT_SECONDS:g} s"
    except (OSError, ValueError) as error:
        return False, f"port {port}: {error or type(error).__name__}"
    if status is None:
        return True, f"connections to port {port} are taken"
    return 200 <= status < 400, f"GET {check.path} answered {status}"


def succeeds(execute: Callable[[HealthCheck], Completed], check: HealthCheck) -> tuple[bool, str]:
    """One attempt of the image's own check, which `execute` runs in the container: (ready, what was seen)."""
    try:
        done = execute(check)
    except CommandFailed:
        return False, f"the image's health check did not end within {check.attempt_timeout:g} s"
    if done.status == 0:
        return True, "the image's health check succeeded"
    last = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2][:LINE_MAX]
    return False, f"the image's health check exited with {done.status}{': ' if last else ''}{last}"


def _ask(address: IPv4Address, port: int, path: str | None, pid: int) -> int | None:
    """The status of the answer, None where no more is wanted than that somebody takes the connection.

    The app is a tenant's: its answer may come a byte at a time, or never end. So all of it together has one
    limit in time, and no more than the first line is read. Errors: OSError, ValueError for what is not HTTP.
    """
    end = time.monotonic() + ATTEMPT_SECONDS
    with socket.create_connection((str(address), port), timeout=ATTEMPT_SECONDS) as connection:
        if path is None:
            _wait_until_taken(connection, port, pid, end)
            return None
        connection.sendall(_REQUEST.format(path=path).encode())
        line = b""
        while b"\n" not in line and len(line) < LINE_MAX:
            connection.settimeout(_left(end))
            if not (piece := connection.recv(LINE_MAX)):
                break
            line += piece
    found = _STATUS_LINE.match(line)
    if found is None:
        raise ValueError("it hung up without an answer" if not line else "its answer is not HTTP")
    return int(found[1])


def _wait_until_taken(connection: socket.socket, port: int, pid: int, end: float) -> None:
    """The kernel lets a connection in as soon as somebody listens. That may be a parent whose children are yet
    to load the app, and will fail: it is ready when one of them takes what waits."""
    caller, began = connection.getsockname()[1], time.monotonic()
    while not (taken := sockets.is_accepted(pid, port, caller)):
        waited = time.monotonic() - began
        if taken is None and waited > DEFERRED_SECONDS:  # who is handed none before it says something (tcp(7))
            return
        connection.settimeout(min(max(LISTENS_SECONDS, waited / 20), _left(end)))
        with suppress(TimeoutError):
            connection.recv(1)  # somebody took it who speaks first, or hangs up; one that is gone resets it
            return


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
