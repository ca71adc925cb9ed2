"""A build's log, read as it grows."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from tenants.releases.models import Build

MOST_BYTES = 256 * 1024
ENDED = (Build.Status.SUCCEEDED, Build.Status.FAILED, Build.Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class Piece:
    """`done`: the build has ended and `next_offset` is the log's end."""

    data: bytes
    next_offset: int
    done: bool


def build_log_size(build: Build) -> int:
    path = settings.PATHS.build_log(build.pk)
    return path.stat().st_size if path.exists() else len(without_file(build))


def without_file(build: Build) -> bytes:
    """The log of a build that no worker was needed for, who would have written one: what its row says."""
    if build.unchanged_since is None:
        return b""
    what = "neither the source nor the images that it is made from"
    return f"Nothing changed since v{build.unchanged_since}, {what}: nothing is built.\n".encode()


def read_build_log(build: Build, offset: int) -> Piece:
    """Up to 256 KiB from byte `offset`. Ask again from `next_offset` until `done`.

    `build` was fetched before the file is read, so a log that ended meanwhile is not cut short: `done` is
    told by the next call.
    """
    path = settings.PATHS.build_log(build.pk)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(min(offset, size))
            data = file.read(MOST_BYTES)
    except FileNotFoundError:
        text = without_file(build)
        return Piece(text[offset:], len(text), done=build.status in ENDED)
    following = min(offset, size) + len(data)
    return Piece(data, following, done=build.status in ENDED and following >= size)
