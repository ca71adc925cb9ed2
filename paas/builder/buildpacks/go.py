"""Go: the modules that go.mod names, then a static binary built with them, on the plain Debian base beside the
source."""

from __future__ import annotations

import posixpath
import re

from paas.builder.buildpacks.shape import (
    HOME,
    MAX_MANIFEST,
    Request,
    app_env,
    command,
    put,
    put_source,
    take,
    there_is,
)
from paas.builder.buildpacks.versions import Wish, choose, first, from_config
from paas.builder.config import BuildConfig
from paas.builder.plan import APP_OWNER, FilesStep, Folder, ImageSettings, Plan, Stage, Step
from paas.builder.tree import Tree
from paas.errors import BadInput

NAME = "go"
MANIFEST, SUMS = "go.mod", "go.sum"
_OUT, _MODULES = "/build", "/modules"
_CACHE = "/var/cache/go"
_FETCHED = f"{_CACHE}/modules"
# Into what builds share, then from there into a layer: checked against go.sum both times, asked for only once.
_DOWNLOAD = (
    f"GOMODCACHE={_FETCHED} go mod download && "
    f"GOPROXY=file://{_FETCHED}/cache/download GOSUMDB=off go mod download"
)
_GO_LINE = re.compile(r"go\s+(\d+(?:\.\d+){0,2})")
_MODULE_LINE = re.compile(r'module\s+"?([^\s"]+)"?')
_REQUIRE = re.compile(r"^\s*require\b", re.MULTILINE)
_LOCAL = re.compile(r'=>\s*"?(\.{1,2}/[^\s"]*)')
_MAIN = re.compile(r"^package\s+main\b", re.MULTILINE)


def left_out(source: Tree) -> tuple[str, ...]:
    return ()


def detect(build: BuildConfig, source: Tree) -> str:
    return there_is(source, MANIFEST)


def plan(request: Request) -> Plan:
    source = request.source
    text = source.text(MANIFEST, MAX_MANIFEST) if source.exists(MANIFEST) else None
    if text is None:
        raise BadInput(
            f'builder "go" needs {MANIFEST}, which is not there', hint="`go mod init example.org/app` makes one"
        )
    wish = first(lambda: from_config("go", request.build.go), lambda: _wish(text))
    builder = request.bases.to_build(choose(NAME, wish, request.bases))
    base = request.bases.debian()
    vendored = source.exists("vendor/modules.txt")
    named = () if vendored else _names_modules(source, text)
    env = app_env(
        builder,
        CGO_ENABLED="0",
        GOFLAGS=f"-mod={'vendor' if vendored else 'readonly'}",
        GOTOOLCHAIN="local",
        GOPATH=f"{_CACHE}/path",
        GOCACHE=f"{_CACHE}/build",
        GOMODCACHE=_MODULES if named else _FETCHED,
    )
    what, program = _target(source, text)
    build = command(
        f"go build {what}",
        f"go build -ldflags='-s -w' -o {_OUT}/ {what}",
        env,
        caches={_CACHE: "go"},
        file=MANIFEST,
    )
    out = FilesStep(f"WORKDIR {_OUT}", (Folder(_OUT, APP_OWNER),))
    return Plan(
        builder=NAME,
        stages=(
            Stage(builder.name, (out, *_download(named, env), put_source(), build), "build"),
            Stage(base.name, (put_source(), take(0, f"{_OUT}/", f"{HOME}/bin/"))),
        ),
        image=ImageSettings(env=tuple(app_env(base, f"{HOME}/bin").items()), workdir=HOME, user=APP_OWNER),
        command=(f"{HOME}/bin/{program}",) if program else (),
        is_guess=True,
        missing_command="./cmd has several programs: add a Procfile with a line such as `web: server`",
        files_read=(MANIFEST, *(name for name in (SUMS, "vendor/modules.txt") if source.exists(name))),
    )


def _names_modules(source: Tree, manifest: str) -> tuple[str, ...]:
    """The files that `go mod download` reads; none where go.mod asks for no module, or is not alone."""
    if not _REQUIRE.search(manifest) or source.exists("go.work"):
        return ()
    local = (f"{posixpath.normpath(folder)}/{MANIFEST}" for folder in _LOCAL.findall(manifest))
    files = (SUMS, *(path for path in local if not path.startswith("../")))
    return (MANIFEST, *dict.fromkeys(path for path in files if source.exists(path)))


def _download(named: tuple[str, ...], env: dict[str, str]) -> tuple[Step, ...]:
    """Layers that are made again only when the files that name the modules change."""
    if not named:
        return ()
    here = FilesStep(f"WORKDIR {_MODULES}", (Folder(_MODULES, APP_OWNER),))
    run = command("go mod download", _DOWNLOAD, env, caches={_CACHE: "go"}, file=MANIFEST)
    return here, put(named), run


def _wish(text: str) -> Wish | None:
    """go.mod's line is the oldest Go that will do."""
    for number, line in enumerate(text.splitlines(), 1):
        match = _GO_LINE.match(line.strip())
        if match:
            return Wish(f">={match[1]}", MANIFEST, number)
    return None


def _target(source: Tree, manifest: str) -> tuple[str, str]:
    """The packages to build, and the name of the program when there is one: as `go build` names it."""
    names = (entry.name for entry in source.top() if entry.kind == "file" and entry.name.endswith(".go"))
    if any(_MAIN.search(source.text(name) or "") for name in names if not name.endswith("_test.go")):
        return ".", _module_name(manifest)
    folders = sorted(
        {entry.path.split("/")[1] for entry in source.walk() if re.match(r"cmd/[^/]+/", entry.path)}
    )
    if not folders:
        raise BadInput(
            "there is no program to build: no `package main` at the top, and no folder in ./cmd",
            hint="move it to one of the two, or use a Dockerfile",
        )
    return "./cmd/...", folders[0] if len(folders) == 1 else ""


def _module_name(manifest: str) -> str:
    match = _MODULE_LINE.search(manifest)
    parts = match[1].split("/") if match else ["app"]
    if len(parts) > 1 and re.fullmatch(r"v\d+", parts[-1]):
        parts.pop()
    return parts[-1]
