"""`<store>-names/<name>`: names of base images, each the digest of a manifest.

Beside the store, which is closed: they are the machine's, no secret, and the web process asks for their meaning
(tenants.releases.unchanged).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from paas.errors import NotFound
from paas.images.durable import TEMPORARY, write_file
from paas.oci.digest import hex_of
from paas.oci.reference import familiar, tag_file


def names_of(store: Path) -> Path:
    return store.with_name(f"{store.name}-names")


@dataclass(frozen=True, slots=True)
class Tags:
    folder: Path

    def put(self, name: str, digest: str) -> None:
        hex_of(digest)
        write_file(self._path(name), digest.encode(), mode=0o644)

    def get(self, name: str) -> str:
        """The digest that the name stands for, however Docker's users spell the name."""
        try:
            return self._path(name).read_text()
        except FileNotFoundError:
            known = ", ".join(sorted(tag for tag, _ in self.all())) or "none"
            short = familiar(name)
            raise NotFound(
                f"no base image is called {short!r}",
                hint=f"this machine has: {known}; one of a registry is asked for by its whole name, "
                f"{'docker.io/' if '/' in short else 'docker.io/library/'}{short}",
            ) from None

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def all(self) -> Iterator[tuple[str, str]]:
        for path in self.folder.iterdir():
            if not path.name.startswith(TEMPORARY):
                yield unquote(path.name), path.read_text()

    def _path(self, name: str) -> Path:
        return self.folder / tag_file(name)
