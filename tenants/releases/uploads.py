"""A request's upload as a stream of chunks: the raw body, or the file of a multipart form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Protocol

from django.conf import settings
from django.http import HttpRequest, UnreadablePostError
from django.http.multipartparser import MultiPartParserError

from paas.errors import NeedsLength
from tenants.checks import bad_field
from tenants.releases.models import Source
from tenants.releases.sources import kind_of, too_large

CHUNK = 256 * 1024
_MULTIPART_MARGIN = 64 * 1024
_KINDS = {
    "application/gzip": Source.Kind.TAR_GZ,
    "application/x-gzip": Source.Kind.TAR_GZ,
    "application/x-tar": Source.Kind.TAR,
    "application/zip": Source.Kind.ZIP,
    "application/x-zip-compressed": Source.Kind.ZIP,
}


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


Upload = tuple[Source.Kind, str, Iterable[bytes]]


def read_upload(request: HttpRequest) -> Upload:
    """The archive's kind, the name its sender gave it, its bytes. Too large a body is refused unread."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.SOURCE_MAX_BYTES + _MULTIPART_MARGIN:
        raise too_large()
    content_type = (request.content_type or "").lower()
    if content_type == "multipart/form-data":
        return _from_form(request)
    if content_type not in _KINDS:
        raise bad_field(
            "source",
            f"an upload of type {content_type or 'unknown'} cannot be deployed",
            hint="Send application/gzip, x-tar or zip, or multipart/form-data with the file in `source`.",
        )
    return _KINDS[content_type], request.GET.get("name", ""), _body(request)


def _body(request: HttpRequest) -> Iterator[bytes]:
    """Django reads as much as Content-Length says; a chunked body says its end itself (RFC 9112, 7.1)."""
    body: Readable = request.META["wsgi.input"] if _is_chunked(request) else request
    try:
        while chunk := body.read(CHUNK):
            yield chunk
    except OSError as error:  # Django's UnreadablePostError among them
        raise bad_field(
            "source", "the upload ended before all of it was here", hint="Send it again."
        ) from error


def _is_chunked(request: HttpRequest) -> bool:
    """Without a length, and with a server in front that ends `wsgi.input` where the body ends."""
    return not request.META.get("CONTENT_LENGTH") and bool(request.META.get("wsgi.input_terminated"))


def _from_form(request: HttpRequest) -> Upload:
    if _is_chunked(request):
        raise NeedsLength(
            "a form cannot be sent in chunks",
            hint="Send it with a Content-Length, or the archive itself as the body.",
            details={"field": "source"},
        )
    try:
        file = request.FILES.get("source")
    except (MultiPartParserError, UnreadablePostError) as error:
        raise bad_field("source", f"the form could not be read: {error}") from None
    if file is None or isinstance(file, list):
        raise bad_field("source", "the form has no file in `source`", hint="Attach a .tar.gz, .tar or .zip.")
    chunks = iter(file.chunks(CHUNK))
    start = next(chunks, b"")
    kind = kind_of(start)
    if kind is None:
        raise bad_field("source", "the file is no .tar.gz, .tar or .zip", hint="Pack the app's folder first.")
    return kind, file.name or "", chain([start], chunks)
