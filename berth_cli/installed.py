"""What package managers put into a folder, and a build puts there anew: seen while it is packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from berth_cli.output import size

_NODE = "node_modules"
_VENV = "pyvenv.cfg"  # PEP 405
_MOST_NAMES = 3


@dataclass(slots=True)
class Installed:
    """`folders` are the outermost ones that were seen; `files` and `bytes` what is in them."""

    root: Path
    folders: list[PurePosixPath] = field(default_factory=list)
    files: int = 0
    bytes: int = 0

    def see(self, path: PurePosixPath, files: int, content: int) -> None:
        """In the order of packing: a folder comes right before what is in it."""
        if self.folders and path.is_relative_to(self.folders[-1]):
            self.files += files
            self.bytes += content
        elif not files and (path.name == _NODE or (self.root / path / _VENV).is_file()):
            self.folders.append(path)

    def note(self) -> str:
        """Empty where there is none of it. It is not left out by itself: a Dockerfile may want it."""
        if not self.files:
            return ""
        lines = dict.fromkeys(f"{_NODE if folder.name == _NODE else folder}/" for folder in self.folders)
        return (
            f"Of that, {self.files:,} files ({size(self.bytes)}) are in {_listed(self.folders)}, which a build "
            f"installs anew. Unless your Dockerfile copies it, leave it out: add {_listed(list(lines))} to "
            ".gitignore."
        )


def _listed(names: Sequence[object]) -> str:
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(map(str, names[:_MOST_NAMES])) + more
