"""What was last done, as a digest in a file: the reason why a second `bin/up` takes seconds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stamp:
    """Matches while everything that went into the work is the same."""

    path: Path
    digest: str

    @classmethod
    def of(cls, path: Path, *inputs: str) -> Stamp:
        return cls(path, hashlib.sha256("\0".join(inputs).encode()).hexdigest())

    def matches(self) -> bool:
        return self.path.exists() and self.path.read_text() == self.digest

    def set(self) -> None:
        self.path.write_text(self.digest)
