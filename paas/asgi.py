"""The streams' entry. Each lives for as long as a page is open, and all look at the database again and again.

Django gives every request under ASGI a thread for its synchronous code, and with it a connection to the
database: a PostgreSQL server of the usual size would be full with a hundred open pages. So a few threads of
ours serve all requests. One request stays with one thread, which runs one call at a time.
"""

import itertools
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paas.settings")
THREADS = 4

_django = get_asgi_application()
_threads = itertools.cycle([ThreadPoolExecutor(1, "database") for _ in range(THREADS)])


async def application(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    async with ThreadSensitiveContext(executor=next(_threads)):
        await _django(scope, receive, send)
