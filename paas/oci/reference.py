"""Names of images, as people write them after FROM."""

from __future__ import annotations

import re

from paas.errors import BadInput

_NAME = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_DEFAULT_HOME = re.compile(r"\A(?:docker\.io|index\.docker\.io)/(?:library/)?|\Alibrary/")


def familiar(name: str) -> str:
    """`docker.io/library/debian:12` -> `debian:12`; without a tag, `:latest` is meant."""
    short = _DEFAULT_HOME.sub("", name)
    if ":" not in short.rpartition("/")[2]:
        short += ":latest"
    if len(short) > 200 or not _NAME.fullmatch(short):
        raise BadInput(
            f"{name[:100]!r} is not an image's name", hint='write it as "name:tag", like "debian:12"'
        )
    return short
