"""Whether a lock file has what the files beside it ask for, before anything is installed by it. Pure.

The tools compare hashes of the other file (Poetry, Pipenv), made otherwise by other versions of them, or
resolve again (uv). Here each requirement that would be installed is looked for in the lock: what can be told
for sure is refused, all else passes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from paas.builder.buildpacks.python_locks import (
    PIPFILE,
    PIPFILE_LOCK,
    POETRY_LOCK,
    PYPROJECT,
    UV_LOCK,
    normal,
    packages_of,
    read_pipfile_lock,
    read_toml,
    strings,
)
from paas.builder.buildpacks.shape import table, text_of
from paas.builder.tree import Tree
from paas.errors import BadInput

Facts = dict[str, Any]
# The source is read outside the tenant's limits; what is more passes.
_MAX_MEMBERS = _MAX_GROUPS = _MAX_VERSIONS = 50
_MAX_MEMBER = 64 * 1024
_MAX_ASKED = 2000
_MAX_TEXT = 1000
_LOCAL = ("editable", "virtual", "directory")
_ELSEWHERE = {
    *_LOCAL,
    "path",
    "file",
    "git",
    "url",
}  # then the version is what is there, whatever was asked for
_CONDITIONS = {"python", "platform"}  # of Poetry, beside markers
_OF_AN_INDEX = {"version", "markers", "extras", "index"}
_BARE = re.compile(r"\d+(?:\.\d+)*(?:\.\*)?")
_CARET_OR_TILDE = re.compile(r"([\^~])\s*(\d+(?:\.\d+)*)")


@dataclass(frozen=True, slots=True)
class _Asked:
    """`text` as the file has it; `wanted` is any of several ranges, () for whatever version."""

    name: str
    text: str
    wanted: tuple[SpecifierSet, ...] = ()
    extras: frozenset[str] = frozenset()
    marker: str = ""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A file that asks for packages, the lock that is to have them, and what makes it anew."""

    manifest: str
    lock: str
    command: str

    def demand(self, asked: _Asked, versions: Sequence[str]) -> None:
        """One of the versions has to be what is asked for; "" is one that cannot be compared."""
        can_be_told = asked.wanted and "" not in versions and len(versions) <= _MAX_VERSIONS
        if can_be_told and not any(_allows(asked.wanted, version) for version in versions):
            raise self.stale(asked, f"but {self.lock} has {', '.join(versions)[:80]}")

    def lacks(self, asked: _Asked) -> BadInput:
        return self.stale(asked, f"which {self.lock} does not have")

    def stale(self, asked: _Asked, reason: str) -> BadInput:
        text = " ".join(asked.text.split())[:80]
        return BadInput(
            f"{self.manifest} asks for {text}, {reason}",
            hint=f"run `{self.command}` and deploy the new {self.lock}",
            details={"file": self.manifest},
        )


# --- uv
def demand_uv(source: Tree) -> None:
    """uv's lock repeats the requirements that it was made for: the project's, and of others in the source."""
    lock = read_toml(source, UV_LOCK)
    versions: dict[str, list[str]] = {}
    for package in packages_of(lock):
        versions.setdefault(normal(text_of(package, "name")), []).append(text_of(package, "version"))
    without_project = {"metadata": {"requires-dev": table(table(lock, "manifest"), "dependency-groups")}}
    projects: dict[str, Facts] = {PYPROJECT: without_project}
    projects |= {path: package for package in packages_of(lock) if (path := _manifest_of(package))}
    for path, package in list(projects.items())[:_MAX_MEMBERS]:
        if path != PYPROJECT and not _is_small(source, path):
            continue
        declared, metadata = read_toml(source, path), table(package, "metadata")
        pair = _Pair(path, UV_LOCK, "uv lock")
        rows = [*_rows(metadata, "requires-dist"), *_rows(package, "dependencies")]
        _demand_rows(pair, strings(table(declared, "project").get("dependencies")), rows, versions)
        for group in _default_groups(declared)[:_MAX_GROUPS] if path == PYPROJECT else ():
            rows = _rows(_by_normal_name(table(metadata, "requires-dev")), normal(group))
            _demand_rows(pair, _group(declared, group), rows, versions)


def _demand_rows(pair: _Pair, lines: Iterable[str], rows: list[Facts], versions: dict[str, list[str]]) -> None:
    """`rows`: what the lock was made for. One that says the same is enough: overrides may have won over it."""
    by_name: dict[str, list[Facts]] = {}
    for row in rows:
        by_name.setdefault(normal(text_of(row, "name")), []).append(row)
    for asked in filter(None, map(_requirement, islice(lines, _MAX_ASKED))):
        own = by_name.get(asked.name, [])[:_MAX_VERSIONS]
        own = [row for row in own if asked.extras <= _extras((*_list(row, "extras"), *_list(row, "extra")))]
        if not own:
            raise pair.lacks(asked)
        is_same = any(_ranges(text_of(row, "specifier")) == asked.wanted for row in own)
        # A package that no machine of the project's would need has no version.
        if not is_same and not any(row.keys() & _ELSEWHERE for row in own):
            pair.demand(asked, versions.get(asked.name) or [""])


def _manifest_of(package: Facts) -> str:
    """The pyproject.toml of a package in the source, "" for any other."""
    place = table(package, "source")
    folder = next((folder for key in _LOCAL if (folder := text_of(place, key))), "")
    path = posixpath.normpath(posixpath.join(folder, PYPROJECT)) if folder else ""
    return "" if path.startswith(("../", "/")) else path


def _is_small(source: Tree, path: str) -> bool:
    entry = source.entry(path) if source.exists(path) else None
    return entry is not None and entry.kind == "file" and entry.size <= _MAX_MEMBER


def _default_groups(pyproject: Facts) -> list[str]:
    """Those that `uv sync --no-dev` installs."""
    named = table(table(pyproject, "tool"), "uv").get("default-groups")
    groups = list(table(pyproject, "dependency-groups")) if named == "all" else strings(named)
    return [group for group in groups if normal(group) != "dev"]


def _group(pyproject: Facts, name: str) -> Iterator[str]:
    """A group's requirements, with those of the groups that it includes."""
    groups = _by_normal_name(table(pyproject, "dependency-groups"))
    seen: set[str] = set()
    todo = [normal(name)]
    while todo:
        group = todo.pop()
        if group not in seen:
            seen.add(group)
            yield from strings(groups.get(group))
            todo += [normal(text_of(row, "include-group")) for row in _rows(groups, group)]


# --- Poetry
def demand_poetry(source: Tree, python: str) -> None:
    """`python` is the version that it will be: what that does not need may be missing."""
    pair = _Pair(PYPROJECT, POETRY_LOCK, "poetry lock")
    locked: dict[str, list[Facts]] = {}
    for package in packages_of(read_toml(source, POETRY_LOCK)):
        locked.setdefault(normal(text_of(package, "name")), []).append(package)
    done: set[tuple[str, str]] = set()
    for asked in islice(_asked_of_poetry(read_toml(source, PYPROJECT)), _MAX_ASKED):
        if not _applies(asked.marker, python):
            continue
        found = locked.get(asked.name, [])[: _MAX_VERSIONS + 1]
        if not found:
            raise pair.lacks(asked)
        pair.demand(asked, [_version_of(package) for package in found])
        new = {(asked.name, extra) for extra in asked.extras} - done
        done |= new
        lines = (
            line
            for _, extra in new
            for package in found
            for line in strings(table(package, "extras").get(extra))
        )
        brought = filter(None, map(_requirement, lines))
        if any(one.name not in locked and _applies(one.marker, python) for one in brought):
            raise pair.lacks(asked)


def _version_of(package: Facts) -> str:
    return text_of(package, "version") if text_of(table(package, "source"), "type") in ("", "legacy") else ""


def _asked_of_poetry(pyproject: Facts) -> Iterator[_Asked]:
    project = table(pyproject, "project")
    yield from filter(None, map(_requirement, strings(project.get("dependencies"))))
    # With dependencies in [project], those of [tool.poetry] only say more of the same.
    is_static = not {"dependencies", "optional-dependencies"}.isdisjoint(project)
    if is_static and "dependencies" not in strings(project.get("dynamic")):
        return
    for name, value in table(table(table(pyproject, "tool"), "poetry"), "dependencies").items():
        for one in value if isinstance(value, list) else [value]:
            facts = one if isinstance(one, dict) else {"version": one}
            if name != "python" and not facts.get("optional") and not facts.keys() & _CONDITIONS:
                yield _from_table(name, facts)


# --- Pipenv
def demand_pipenv(source: Tree, python: str) -> None:
    pair = _Pair(PIPFILE, PIPFILE_LOCK, "pipenv lock")
    locked = _by_normal_name(table(read_pipfile_lock(source), "default"))
    for name, value in islice(table(read_toml(source, PIPFILE), "packages").items(), _MAX_ASKED):
        facts = value if isinstance(value, dict) else {"version": value}
        asked = _from_table(name, facts)
        # What is not of an index may be locked by another name; other keys are markers ("sys_platform").
        if facts.keys() - _OF_AN_INDEX or not _applies(asked.marker, python):
            continue
        found = locked.get(asked.name)
        if not isinstance(found, dict):
            raise pair.lacks(asked)
        pair.demand(asked, [text_of(found, "version").removeprefix("==").replace("*", "")])


# --- requirements
def _requirement(line: str) -> _Asked | None:
    """None for what is none: it is the tool's to judge."""
    try:
        one = Requirement(line if len(line) <= _MAX_TEXT else "")
    except (ValueError, RecursionError):
        return None
    wanted = (one.specifier,) if one.specifier else ()
    text = line.partition(";")[0].strip()
    return _Asked(normal(one.name), text, wanted, _extras(one.extras), str(one.marker or ""))


def _from_table(name: str, facts: Facts) -> _Asked:
    version = "" if facts.keys() & _ELSEWHERE else text_of(facts, "version")
    extras = strings(facts.get("extras"))
    text = f"{name}[{','.join(extras)}]" if extras else name
    text += f" {version}" if version not in ("", "*") else ""
    return _Asked(normal(name), text, _ranges(version), _extras(extras), text_of(facts, "markers"))


def _ranges(text: str) -> tuple[SpecifierSet, ...]:
    """() for any version, and for what cannot be read."""
    if len(text) > _MAX_TEXT:
        return ()
    try:
        found = tuple(SpecifierSet(_pep440(part)) for part in re.split(r"\|\|?", text))
    except ValueError:
        return ()
    return found if all(found) else ()


def _pep440(text: str) -> str:
    """Poetry's `^1.2`, `~1.2` and `1.2`, where there are any, as PEP 440 writes them."""
    words = [word.strip() for word in text.split(",")]
    return ",".join(f"=={word}" if _BARE.fullmatch(word) else _bounded(word) for word in words if word != "*")


def _bounded(word: str) -> str:
    match = _CARET_OR_TILDE.fullmatch(word)
    if not match:
        return word
    parts = [int(part) for part in match[2].split(".")]
    first = next((n for n, part in enumerate(parts) if part), len(parts) - 1)
    stays = first if match[1] == "^" else min(1, len(parts) - 1)
    above = ".".join(map(str, (*parts[:stays], parts[stays] + 1)))
    return f">={match[2]},<{above}"


def _allows(wanted: Iterable[SpecifierSet], version: str) -> bool:
    try:
        return any(one.contains(version, prereleases=True) for one in wanted)
    except ValueError:
        return True


def _applies(marker: str, python: str) -> bool:
    """Whether this Python on this machine needs it; not if that cannot be told."""
    minor = ".".join(python.split(".")[:2])
    try:
        return not marker or (
            len(marker) <= _MAX_TEXT
            and Marker(marker).evaluate({"python_version": minor, "python_full_version": python})
        )
    except (ValueError, RecursionError):
        return False


def _extras(names: Iterable[str]) -> frozenset[str]:
    return frozenset(map(normal, names))


def _by_normal_name(found: Facts) -> Facts:
    return {normal(name): value for name, value in found.items()}


def _rows(found: Facts, key: str) -> list[Facts]:
    value = found.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _list(found: Facts, key: str) -> tuple[str, ...]:
    return strings(found.get(key))
