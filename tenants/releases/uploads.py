"""A request's upload as a stream of chunks: the raw body, or the file of a multipart form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from django.conf import settings
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError

from tenants.checks import bad_field
from tenants.releases.models import Source
from tenants.releases.sources import kind_of, too_large

CHUNK = 256 * 1024
_MULTIPART_MARGIN = 64 * 1024
_KINDS = {
    "application/gzip": Source.Kind.TAR_GZ,
    "application/x-gzip": Source.Kind.TAR_GZ,
    "application/zip": Source.Kind.ZIP,
    "application/x-zip-compressed": Source.Kind.ZIP,
}
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
            hint="Send application/gzip, application/zip, or multipart/form-data with the file in `source`.",
        )
    return _KINDS[content_type], request.GET.get("name", ""), _body(request)


def _body(request: HttpRequest) -> Iterator[bytes]:
    while chunk := request.read(CHUNK):
        yield chunk


def _from_form(request: HttpRequest) -> Upload:
    try:
        file = request.FILES.get("source")
    except MultiPartParserError as error:
        raise bad_field("source", f"the form could not be read: {error}") from None
    if file is None or isinstance(file, list):
        raise bad_field("source", "the form has no file in `source`", hint="Attach a .tar.gz or a .zip.")
    chunks = iter(file.chunks(CHUNK))
    start = next(chunks, b"")
    kind = kind_of(start)
    if kind is None:
        raise bad_field(
            "source", "the file is neither a .tar.gz nor a .zip", hint="Pack the app's folder first."
        )
    return kind, file.name or "", chain([start], chunks)
