"""What every tenant's fence is, in the run folder: one file each. The rules are made again from them.

Rows are the truth, and gone from reach while the database is; the fences of what runs must hold all the same.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from paas.network import fence
from paas.specs import Fence


@dataclass(frozen=True, slots=True)
class Fences:
    folder: Path

    def all(self) -> list[Fence]:
        if not self.folder.is_dir():
            return []
        files = sorted(file for file in self.folder.iterdir() if file.suffix == ".json")
        return [fence.from_json(file.read_text()) for file in files]

    def tenants(self) -> list[int]:
        """Whose there are, by the files' names."""
        return [int(file.stem) for file in self.folder.glob("*.json")]

    def of(self, tenant: int) -> Fence | None:
        try:
            return fence.from_json(self._file(tenant).read_text())
        except FileNotFoundError:
            return None

    def has(self, tenant: int) -> bool:
        return self._file(tenant).exists()

    def keep(self, wanted: Fence) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._file(wanted.tenant)
        new = file.with_suffix(f".{os.getpid()}")
        new.write_text(fence.to_json(wanted))
        new.replace(file)

    def forget(self, tenant: int) -> None:
        self._file(tenant).unlink(missing_ok=True)

    def forget_all(self) -> None:
        if self.folder.is_dir():
            for file in self.folder.iterdir():
                file.unlink()
            self.folder.rmdir()

    def _file(self, tenant: int) -> Path:
        return self.folder / f"{tenant}.json"
