"""The packages of a Node source: the one at its top, and the workspaces of npm, Yarn and pnpm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from paas.builder import plain_yaml
from paas.builder.buildpacks.shape import MAX_MANIFEST, read_json, table
from paas.builder.tree import Tree
from paas.errors import BadInput

MANIFEST, PNPM = "package.json", "pnpm-workspace.yaml"
DEPENDENCIES = ("dependencies", "devDependencies", "optionalDependencies")
_MOST_PATTERNS, _MOST_PACKAGES = 50, 200  # they are looked for outside the tenant's limits
_ELSEWHERE = ("file:", "link:", "portal:", "./", "../")


@dataclass(frozen=True, slots=True)
class Package:
    """`path` is that of its manifest, `manifest` what that says."""

    path: str
    manifest: dict[str, Any]


def packages(source: Tree) -> tuple[Package, ...]:
    """The one at the top first. Raises BadInput for a manifest that is none, and for too many."""
    found = dict.fromkeys((MANIFEST, *_workspaces(source)))
    if len(found) > _MOST_PACKAGES:
        raise BadInput(
            f"{MANIFEST}: more than {_MOST_PACKAGES} workspaces are too many for this builder",
            hint="name fewer, or use a Dockerfile",
            details={"file": MANIFEST},
        )
    return tuple(Package(path, read_json(source, path)) for path in found)


def _workspaces(source: Tree) -> Iterator[str]:
    """What an exclusion (`!packages/x`) takes away may be there as well: the tool does not look at it."""
    for pattern in _patterns(source)[:_MOST_PATTERNS]:
        path = pattern.removeprefix("./").strip("/")
        if path not in ("", ".") and ".." not in path.split("/") and not path.startswith("!"):
            yield from source.matching(f"{path}/{MANIFEST}", deep="**" in path)


def _patterns(source: Tree) -> list[str]:
    wanted = read_json(source, MANIFEST).get("workspaces")
    found = wanted.get("packages") if isinstance(wanted, dict) else wanted
    if source.exists(PNPM):
        found = plain_yaml.mapping(source.text(PNPM, MAX_MANIFEST) or "", PNPM, "packages:").get("packages")
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def local_dependency(package: Package) -> str:
    """The name of one that is a folder or file of the source and no workspace, "" if there is none."""
    for kind in DEPENDENCIES:
        for name, version in table(package.manifest, kind).items():
            if isinstance(version, str) and version.startswith(_ELSEWHERE):
                return name
    return ""
