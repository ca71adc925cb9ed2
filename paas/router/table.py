"""The routes, as a folder: what changes while Caddy runs, and without its knowing.

Each load of a configuration, however small the change, makes Caddy's server anew and hangs up on every visitor
who holds a connection at that moment: a request that is on its way then is lost. So the configuration stays as
it is (render), and Caddy looks each host up here: `<host>/` is a folder, the name of a file in it says where
requests go, and nothing is ever inside the file.

    hello-acme.localhost/0123456789abcdef=10.210.0.16:8000,10.210.0.17:8000
    other-acme.localhost/none                                                     an app that is not running

A name has room for few upstreams, so that an app with many has several files, each for some of sixteen digits;
Caddy draws a digit for each request. What is new is made before what was there is removed: a request that looks
in between finds at least one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.errors import BadInput
from paas.router.names import host, upstream
from paas.specs import Route

DIGITS = "0123456789abcdef"
NONE = "none"
MOST_IN_A_NAME = 11  # of 21 bytes at most, behind 17, in a name of 255


def files_of(upstreams: Sequence[str]) -> frozenset[str]:
    """The names in a host's folder: pure. Errors: BadInput."""
    if not upstreams:
        return frozenset((NONE,))
    dials = sorted({upstream(text) for text in upstreams})
    groups = -(-len(dials) // MOST_IN_A_NAME)
    if groups > len(DIGITS):
        most = MOST_IN_A_NAME * len(DIGITS)
        raise BadInput(f"an app can have {most} web containers at most", hint="give each more memory instead")
    return frozenset(f"{DIGITS[at::groups]}={','.join(dials[at::groups])}" for at in range(groups))


@dataclass(frozen=True, slots=True)
class Table:
    """The folder of all hosts; Caddy may read it, and only we write it. One writer at a time."""

    folder: Path

    def write(self, routes: Iterable[Route], of: str = "") -> bool:
        """Make it say what `routes` do, and nothing else, of the hosts whose names end in `of`. True if that
        changed anything."""
        wanted = {host(name): files_of(route.upstreams) for route in routes for name in route.hosts}
        self.folder.mkdir(mode=0o755, exist_ok=True)
        gone = {name for name in _names(self.folder) - wanted.keys() if name.endswith(of.lower())}
        changed = [self._fill(name, files) for name, files in wanted.items()]
        for name in gone:
            self._fill(name, frozenset())
            (self.folder / name).rmdir()
        return any(changed) or bool(gone)

    def _fill(self, name: str, wanted: frozenset[str]) -> bool:
        place = self.folder / name
        try:
            there = _names(place)
        except FileNotFoundError:
            place.mkdir(mode=0o755)
            there = frozenset()
        for file in wanted - there:
            (place / file).touch(mode=0o444)
        for file in there - wanted:
            (place / file).unlink()
        return there != wanted


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir())
