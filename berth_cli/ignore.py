"""What of a folder is deployed: all but .git, what .gitignore files ignore and what .dockerignore does."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pathspec import GitIgnoreSpec

ALWAYS_OUT = frozenset({".git", ".berth"})
# As with Docker, the files that steer the build come along even when they are ignored.
ALWAYS_IN = frozenset({"Dockerfile", ".dockerignore", "berth.toml"})


@dataclass(frozen=True, slots=True)
class Rules:
    """A .gitignore and the folder, relative to the root, that its patterns start from."""

    base: PurePosixPath
    spec: GitIgnoreSpec

    def verdict(self, path: PurePosixPath, is_folder: bool) -> bool | None:
        """True: ignored. False: kept by a `!` pattern. None: no pattern speaks of it."""
        name = str(path.relative_to(self.base)) + ("/" if is_folder else "")
        return self.spec.check_file(name).include


def files(root: Path) -> Iterator[PurePosixPath]:
    """Files and links below `root`, sorted, relative to it. Sockets, devices and pipes are left out."""
    docker = _docker_rules(root)
    yield from _walk(root, PurePosixPath(), (), docker)


def _walk(
    root: Path, folder: PurePosixPath, above: tuple[Rules, ...], docker: GitIgnoreSpec | None
) -> Iterator[PurePosixPath]:
    rules = (*above, *_rules_in(root, folder))
    for entry in sorted((root / folder).iterdir()):
        path = folder / entry.name
        mode = entry.lstat().st_mode
        if entry.name in ALWAYS_OUT:
            continue
        if stat.S_ISDIR(mode):
            # .dockerignore's `!` can bring back what is below an ignored folder, .gitignore's cannot.
            if not _git_ignores(path, rules, is_folder=True):
                yield from _walk(root, path, rules, docker)
        elif (stat.S_ISREG(mode) or stat.S_ISLNK(mode)) and (
            str(path) in ALWAYS_IN or not _ignored(path, rules, docker)
        ):
            yield path


def _ignored(path: PurePosixPath, rules: tuple[Rules, ...], docker: GitIgnoreSpec | None) -> bool:
    return _git_ignores(path, rules, is_folder=False) or (docker is not None and docker.match_file(str(path)))


def _git_ignores(path: PurePosixPath, rules: tuple[Rules, ...], *, is_folder: bool) -> bool:
    """The deepest .gitignore that speaks of it decides."""
    verdicts = (rule.verdict(path, is_folder) for rule in reversed(rules))
    return next((verdict for verdict in verdicts if verdict is not None), False)


def _rules_in(root: Path, folder: PurePosixPath) -> tuple[Rules, ...]:
    lines = _lines(root / folder / ".gitignore")
    return (Rules(folder, GitIgnoreSpec.from_lines(lines)),) if lines else ()


def _docker_rules(root: Path) -> GitIgnoreSpec | None:
    """Docker's patterns all start from the root, so each is anchored there."""
    patterns = [_anchored(line.strip()) for line in _lines(root / ".dockerignore")]
    return GitIgnoreSpec.from_lines([p for p in patterns if p]) if any(patterns) else None


def _anchored(line: str) -> str:
    if not line or line.startswith("#"):
        return ""
    negated, pattern = line.startswith("!"), line.removeprefix("!").strip()
    clean = os.path.normpath(pattern).lstrip("/")
    return ("!/" if negated else "/") + clean if clean != "." else ""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        return []
