"""What Python's dependency files say: pure readings of requirements, pyproject.toml and the lock files.

Lock files of Poetry and Pipenv hold all that an install needs (versions, markers, hashes), so they are written
out as requirements for uv; neither tool is installed, nor resolves anything again.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from paas.builder.buildpacks.shape import table, text_of
from paas.builder.tree import Tree
from paas.errors import BadInput

PYPROJECT, POETRY_LOCK, UV_LOCK = "pyproject.toml", "poetry.lock", "uv.lock"
PIPFILE, PIPFILE_LOCK = "Pipfile", "Pipfile.lock"
_LOCKED_BY = {UV_LOCK: "uv lock", POETRY_LOCK: "poetry lock"}
MAX_LOCK = 4 * 1024 * 1024
_MAX_EDGES = 50_000
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_EXTRAS = re.compile(rf"{_NAME.pattern}\s*\[([^\]]*)\]")
_PLACE = re.compile(r"(?:-e|--editable|-f|--find-links)[\s=]*(\S+)")
_AT = re.compile(rf"{_NAME.pattern}\s*(?:\[[^\]]*\])?\s*@\s*(?P<path>\S+)")
_ARCHIVES = (".whl", ".tar.gz", ".zip")
# What goes into a requirements file has to be one word of it, whatever the lock file was made by.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_HASH = re.compile(r"[a-z0-9]{1,16}:[0-9a-f]{32,128}")


@dataclass(frozen=True, slots=True)
class Exported:
    """`text` is a requirements file; `files` those that it was made from, the lock file last."""

    text: str
    files: tuple[str, ...]
    names: set[str]
    all_hashed: bool  # and pinned: uv may refuse what is not. Hashes that are there are checked in any case


def normal(name: str) -> str:
    """As PEP 503 compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


# --- names and versions
def names_in_requirements(source: Tree, files: Iterable[str]) -> set[str]:
    lines = (line for file in files for line in (source.text(file, MAX_LOCK) or "").splitlines())
    return _names(lines)


def names_in_pyproject(source: Tree) -> set[str]:
    project = table(read_toml(source, PYPROJECT), "project")
    return _names(word for word in project.get("dependencies", ()) if isinstance(word, str))


def names_in_lock(source: Tree, name: str) -> set[str]:
    return {normal(text_of(package, "name")) for package in packages_of(read_toml(source, name))}


def _names(lines: Iterable[str]) -> set[str]:
    """Of `channels[daphne]>=4` both "channels" and "channels[daphne]"."""
    found: set[str] = set()
    for line in lines:
        if match := _NAME.match(line):
            found.add(normal(match[1]))
        if match := _EXTRAS.match(line):
            found |= {f"{normal(match[1])}[{normal(extra.strip())}]" for extra in match[2].split(",")}
    return found


# --- what is in the source itself
def local_requirement(source: Tree, files: Iterable[str]) -> str:
    """Where requirements name something of the source ("requirements.txt, line 2: './lib'"), "" if nowhere."""
    for file in files:
        for number, line in enumerate((source.text(file, MAX_LOCK) or "").splitlines(), 1):
            path = _local_path(re.sub(r"(^|\s)#.*", "", line).strip())
            if path:
                return f"{file}, line {number}: {path[:60]!r}"
    return ""


def _local_path(line: str) -> str:
    """The path that a line of a requirements file has pip take a package from, or packages, or ""."""
    option = _PLACE.match(line)
    if option:
        return "" if "://" in option[1] else option[1]
    named = _AT.match(line)
    word = re.split(r"[\s;]", named["path"] if named else line, maxsplit=1)[0]
    if word.startswith("file:"):
        return word
    is_path = word.startswith(".") or "/" in word or word.endswith(_ARCHIVES)
    return word if is_path and "://" not in word and not word.startswith("-") else ""


def local_in_uv_lock(source: Tree) -> str:
    for package in packages_of(read_toml(source, UV_LOCK)):
        facts = table(package, "source")
        path = next(
            (p for key in ("editable", "directory", "path", "virtual") if (p := text_of(facts, key))), "."
        )
        if path != ".":
            return f"{UV_LOCK}: {path[:60]!r}"
    return ""


def local_in_pyproject(source: Tree) -> str:
    """Also for dependencies that only the project's own build tool can tell."""
    pyproject = read_toml(source, PYPROJECT)
    for name, facts in table(table(table(pyproject, "tool"), "uv"), "sources").items():
        if isinstance(facts, dict) and ("path" in facts or "workspace" in facts):
            return f"{PYPROJECT}: {name[:60]!r}"
    dynamic = "dependencies" in strings(table(pyproject, "project").get("dynamic"))
    return f"{PYPROJECT}: what its dynamic dependencies are read from" if dynamic else ""


def required_python(source: Tree) -> Iterator[tuple[str, str, str]]:
    """(file, key, range) of each file that says which Python the project needs."""
    pyproject = read_toml(source, PYPROJECT)
    found = text_of(table(pyproject, "project"), "requires-python")
    if found:
        yield PYPROJECT, "requires-python", found
    found = text_of(table(table(table(pyproject, "tool"), "poetry"), "dependencies"), "python")
    if found:
        yield PYPROJECT, "python", found
    requires = table(table(read_pipfile_lock(source), "_meta"), "requires")
    found = text_of(requires, "python_version")
    if found:
        yield PIPFILE_LOCK, "python_version", found


def read_toml(source: Tree, name: str) -> dict[str, Any]:
    """{} when it is not there. Raises BadInput for what is no TOML."""
    text = source.text(name, MAX_LOCK) if source.exists(name) else None
    try:
        return tomllib.loads(text or "")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        again = _LOCKED_BY.get(name)
        hint = f"make it again: `{again}`" if again else "it must be TOML"
        raise BadInput(f"{name}: {error}", hint=hint, details={"file": name}) from error


# --- lock files as requirements
def exported(source: Tree) -> Exported | None:
    if source.exists(POETRY_LOCK) and source.exists(PYPROJECT):
        return _exported(_poetry(source), (PYPROJECT, POETRY_LOCK))
    if source.exists(PIPFILE_LOCK):
        files = (PIPFILE, PIPFILE_LOCK) if source.exists(PIPFILE) else (PIPFILE_LOCK,)
        return _exported(_pipenv(read_pipfile_lock(source)), files)
    return None


def require_lock(source: Tree) -> None:
    """Raises BadInput where only the tool itself could say what to install, and has not said it."""
    pyproject = read_toml(source, PYPROJECT)
    by_poetry = "poetry" in table(pyproject, "tool") and "project" not in pyproject
    for file, lock, line in ((PYPROJECT, POETRY_LOCK, "poetry lock"), (PIPFILE, PIPFILE_LOCK, "pipenv lock")):
        if by_poetry if file == PYPROJECT else source.exists(PIPFILE):
            raise BadInput(
                f"{file} is there, but no {lock}: nothing says which versions to install",
                hint=f"run `{line}` and deploy its {lock} too",
                details={"file": file},
            )


@dataclass(frozen=True, slots=True)
class _Pinned:
    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Pipenv's of what the machine that it locked on does not need."""
        return self.version == "*"

    def line(self, file: str) -> str:
        for word in (self.name, "any" if self.is_open else self.version):
            if not _WORD.fullmatch(word):
                raise BadInput(
                    f"{file}: package {self.name[:60]!r} has no version that can be installed from an index",
                    hint="packages from git or a folder take a Dockerfile",
                    details={"file": file},
                )
        if not self.marker.isprintable() or not all(map(_HASH.fullmatch, self.hashes)):
            raise BadInput(
                f"{file}: package {self.name[:60]!r} has a marker or hash that is none", hint="lock again"
            )
        marker = f" ; {self.marker}" if self.marker else ""
        version = "" if self.is_open else f"=={self.version}"
        return f"{self.name}{version}{marker}" + "".join(f" \\\n    --hash={h}" for h in self.hashes)


def _exported(packages: Iterable[_Pinned], files: tuple[str, ...]) -> Exported:
    pinned = sorted(packages, key=lambda package: (package.name, package.version))
    text = "".join(f"{package.line(files[-1])}\n" for package in pinned)
    names = {normal(package.name) for package in pinned}
    return Exported(text, files, names, all(package.hashes and not package.is_open for package in pinned))


def _pipenv(lock: dict[str, Any]) -> Iterator[_Pinned]:
    for name, package in table(lock, "default").items():
        facts = package if isinstance(package, dict) else {}
        version = text_of(facts, "version").removeprefix("==")
        yield _Pinned(name, version, text_of(facts, "markers"), strings(facts.get("hashes")))


def read_pipfile_lock(source: Tree) -> dict[str, Any]:
    text = source.text(PIPFILE_LOCK, MAX_LOCK) if source.exists(PIPFILE_LOCK) else None
    try:
        document = json.loads(text or "{}")
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{PIPFILE_LOCK}: {error}", hint="make it again: `pipenv lock`") from error
    return document if isinstance(document, dict) else {}


def _poetry(source: Tree) -> Iterator[_Pinned]:
    """What the project's main dependencies reach: a lock holds the other groups' as well, and older ones do not
    say whose a package is."""
    packages: dict[str, list[dict[str, Any]]] = {}
    for package in packages_of(read_toml(source, POETRY_LOCK)):
        packages.setdefault(normal(text_of(package, "name")), []).append(package)
    for name, markers in _reached(packages, _wanted(read_toml(source, PYPROJECT))).items():
        for package in packages[name]:
            of_index = text_of(table(package, "source"), "type") in ("", "legacy")
            version = text_of(package, "version") if of_index else ""
            own = package.get("markers", "")
            marker = own.get("main", "") if isinstance(own, dict) else own
            hashes = (text_of(file, "hash") for file in package.get("files", ()) if isinstance(file, dict))
            yield _Pinned(name, version, str(marker) or _any_of(markers), tuple(hashes))


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    marker: str
    extras: tuple[str, ...]


def _wanted(pyproject: dict[str, Any]) -> Iterator[_Wanted]:
    for line in table(pyproject, "project").get("dependencies", ()):
        match = (
            re.match(r"\s*([\w.-]+)\s*(?:\[([^\]]*)\])?[^;]*(?:;(.*))?", line)
            if isinstance(line, str)
            else None
        )
        if match:
            extras = tuple(word.strip() for word in (match[2] or "").split(",") if word.strip())
            yield _Wanted(normal(match[1]), (match[3] or "").strip(), extras)
    dependencies = table(table(table(pyproject, "tool"), "poetry"), "dependencies")
    for name, facts in dependencies.items():
        if name != "python" and not (isinstance(facts, dict) and facts.get("optional")):
            yield _edge(name, facts)


def _edge(name: str, facts: Any) -> _Wanted:
    if isinstance(facts, dict):
        return _Wanted(normal(name), text_of(facts, "markers"), strings(facts.get("extras")))
    return _Wanted(normal(name), "", ())


def _reached(packages: dict[str, list[dict[str, Any]]], wanted: Iterable[_Wanted]) -> dict[str, list[str]]:
    """Package -> the markers of all who want it."""
    found: dict[str, list[str]] = {}
    done: set[tuple[str, tuple[str, ...]]] = set()
    todo = list(wanted)
    edges = len(todo)
    while todo:
        edge = todo.pop()
        if edge.name not in packages:
            continue
        found.setdefault(edge.name, []).append(edge.marker)
        if (edge.name, edge.extras) in done:
            continue
        done.add((edge.name, edge.extras))
        for package in packages[edge.name]:
            more = list(_dependencies_of(package, edge.extras))
            edges += len(more) + len(edge.extras)
            todo += more
        if edges > _MAX_EDGES:  # it is read outside the tenant's limits
            raise BadInput(
                f"{POETRY_LOCK} has more than {_MAX_EDGES:,} dependencies of dependencies",
                hint="write a requirements.txt instead: `poetry export`",
            )
    return found


def _dependencies_of(package: dict[str, Any], extras: tuple[str, ...]) -> Iterator[_Wanted]:
    of_extras = {
        normal(match[1])
        for extra in extras
        for line in strings(table(package, "extras").get(extra))
        if (match := _NAME.match(line))
    }
    for name, facts in table(package, "dependencies").items():
        for one in facts if isinstance(facts, list) else [facts]:
            optional = isinstance(one, dict) and one.get("optional")
            if not optional or normal(name) in of_extras:
                edge = _edge(name, one)
                yield _Wanted(edge.name, "", edge.extras) if optional else edge


def _any_of(markers: list[str]) -> str:
    if not all(markers):
        return ""
    return " or ".join(f"({marker})" for marker in dict.fromkeys(markers))


def packages_of(lock: dict[str, Any]) -> list[dict[str, Any]]:
    found = lock.get("package")
    return [package for package in found if isinstance(package, dict)] if isinstance(found, list) else []


def strings(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
