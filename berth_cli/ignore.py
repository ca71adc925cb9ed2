"""What of a folder is deployed: all but .git, what .gitignore files ignore and what .dockerignore does."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pathspec import GitIgnoreSpec

ALWAYS_OUT = frozenset({".git", ".berth"})
CONFIG, DOCKERFILE, DOCKERIGNORE = "berth.toml", "Dockerfile", ".dockerignore"
# What may name another Dockerfile, and a folder that it sees: the server reads these.
OTHERS = ("heroku.yml", "captain-definition")


@dataclass(frozen=True, slots=True)
class Rules:
    """A .gitignore and the folder, relative to the root, that its patterns start from."""

    base: PurePosixPath
    spec: GitIgnoreSpec

    def verdict(self, path: PurePosixPath, is_folder: bool) -> bool | None:
        """True: ignored. False: kept by a `!` pattern. None: no pattern speaks of it."""
        name = str(path.relative_to(self.base)) + ("/" if is_folder else "")
        return self.spec.check_file(name).include


@dataclass(frozen=True, slots=True)
class Docker:
    """As with Docker, the files that steer the build come along even when they are ignored (`wanted`)."""

    ignored: GitIgnoreSpec | None
    wanted: frozenset[str]

    def ignores(self, path: PurePosixPath) -> bool:
        return self.ignored is not None and self.ignored.match_file(str(path))


def entries(root: Path) -> Iterator[PurePosixPath]:
    """Files, links and folders below `root`, sorted, relative to it; a folder comes before what is in it, and
    not if all of that is ignored. Sockets, devices and pipes are left out."""
    yield from _walk(root, PurePosixPath(), (), _docker(root))


def _walk(
    root: Path, folder: PurePosixPath, above: tuple[Rules, ...], docker: Docker
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
                yield from _folder(root, path, rules, docker)
        elif (stat.S_ISREG(mode) or stat.S_ISLNK(mode)) and (
            str(path) in docker.wanted or not _ignored(path, rules, docker)
        ):
            yield path


def _folder(
    root: Path, folder: PurePosixPath, rules: tuple[Rules, ...], docker: Docker
) -> Iterator[PurePosixPath]:
    inside = _walk(root, folder, rules, docker)
    first = next(inside, None)
    if first is not None:
        yield folder
        yield first
        yield from inside
    elif not any((root / folder).iterdir()) and not docker.ignores(folder):
        yield folder


def _ignored(path: PurePosixPath, rules: tuple[Rules, ...], docker: Docker) -> bool:
    return _git_ignores(path, rules, is_folder=False) or docker.ignores(path)


def _git_ignores(path: PurePosixPath, rules: tuple[Rules, ...], *, is_folder: bool) -> bool:
    """The deepest .gitignore that speaks of it decides."""
    verdicts = (rule.verdict(path, is_folder) for rule in reversed(rules))
    return next((verdict for verdict in verdicts if verdict is not None), False)


def _rules_in(root: Path, folder: PurePosixPath) -> tuple[Rules, ...]:
    lines = _lines(root / folder / ".gitignore")
    return (Rules(folder, GitIgnoreSpec.from_lines(lines)),) if lines else ()


def _docker(root: Path) -> Docker:
    """Docker's patterns all start from the root, so each is anchored there. Where it is not certain here which
    Dockerfile counts, the server alone leaves out what is ignored."""
    named = _dockerfile(root)
    wanted = frozenset({named or DOCKERFILE, DOCKERFILE, DOCKERIGNORE, CONFIG})
    if not named and any((root / name).exists() for name in OTHERS):
        return Docker(None, wanted)
    own = f"{named or DOCKERFILE}{DOCKERIGNORE}"  # takes the place of the root's
    lines = _lines(root / own) if (root / own).exists() else _lines(root / DOCKERIGNORE)
    patterns = [pattern for line in lines if (pattern := _anchored(line.strip()))]
    return Docker(GitIgnoreSpec.from_lines(patterns) if patterns else None, wanted | {own})


def _dockerfile(root: Path) -> str:
    """What berth.toml names; "" where it names none, or cannot be read: the server says what is wrong."""
    try:
        named = tomllib.loads("\n".join(_lines(root / CONFIG)))["build"]["dockerfile"]
    except (tomllib.TOMLDecodeError, KeyError, TypeError):
        return ""
    return os.path.normpath(named) if isinstance(named, str) and named else ""


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
