"""Which packages an image holds: Debian's, Python's and Node's, by what their own tools leave in the files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.parser import HeaderParser
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from paas.contents.stack import Stack

Ecosystem = Literal["deb", "pypi", "npm"]
DPKG_STATUS = "var/lib/dpkg/status"
_STATUS_MAX = 32 * 1024 * 1024
_MANIFEST_MAX = 1024 * 1024
# PyPA, "Recording installed projects"; Node's packages are node_modules/name and node_modules/@scope/name.
_PYTHON = re.compile(r"(?:.*/)?(?:site|dist)-packages/[^/]+\.(?:dist-info|egg-info)")
_NODE = re.compile(r"(?:.*/)?node_modules/(?:@[^/]+/)?[^/@.][^/]*")


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """`place` is the folder that holds it, "" for the system's own; `architecture` is Debian's alone."""

    ecosystem: Ecosystem
    name: str
    version: str
    architecture: str = ""
    place: str = ""

    @property
    def purl(self) -> str:
        """https://github.com/package-url/purl-spec"""
        namespace = "debian/" if self.ecosystem == "deb" else ""
        qualifier = f"?arch={self.architecture}" if self.architecture else ""
        version = quote(self.version, safe=":~")
        return f"pkg:{self.ecosystem}/{namespace}{quote(self.name)}@{version}{qualifier}"


def packages(stack: Stack) -> tuple[Package, ...]:
    """Sorted, each once. What a package says of itself is shown as it is, never trusted."""
    found = {*_debian(stack), *_by_folder(stack)}
    return tuple(sorted(found))


def _debian(stack: Stack) -> Iterator[Package]:
    """https://www.debian.org/doc/debian-policy/ch-controlfields.html; only what is fully installed counts."""
    text = (stack.read(DPKG_STATUS, _STATUS_MAX) or b"").decode(errors="replace")
    for paragraph in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and not line.startswith(" ")
        )
        if fields.get("Status") == "install ok installed":
            package = _package("deb", fields.get("Package"), fields.get("Version"))
            if package:
                yield replace(package, architecture=_shown(fields.get("Architecture", ""), 20))


def _by_folder(stack: Stack) -> Iterator[Package]:
    for number, folder in enumerate(stack.folders):
        changes = stack.live and number == len(stack.folders) - 1
        for path in _look_for_marked(folder) if changes else _marked(folder):
            entry = stack.entry(path)
            if entry is None or entry.layer < number:  # removed, or told of by another layer
                continue
            package = _python(stack, path) if _PYTHON.fullmatch(path) else _node(stack, path)
            if package:
                yield package


def _look_for_marked(folder: Path) -> tuple[str, ...]:
    """The folders of one layer that hold a package's own description."""
    with Stack([folder]) as alone:
        paths = (mark.path for mark in alone.marks(0) if mark.is_folder)
        return tuple(path for path in paths if _PYTHON.fullmatch(path) or _NODE.fullmatch(path))


_marked = lru_cache(maxsize=512)(_look_for_marked)  # a layer never changes


def _python(stack: Stack, path: str) -> Package | None:
    for name in ("METADATA", "PKG-INFO"):
        content = stack.read(f"{path}/{name}", _MANIFEST_MAX)
        if content:
            headers = HeaderParser().parsestr(content.decode(errors="replace"), headersonly=True)
            return _package("pypi", headers["Name"], headers["Version"], path)
    return None


def _node(stack: Stack, path: str) -> Package | None:
    content = stack.read(f"{path}/package.json", _MANIFEST_MAX)
    try:
        manifest = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return None
    if not isinstance(manifest, dict):
        return None
    return _package("npm", manifest.get("name"), manifest.get("version"), path)


def _package(ecosystem: Ecosystem, name: object, version: object, path: str = "") -> Package | None:
    if not isinstance(name, str) or not isinstance(version, str) or not name or not version:
        return None
    return Package(ecosystem, _shown(name, 200), _shown(version, 100), place=path.rpartition("/")[0])


def _shown(text: str, most: int) -> str:
    """JSON may hold half a surrogate pair, which nothing that the text goes to can write."""
    return text[:most].encode(errors="replace").decode()
