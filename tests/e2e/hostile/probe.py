"""Ask one page at a fixed pace over one kept connection, whatever becomes of it: one line for each request.

Run as `python probe.py PORT HOST PATH SECONDS NAME`. A line is NAME, when the request was due (by
CLOCK_MONOTONIC), the seconds from then to the whole answer, and the status: 0 where there was none.
The pace does not wait for answers (an open loop), so that a page that stands still for a second is late with
each request of that second.
"""

from __future__ import annotations

import http.client
import socket
import sys
import time

PATIENCE = 15.0


def status(connection: http.client.HTTPConnection, host: str, path: str) -> int:
    try:
        connection.request("GET", path, headers={"Host": host})
        if connection.sock:
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()  # the next request opens it again
        return 0
    return answer.status


def main() -> None:
    port, host, path, pace, name = sys.argv[1:]
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=PATIENCE)
    due = time.monotonic()
    while True:
        found = status(connection, host, path)
        print(name, due, time.monotonic() - due, found, flush=True)
        due = max(
            due + float(pace), time.monotonic() - PATIENCE
        )  # what nobody waits for any longer is not asked
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
