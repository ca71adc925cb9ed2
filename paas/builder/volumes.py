"""[volumes] of berth.toml: name = "/path", each a folder that outlives releases. Pure."""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath

from paas.builder.toml_table import Table

MOST = 16
MOST_PATH = 255
_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?")
_PATH = re.compile(r"/[\x21-\x7e]*")
_KERNELS = ("/proc", "/sys", "/dev")
_OURS = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
# An empty folder over one of these hides what every image needs.
_IMAGES = (
    *("/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr", "/usr/bin", "/usr/lib"),
    *("/usr/lib64", "/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/sbin"),
)
Volumes = tuple[tuple[str, str], ...]


def volumes(parent: Table) -> Volumes:
    """(name, path) of each, by path. Errors name line, key and the nearest path that may be."""
    table = parent.table("volumes")
    if len(table.data) > MOST:
        table.document.wrong(table.path, f"has {len(table.data)} volumes", f"an app may have {MOST}")
    found: dict[str, str] = {}
    for name in table.data:
        if not _NAME.fullmatch(name):
            hint = 'use at most 30 lower-case letters, digits and "-": data = "/var/lib/data"'
            table.wrong(name, f"{name[:60]!r} is not a volume's name", hint)
        path = table.text(name, pattern=r"[^\x00]*")
        _check(table, name, path)
        _check_apart(table, name, path, found)
        found[path] = name
    return tuple((name, path) for path, name in sorted(found.items()))


def _check(table: Table, name: str, path: str) -> None:
    plain = posixpath.normpath(f"/{path.strip().lstrip('/')}")
    if path != plain or not _PATH.fullmatch(path) or len(path) > MOST_PATH:
        table.wrong(name, f"{path[:60]!r} is not an absolute path", f'write "{_nearest(plain, name)}"')
    if path == "/":
        table.wrong(name, "nothing can be mounted over /", f'use a folder below it: "/{name}"')
    if any(PurePosixPath(path).is_relative_to(place) for place in _KERNELS):
        table.wrong(name, f"{path} is a place of the kernel's", f'use a folder like "/var/lib/{name}"')
    if file := next((file for file in _OURS if PurePosixPath(path).is_relative_to(file)), None):
        table.wrong(name, f"{file} is a file, written by Berth itself", f'use a folder like "/etc/{name}"')
    if path in _IMAGES:
        table.wrong(name, f"it would hide all of {path}", f'use a folder in it: "{path}/{name}"')


def _nearest(plain: str, name: str) -> str:
    return plain if _PATH.fullmatch(plain) and plain != "/" and len(plain) <= MOST_PATH else f"/var/lib/{name}"


def _check_apart(table: Table, name: str, path: str, others: dict[str, str]) -> None:
    here = PurePosixPath(path)
    for other, whose in others.items():
        if here.is_relative_to(other) or PurePosixPath(other).is_relative_to(here):
            hint = f'use a folder beside it: "{posixpath.dirname(other).rstrip("/")}/{name}"'
            table.wrong(name, f"{path} and {other}, which is {whose}, lie in each other", hint)
