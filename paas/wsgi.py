import os
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paas.settings")
_django = get_wsgi_application()


class WholeBody:
    """A request's body of a known length. gunicorn takes a sender who goes for a body that ends, so that the
    first half of an archive would be stored as all of it."""

    def __init__(self, stream: BinaryIO, length: int) -> None:
        self._stream, self._left = stream, length

    def read(self, size: int = -1) -> bytes:
        return self._checked(self._stream.read(self._left if size < 0 else min(size, self._left)), size)

    def readline(self, size: int = -1) -> bytes:
        return self._checked(self._stream.readline(self._left if size < 0 else min(size, self._left)), size)

    def _checked(self, data: bytes, size: int) -> bytes:
        if not data and self._left and size:
            raise ConnectionResetError("the body ended before its Content-Length")
        self._left -= len(data)
        return data


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdecimal():
        environ["wsgi.input"] = WholeBody(environ["wsgi.input"], int(length))
    answer: Iterable[bytes] = _django(environ, start_response)
    return answer
