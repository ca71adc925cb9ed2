"""Python: dependencies in a virtual environment, then the source, each a layer of its own."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from paas.builder.buildpacks import python_apps, python_freshness, python_locks
from paas.builder.buildpacks.shape import HOME, Request, app_env, command, put, put_source, there_is
from paas.builder.buildpacks.versions import (
    Wish,
    choose,
    demand,
    dotted,
    first,
    from_config,
    from_key,
    from_line,
)
from paas.builder.config import BuildConfig
from paas.builder.plan import APP_OWNER, FilesStep, ImageSettings, Plan, RunStep, Stage, Step, Write
from paas.builder.tree import Tree
from paas.errors import BadInput
from paas.images.runtimes import Runtime

NAME = "python"
VENV = f"{HOME}/.venv"
_PLAIN = re.compile(r"[\w.-]+")  # a name that is a pattern for itself alone
LOCKED = f"{HOME}/.berth-requirements.txt"  # what a lock file of Poetry or Pipenv says, as pip has it
_PYTHON = "/usr/bin/python3"
_CACHE = "/var/cache/uv"
_PYPROJECT = "pyproject.toml"
_INCLUDE = re.compile(r"\s*(?:-r|-c|--requirement|--constraint)[\s=]+(?P<path>[^\s#]+)")
_HINT = "the log above names the package and says why"
_STATIC_HINT = (
    "a build sees [env] of berth.toml, not the app's config vars: give settings that come from them "
    'a default, or write DISABLE_COLLECTSTATIC = "1" under [env]'
)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """How they are installed: the files that say which, `written` where they say it in another tool's words.

    `local` is where they name something in the source itself, which has to be there then; "" if nowhere.
    """

    files: tuple[str, ...]
    install: str
    title: str
    names: set[str] = field(default_factory=set)
    written: str = ""
    local: str = ""


def left_out(source: Tree) -> tuple[str, ...]:
    """Virtual environments of another machine (PEP 405), whatever they are called."""
    folders = (entry.name for entry in source.top() if entry.kind == "folder")
    return tuple(f for f in folders if _PLAIN.fullmatch(f) and source.exists(f"{f}/pyvenv.cfg"))


def detect(build: BuildConfig, source: Tree) -> str:
    return there_is(source, "requirements.txt", _PYPROJECT, python_locks.PIPFILE_LOCK, python_locks.PIPFILE)


def plan(request: Request) -> Plan:
    """Raises BadInput for a version that is not to be had, or when the source declares no dependencies."""
    source = request.source
    wish = _wish(request)
    runtime = choose(NAME, wish, request.bases)
    if _is_by_uv(source):
        demand(_required(source), runtime, request.bases)
    _demand_fresh_lock(request, runtime)
    dependencies = _dependencies(source)
    base = request.bases.to_run(runtime)
    path = {"PYTHONPATH": f"{HOME}/src"} if _has_src(source) else {}
    env = app_env(base, f"{VENV}/bin", VIRTUAL_ENV=VENV, PYTHONUNBUFFERED="1", **path)
    found = python_apps.find(source, dependencies.names, ("", "src") if path else ("",))
    steps: tuple[Step, ...] = _install(dependencies, env)
    if not dependencies.local:
        steps = (*steps, put_source())
    notes, collect = _static_files(request, found, env)
    read = (wish.file,) if wish and wish.file != "berth.toml" else ()
    return Plan(
        builder=NAME,
        stages=(Stage(base.name, (*steps, *collect)),),
        image=ImageSettings(env=tuple(env.items()), workdir=HOME, user=APP_OWNER),
        command=found.command,
        is_guess=True,
        missing_command=found.missing,
        notes=(*_notes(dependencies), *notes),
        files_read=tuple(dict.fromkeys((*read, *dependencies.files))),
    )


def _wish(request: Request) -> Wish | None:
    source = request.source
    return first(
        lambda: from_config("python", request.build.python),
        lambda: from_line(source, ".python-version", "python-"),
        lambda: from_line(source, "runtime.txt", "python-"),
        lambda: _required(source),
    )


def _required(source: Tree) -> Wish | None:
    for file, key, value in python_locks.required_python(source):
        text = source.text(file, python_locks.MAX_LOCK) or ""
        return from_key(text, file, value, key, is_strict=_is_by_uv(source))
    return None


def _is_by_uv(source: Tree) -> bool:
    """`uv sync` alone compares `requires-python` with the Python that there is."""
    return not source.exists("requirements.txt") and source.exists(_PYPROJECT) and source.exists("uv.lock")


def _has_src(source: Tree) -> bool:
    """A project in `src` is found there: it is not installed, or each change of it would run a step."""
    return source.exists(_PYPROJECT) and any(e.name == "src" and e.kind == "folder" for e in source.top())


# --- dependencies
def _demand_fresh_lock(request: Request, runtime: Runtime) -> None:
    """Of the lock that dependencies come from."""
    source = request.source
    if _is_by_uv(source):
        python_freshness.demand_uv(source)
    elif source.exists("requirements.txt"):
        return
    elif source.exists(python_locks.POETRY_LOCK) and source.exists(_PYPROJECT):
        python_freshness.demand_poetry(source, dotted(request.bases.version(runtime)))
    elif source.exists(python_locks.PIPFILE_LOCK) and source.exists(python_locks.PIPFILE):
        python_freshness.demand_pipenv(source, dotted(request.bases.version(runtime)))


def _dependencies(source: Tree) -> Dependencies:
    """requirements.txt wins, being made to be installed; then a lock file, which says more than its source."""
    if source.exists("requirements.txt"):
        files = _with_includes("requirements.txt", source)
        return Dependencies(
            files,
            "uv pip install --compile-bytecode -r requirements.txt",
            "uv pip install -r requirements.txt",
            python_locks.names_in_requirements(source, files),
            local=python_locks.local_requirement(source, files),
        )
    if _is_by_uv(source):
        title = "uv sync --frozen --no-dev --no-install-project"
        files = (_PYPROJECT, "uv.lock")
        return Dependencies(
            files,
            # Whatever patch level a .python-version names; uv's own locks would stay in the layer.
            f"{title} --python {_PYTHON} --compile-bytecode && rm -f /tmp/uv-*.lock",
            title,
            python_locks.names_in_lock(source, "uv.lock"),
            local=python_locks.local_in_uv_lock(source),
        )
    exported = python_locks.exported(source)
    if exported:
        hashes = "--require-hashes " if exported.all_hashed else ""
        return Dependencies(
            exported.files,
            f"uv pip install --compile-bytecode --no-deps {hashes}-r {LOCKED}",
            f"uv pip install -r {exported.files[-1]}",
            exported.names,
            exported.text,
        )
    python_locks.require_lock(source)
    if source.exists(_PYPROJECT):
        title = f"uv pip install -r {_PYPROJECT}"
        return Dependencies(
            (_PYPROJECT,),
            f"uv pip install --compile-bytecode -r {_PYPROJECT}",
            title,
            python_locks.names_in_pyproject(source),
            local=python_locks.local_in_pyproject(source),
        )
    raise BadInput(
        'builder "python" needs requirements.txt or pyproject.toml, and there is neither',
        hint="add a requirements.txt; it may be empty",
    )


def _install(dependencies: Dependencies, env: Mapping[str, str]) -> tuple[FilesStep, RunStep]:
    """Two layers, made again only when the files that name the dependencies change, if those are all."""
    before = put_source() if dependencies.local else put(dependencies.files)
    if dependencies.written:
        written = Write(LOCKED, dependencies.written, owner=APP_OWNER)
        before = FilesStep(before.title, (*before.operations, written), before.file)
    uv = {
        "UV_CACHE_DIR": _CACHE,
        "UV_LINK_MODE": "copy",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_PROJECT_ENVIRONMENT": VENV,
        # PEP 552: bytecode that holds its source's time would differ with each install, and show as changed.
        # With the source's hash it is the same. A source that somebody edits in a container, or commits, still
        # counts, which by UNCHECKED_HASH it never would; to read the sources made a start about 2% slower.
        "PYC_INVALIDATION_MODE": "CHECKED_HASH",
    }
    run = command(
        dependencies.title,
        f"uv venv --python {_PYTHON} {VENV} && {dependencies.install}",
        {**env, **uv},
        caches={_CACHE: "uv"},
        file=dependencies.files[0],
        hint=_HINT,
    )
    return before, run


def _notes(dependencies: Dependencies) -> tuple[str, ...]:
    if not dependencies.local:
        return ()
    return (f"{dependencies.local} is in the source: dependencies are installed again whenever that changes",)


def _with_includes(manifest: str, source: Tree) -> tuple[str, ...]:
    """The file and those that its `-r` and `-c` lines name, so that a change in any makes the layer anew."""
    seen: list[str] = []
    todo = [manifest]
    while todo:
        path = todo.pop(0)
        if path not in seen and not path.startswith("../") and source.exists(path):
            seen.append(path)
            todo += [
                posixpath.normpath(posixpath.join(posixpath.dirname(path), p)) for p in _includes(source, path)
            ]
    return tuple(seen)


def _includes(source: Tree, path: str) -> list[str]:
    lines = (source.text(path) or "").splitlines() if path.endswith(".txt") else []
    found = (_INCLUDE.match(line) for line in lines)
    return [match["path"] for match in found if match and "://" not in match["path"]]


# --- Django
def _static_files(
    request: Request, found: python_apps.Found, env: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[RunStep, ...]]:
    """What the log says of it, and the step after the source."""
    if not found.has_static_root:
        note = (
            ("Django's settings have no STATIC_ROOT: no static files are collected.",)
            if found.is_django
            else ()
        )
        return note, ()
    if dict(request.env).get("DISABLE_COLLECTSTATIC", "0") not in ("", "0"):
        return ("DISABLE_COLLECTSTATIC is set: no static files are collected.",), ()
    line = "python manage.py collectstatic --no-input"
    step = command(line, line, {**env, **dict(request.env)}, file="manage.py", hint=_STATIC_HINT)
    return (), (step,)
