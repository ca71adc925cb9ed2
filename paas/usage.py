"""What apps and the machine used over the last hour, for charts: a short list in Valkey for each.

Not a record: it goes when the broker is emptied, and a page does without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import redis
import structlog

from paas.live import client

log = structlog.get_logger()
EVERY = 10.0  # seconds from one point to the next
SPAN = 3600.0
MACHINE = "machine"  # the name of the machine's own list; an app's is its id
Point = list[int]  # seconds since 1970, bytes of memory, thousandths of a core


def remember(at: float, used: Mapping[str, tuple[int, int]]) -> None:
    """Add a point of (bytes, thousandths of a core) to the list of each name."""
    with client().pipeline(transaction=False) as pipe:
        for name, amounts in used.items():
            pipe.rpush(_key(name), json.dumps([int(at), *amounts]))
            pipe.ltrim(_key(name), -int(SPAN / EVERY), -1)
            pipe.expire(_key(name), int(SPAN))
        pipe.execute()


def history(name: str) -> list[Point]:
    """Oldest first; none if there is none, or Valkey does not answer."""
    try:
        rows = client().lrange(_key(name), 0, -1)
    except redis.RedisError as error:
        log.warning("usage.unreachable", name=name, error=str(error))
        return []
    return [json.loads(row) for row in rows]


def _key(name: str) -> str:
    return f"usage:{name}"
