"""Names of images, as people write them after FROM."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from paas.errors import BadInput
from paas.oci.digest import is_digest

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


def tag_file(name: str) -> str:
    """What the file is called that says what a base image's name means; BadInput as above."""
    return quote(familiar(name), safe="")


# --- images in registries (distribution/reference: the grammar that Docker's users know)
_HOST = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?::[0-9]{1,5})?", re.ASCII
)
_PATH = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
DOCKER_HUB = "docker.io"


@dataclass(frozen=True, slots=True)
class Reference:
    """`registry.example:5000/shop/web:v1` by its parts. Either `tag` or `digest` is set."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.host}/{self.path}" + (f"@{self.digest}" if self.digest else f":{self.tag}")


def names_registry(name: str) -> bool:
    """Whether it begins with a registry's host, as Docker tells: with a dot, a port, or localhost."""
    first, slash, _ = name.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def is_host(text: str) -> bool:
    """Whether a registry can be called so."""
    return len(text) <= 255 and names_registry(f"{text}/") and _HOST.fullmatch(text) is not None


def parse_reference(name: str) -> Reference:
    """BadInput unless it is an image in a registry, with the host. Without a tag, `latest` is meant."""
    rest, at, digest = name.partition("@")
    host, _, path = rest.partition("/")
    tag, colon = "", ""
    if ":" in path.rpartition("/")[2]:
        path, colon, tag = path.rpartition(":")
    if host == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    whole = len(name) <= 300 and names_registry(rest) and _HOST.fullmatch(host) and _PATH.fullmatch(path)
    if not whole or (colon and not _TAG.fullmatch(tag)) or (at and not is_digest(digest)):
        raise BadInput(
            f"{name[:100]!r} is not an image in a registry",
            hint='write it with its host: "registry.example/shop:v1" or "docker.io/library/redis:7"',
        )
    # Docker ignores the tag beside a digest.
    return Reference(host, path, digest=digest) if at else Reference(host, path, tag or "latest")
