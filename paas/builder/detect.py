"""Which builder makes an image of this source? Pure, but for looking at which files there are."""

from __future__ import annotations

from dataclasses import dataclass

from paas.builder.buildpacks import ALL
from paas.builder.config import BuildConfig
from paas.builder.manifests import Manifests
from paas.builder.tree import Tree
from paas.errors import BadInput

DOCKERFILE = "Dockerfile"
_LOOKED_FOR = (
    DOCKERFILE, "Gemfile", "composer.json", "requirements.txt", "pyproject.toml", "Pipfile.lock",
    "go.mod", "package.json",
)  # fmt: skip
# What says which versions; of several, a builder reads the one that comes first.
_VERSIONS = (
    "uv.lock", "poetry.lock", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock",
    "bun.lock", "bun.lockb", "Gemfile.lock", "composer.lock", "go.sum", ".python-version", "runtime.txt",
    ".nvmrc", ".node-version", ".ruby-version", ".tool-versions",
)  # fmt: skip
# What builds on other platforms read, and Berth does not.
_OF_OTHERS = (
    "docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml", "fly.toml", "render.yaml",
    "netlify.toml", "vercel.json", "nixpacks.toml", "railway.json", "Aptfile", ".buildpacks", "project.toml",
    "environment.yml", "setup.py", "Pipfile", "dockerfile", "procfile", "Procfile.txt",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Detected:
    """`because` is for the log."""

    builder: str
    because: str


def detect(build: BuildConfig, manifests: Manifests, source: Tree) -> Detected:
    """The builder that berth.toml names, else a Dockerfile, else the first whose files are there."""
    if build.builder:
        return Detected(build.builder, "berth.toml says so")
    if not build.dockerfile and manifests.has_dockerfile:
        return Detected("dockerfile", f"{manifests.dockerfile_from} says so")
    dockerfile = build.dockerfile or DOCKERFILE
    source.demand_whole(dockerfile)
    if source.entry(dockerfile):  # .dockerignore may keep it out of the image, not out of the build
        return Detected("dockerfile", f"there is {dockerfile}")
    for pack in ALL:
        because = pack.detect(build, source)
        if because:
            return Detected(pack.NAME, because)
    raise _nothing(dockerfile, source)


def ignored(source: Tree, read: tuple[str, ...]) -> list[str]:
    """Files that say how to build an app, here or elsewhere, and that this build does not look at."""
    return [
        name for name in (*_LOOKED_FOR, *_VERSIONS, *_OF_OTHERS) if name not in read and source.exists(name)
    ]


def _nothing(dockerfile: str, source: Tree) -> BadInput:
    looked_for = [dockerfile, *_LOOKED_FOR[1:], "index.php", "index.html"]
    top = source.top()
    folders = [entry.name for entry in top if entry.kind == "folder"]
    hint = "add one of them, or name a builder in berth.toml: [build] builder"
    misspelt = next((e.name for e in top if e.name != dockerfile and e.name.lower() == DOCKERFILE.lower()), "")
    inside = next(
        (f"{folder}/{n}" for folder in folders for n in _LOOKED_FOR if source.exists(f"{folder}/{n}")), ""
    )
    if misspelt:
        hint = f"rename {misspelt!r} to {DOCKERFILE!r}"
    elif inside:
        hint = f"there is {inside}: deploy that folder"
    elif source.exists("setup.py"):
        hint = "setup.py does not say versions: add a requirements.txt, with `.` in it for the package itself"
    elif len(top) == 1 and folders:
        hint = f"everything is inside the folder {folders[0]!r}: deploy that folder's content"
    elif not top:
        hint = "the source is empty"
    return BadInput(
        f"cannot tell how to build this source: there is none of {', '.join(looked_for)}",
        hint=hint,
        details={"looked_for": looked_for, "found": [entry.name for entry in top[:50]]},
    )
