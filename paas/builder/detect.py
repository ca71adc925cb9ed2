"""Which builder makes an image of this source? Pure, but for looking at which files there are."""

from __future__ import annotations

from dataclasses import dataclass

from paas.builder.config import BuildConfig
from paas.builder.tree import Tree
from paas.errors import BadInput

PYTHON_FILES = ("requirements.txt", "pyproject.toml")
STATIC_ROOTS = ("", "public", "dist", "build", "_site")
INDEX = "index.html"


@dataclass(frozen=True, slots=True)
class Detected:
    builder: str
    because: str


def detect(build: BuildConfig, source: Tree) -> Detected:
    """The builder that berth.toml names, else the first whose files are there."""
    if build.builder:
        return Detected(build.builder, "berth.toml says so")
    dockerfile = build.dockerfile or "Dockerfile"
    if source.entry(dockerfile):  # .dockerignore may keep it out of the image, not out of the build
        return Detected("dockerfile", f"there is {dockerfile}")
    for name in PYTHON_FILES:
        if source.exists(name):
            return Detected("python", f"there is {name}")
    root = static_root(build, source)
    if root is not None:
        return Detected("static", f"there is {_index(root)}")
    raise _nothing(dockerfile, source)


def static_root(build: BuildConfig, source: Tree) -> str | None:
    """The folder that a static site is served from; None when there is none."""
    for root in (build.root,) if build.root else STATIC_ROOTS:
        if source.exists(_index(root)):
            return root
    return None


def _index(root: str) -> str:
    return f"{root.rstrip('/')}/{INDEX}" if root else INDEX


def _nothing(dockerfile: str, source: Tree) -> BadInput:
    looked_for = [dockerfile, *PYTHON_FILES, *map(_index, STATIC_ROOTS)]
    top = source.top()
    folders = [entry.name for entry in top if entry.kind == "folder"]
    hint = "add one of them, or name a builder in berth.toml: [build] builder"
    if len(top) == 1 and folders:
        hint = f"everything is inside the folder {folders[0]!r}: deploy that folder's content"
    elif not top:
        hint = "the source is empty"
    return BadInput(
        f"cannot tell how to build this source: there is none of {', '.join(looked_for)}",
        hint=hint,
        details={"looked_for": looked_for, "found": [entry.name for entry in top[:50]]},
    )
