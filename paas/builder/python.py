"""Python: dependencies in a virtual environment, then the source, each a layer of its own."""

from __future__ import annotations

import posixpath
import re

from paas.builder.config import BuildConfig
from paas.builder.plan import (
    APP_OWNER,
    CacheMount,
    Copy,
    FilesStep,
    Folder,
    ImageSettings,
    Plan,
    RunStep,
    Stage,
)
from paas.builder.procfile import shell
from paas.builder.tree import Tree
from paas.errors import BadInput
from paas.specs import ImageSpec

HOME = "/app"
VENV = f"{HOME}/.venv"
CACHE = "/var/cache/uv"
_INCLUDE = re.compile(r"\s*(?:-r|-c|--requirement|--constraint)[\s=]+(?P<path>[^\s#]+)")
_HINT = "see the last lines: a name may be misspelt, or a package may need a system library (use a Dockerfile)"


def plan(build: BuildConfig, source: Tree, base_name: str, base: ImageSpec, versions: tuple[str, ...]) -> Plan:
    """`versions` are those of Python in the base image. Raises BadInput for any other that the source asks for,
    or when the source declares no dependencies.
    """
    read = _check_version(build, source, versions)
    manifest = next((name for name in ("requirements.txt", "pyproject.toml") if source.exists(name)), "")
    if not manifest:
        raise BadInput(
            'builder "python" needs requirements.txt or pyproject.toml, and there is neither',
            hint="add a requirements.txt; it may be empty",
        )
    files = _with_includes(manifest, source)
    env = _environment(base)
    return Plan(
        builder="python",
        stages=(Stage(base_name, (*_dependencies(manifest, files, env), _source())),),
        image=ImageSettings(env=tuple(env.items()), workdir=HOME, user=APP_OWNER),
        command=_default_command(source),
        is_guess=True,
        missing_command="add a Procfile with a line such as `web: gunicorn app:app`",
        files_read=(*read, *files),
    )


def _check_version(build: BuildConfig, source: Tree, versions: tuple[str, ...]) -> tuple[str, ...]:
    """The files that were read for it."""
    pinned = (source.text(".python-version", 1024) or "").strip() if source.exists(".python-version") else ""
    wanted = build.python or pinned.removeprefix("python-")
    where = "berth.toml" if build.python else ".python-version"
    if wanted and not any(wanted == have or wanted.startswith(f"{have}.") for have in versions):
        raise BadInput(
            f"{where} asks for Python {wanted[:20]!r}, which this machine does not offer",
            hint=f"available: {', '.join(versions)}; any other version works with a Dockerfile",
            details={"file": where, "available": list(versions)},
        )
    return (".python-version",) if pinned else ()


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


def _environment(base: ImageSpec) -> dict[str, str]:
    env = dict(base.env)
    path = env.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return {
        **env,
        "PATH": f"{VENV}/bin:{path}",
        "VIRTUAL_ENV": VENV,
        "HOME": HOME,
        "PYTHONUNBUFFERED": "1",
    }


def _dependencies(manifest: str, files: tuple[str, ...], env: dict[str, str]) -> tuple[FilesStep, RunStep]:
    """Two layers that are made again only when the files that name the dependencies change."""
    copies = (Copy((path,), f"{HOME}/{path}", owner=APP_OWNER) for path in files)
    put = FilesStep(f"COPY {' '.join(files)} {HOME}/", (Folder(HOME, APP_OWNER, adopt=True), *copies), manifest)
    install = f"uv venv --python /usr/bin/python3 {VENV} && uv pip install --compile-bytecode -r {manifest}"
    uv = {
        "UV_CACHE_DIR": CACHE,
        "UV_LINK_MODE": "copy",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    run = RunStep(
        title=f"RUN uv pip install -r {manifest}",
        args=shell(install),
        env=tuple({**env, **uv}.items()),
        workdir=HOME,
        user=APP_OWNER,
        mounts=(CacheMount(CACHE, "uv"),),
        file=manifest,
        hint=_HINT,
    )
    return put, run


def _source() -> FilesStep:
    return FilesStep(f"COPY . {HOME}/", (Copy((".",), f"{HOME}/", owner=APP_OWNER),))


def _default_command(source: Tree) -> tuple[str, ...]:
    """Without a Procfile: the one script that by its name can be nothing else than the app."""
    scripts = [name for name in ("main.py", "app.py") if source.exists(name)]
    return ("python", scripts[0]) if len(scripts) == 1 else ()
