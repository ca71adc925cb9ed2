"""What a Python source is, by reading it, never by running it: Django, a WSGI or ASGI app, a script. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from paas.builder.procfile import shell
from paas.builder.tree import Tree
from paas.errors import BadInput

# The source is read outside the tenant's limits: what it may cost is bounded here.
_MAX_FILE = 64 * 1024
_MAX_PACKAGES = 20
_MODULES = ("app", "main", "wsgi", "asgi", "application", "server", "api", "run")
_WSGI = {"Flask", "Bottle", "Falcon", "get_wsgi_application"}
_CHANNELS = "ProtocolTypeRouter"
_ASGI = {"FastAPI", "Starlette", "Quart", "Litestar", "Sanic", "get_asgi_application", _CHANNELS}
_SERVERS = {
    "wsgi": {
        "gunicorn": "gunicorn --bind 0.0.0.0:$PORT",
        "waitress": "waitress-serve --listen=0.0.0.0:$PORT",
    },
    "asgi": {
        "uvicorn": "uvicorn --host 0.0.0.0 --port $PORT",
        "hypercorn": "hypercorn --bind 0.0.0.0:$PORT",
        "daphne": "daphne -b 0.0.0.0 -p $PORT",
    },
}
# A requirement that brings a server without naming it: requirements.txt does not say what an extra stands for.
_BRINGS = {"channels[daphne]": "daphne", "fastapi[standard]": "uvicorn", "fastapi[all]": "uvicorn"}
_NAMES = ("app", "application", "api", "asgi", "wsgi")


@dataclass(frozen=True, slots=True)
class _App:
    """`where` is "module:name"; `chosen` is what somebody wrote, not what Django makes for all."""

    kind: Literal["wsgi", "asgi"]
    where: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """`command` is the default one, () if there is none; `missing` then says what to add."""

    command: tuple[str, ...] = ()
    missing: str = ""
    is_django: bool = False
    has_static_root: bool = False


def find(source: Tree, dependencies: set[str]) -> Found:
    """`dependencies`: names of packages that will be there, as PEP 503 compares them, and "name[extra]"."""
    settings = _django_settings(source)
    apps = _apps(source, settings.partition(".")[0])
    django = bool(settings)
    has_root = django and _has_static_root(source, settings)
    have = dependencies | {_BRINGS[name] for name in dependencies if name in _BRINGS}
    served = next((command for app in apps if (command := _server(app, have))), "")
    if served:
        return Found(shell(served), "", django, has_root)
    script = _script(source, is_app=bool(apps))
    missing = "" if script or not apps else _what_to_add(apps[0])
    return Found(("python", script) if script else (), missing, django, has_root)


# --- the app's object
def _apps(source: Tree, project: str) -> list[_App]:
    """All that can be told, the best first; another is for where only that one has its server."""
    modules = [*((f"{project}.asgi", f"{project}.wsgi") if project else ()), *_MODULES]
    modules += [f"{folder}.{name}" for folder in _packages(source) for name in (*_MODULES, "__init__")]
    found = [one for module in modules if (one := _app_in(source, module))]
    # Django makes both files for each project: WSGI is what it runs as unless somebody chose otherwise.
    return sorted(found, key=lambda app: (not app.chosen, app.kind != "wsgi"))


def _packages(source: Tree) -> list[str]:
    folders = (entry.name for entry in source.top() if entry.kind == "folder" and entry.name.isidentifier())
    found = [name for name in folders if source.exists(f"{name}/__init__.py")]
    return [name for name in found if name not in ("tests", "test")][:_MAX_PACKAGES]


def _app_in(source: Tree, module: str) -> _App | None:
    for name, made_by in _assigned_calls(_tree(source, module.replace(".", "/") + ".py")):
        where = f"{module.removesuffix('.__init__')}:{name}"
        if name in _NAMES and made_by in _WSGI:
            return _App("wsgi", where)
        if name in _NAMES and made_by in _ASGI:
            return _App("asgi", where, chosen=made_by == _CHANNELS)
    return None


def _assigned_calls(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(name, what was called) of each `name = Call(…)` at a module's top."""
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if not isinstance(value, ast.Call):
            continue
        called = value.func
        made_by = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, made_by


def _server(app: _App, dependencies: set[str]) -> str:
    """The command of the server that is among the dependencies, "" if there is none."""
    found = next((command for name, command in _SERVERS[app.kind].items() if name in dependencies), "")
    return f"{found} {app.where}" if found else ""


def _what_to_add(app: _App) -> str:
    server = "gunicorn" if app.kind == "wsgi" else "uvicorn"
    return (
        f"the {app.kind.upper()} app {app.where} needs a server: add {server} to the dependencies, "
        "or a Procfile with a line such as `web: <command>`"
    )


def _script(source: Tree, *, is_app: bool) -> str:
    """The one script that by its name can be nothing else than the app, and that runs when it is run."""
    scripts = [name for name in ("main.py", "app.py") if source.exists(name)]
    if len(scripts) != 1 or (is_app and not _runs_itself(_tree(source, scripts[0]))):
        return ""
    return scripts[0]


def _runs_itself(tree: ast.Module) -> bool:
    """Whether there is an `if __name__ == "__main__"`."""
    tests = (node.test for node in tree.body if isinstance(node, ast.If))
    return any(
        isinstance(name, ast.Name) and name.id == "__name__" for test in tests for name in ast.walk(test)
    )


# --- Django
def _django_settings(source: Tree) -> str:
    """The settings module that manage.py names, "" without Django."""
    for node in ast.walk(_tree(source, "manage.py")):
        if isinstance(node, ast.Call) and len(node.args) == 2:
            words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            if words[:1] == ["DJANGO_SETTINGS_MODULE"] and isinstance(words[-1], str):
                return words[-1]
    return ""


def _has_static_root(source: Tree, settings: str) -> bool:
    """Whether the settings, or a module beside them from which they may come, set STATIC_ROOT."""
    path = settings.replace(".", "/")
    folder = path if source.exists(f"{path}/__init__.py") else path.rpartition("/")[0]
    names = [f"{path}.py", *(f"{folder}/{name}.py" for name in ("__init__", "base", "common", "defaults"))]
    return any(_sets(_tree(source, name), "STATIC_ROOT") for name in names)


def _sets(tree: ast.Module, name: str) -> bool:
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    return any(node.id == name for node in found)


def _tree(source: Tree, path: str) -> ast.Module:
    """An empty one for a file that is not there, or that this Python cannot read: it is not ours to judge."""
    try:
        text = source.text(path, _MAX_FILE) if source.exists(path) else None
        return ast.parse(text or "")
    except (SyntaxError, ValueError, RecursionError, MemoryError, BadInput):
        return ast.Module([], [])
