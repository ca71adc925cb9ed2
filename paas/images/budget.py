"""A limit on what an archive or a changeset may unpack to, checked while it streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from paas.errors import BadInput
from paas.images.names import shown


def go_on() -> None:
    """What to do while something long is under way, if there is nothing to look at."""


@dataclass(slots=True)
class Budget:
    """Counts bytes of content and entries; going over raises BadInput with the limit and the entry.

    `look` is called each time, and may raise.
    """

    max_bytes: int | None = None
    max_files: int | None = None
    what: str = "archive"
    look: Callable[[], object] = go_on
    bytes: int = 0
    files: int = 0

    def add_file(self, name: str) -> None:
        self.look()
        self.files += 1
        if self.max_files is not None and self.files > self.max_files:
            raise BadInput(
                f"{self.what} holds more than {self.max_files:,} files and folders, at {shown(name)!r}",
                hint="leave out dependencies and caches, or ask an administrator for a higher limit",
                details={"limit": self.max_files, "entry": shown(name)},
            )

    def add_bytes(self, count: int, name: str) -> None:
        self.look()
        self.bytes += count
        if self.max_bytes is not None and self.bytes > self.max_bytes:
            raise BadInput(
                f"{self.what} unpacks to more than {self.max_bytes:,} bytes, at {shown(name)!r}",
                hint="leave out large files, or ask an administrator for a higher limit",
                details={"limit": self.max_bytes, "entry": shown(name)},
            )
