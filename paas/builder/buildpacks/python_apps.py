"""What a Python source is, by reading it, never by running it: Django, a WSGI or ASGI app, a script. Pure."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator
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
        "gunicorn": "gunicorn --bind 0.0.0.0:$PORT {}",
        "waitress": "waitress-serve --listen=0.0.0.0:$PORT {}",
    },
    "asgi": {
        "uvicorn": "uvicorn --host 0.0.0.0 --port $PORT {}",
        "hypercorn": "hypercorn --bind 0.0.0.0:$PORT {}",
        "daphne": "daphne -b 0.0.0.0 -p $PORT {}",
    },
}
# For a function that makes the app; the other servers are given objects only. Parentheses keep `shell` from
# seeing that a command is a simple one.
_FACTORY_SERVERS = {
    "wsgi": {
        "gunicorn": "exec gunicorn --bind 0.0.0.0:$PORT '{}()'",
        "waitress": "waitress-serve --listen=0.0.0.0:$PORT --call {}",
    },
    "asgi": {"uvicorn": "uvicorn --host 0.0.0.0 --port $PORT --factory {}"},
}
_ASGI_FRAMEWORKS = {"fastapi", "starlette", "quart", "litestar", "sanic"}
# A requirement that brings a server without naming it: requirements.txt does not say what an extra stands for.
_BRINGS = {"channels[daphne]": "daphne", "fastapi[standard]": "uvicorn", "fastapi[all]": "uvicorn"}
_NAMES = ("app", "application", "api", "asgi", "wsgi")
_FACTORIES = ("create_app", "make_app")


@dataclass(frozen=True, slots=True)
class _App:
    """`where` is "module:name"; `chosen` is what somebody wrote, not what Django makes for all; a factory is a
    function that makes the app."""

    kind: Literal["wsgi", "asgi"]
    where: str
    chosen: bool = False
    is_factory: bool = False


@dataclass(frozen=True, slots=True)
class _Module:
    name: str
    tree: ast.Module


@dataclass(frozen=True, slots=True)
class Found:
    """`command` is the default one, () if there is none; `missing` then says what to add."""

    command: tuple[str, ...] = ()
    missing: str = ""
    is_django: bool = False
    has_static_root: bool = False


def find(source: Tree, dependencies: set[str], folders: tuple[str, ...] = ("",)) -> Found:
    """`dependencies`: names of packages that will be there, as PEP 503 compares them, and "name[extra]".

    `folders` are those that modules are imported from.
    """
    settings = _django_settings(source)
    modules = _modules(source, settings.partition(".")[0], folders)
    factories = [app for module in modules for app in _factories_in(module)]
    apps = _apps(modules, factories)
    django = bool(settings)
    has_root = django and _has_static_root(source, settings, folders)
    have = dependencies | {_BRINGS[name] for name in dependencies if name in _BRINGS}
    served = next((command for app in apps if (command := _server(app, have))), "")
    if served:
        return Found(shell(served), "", django, has_root)
    script = _script(source, is_app=bool(apps or factories))
    missing = "" if script else _what_to_add(apps[0]) if apps else _example(have)
    return Found(("python", script) if script else (), missing, django, has_root)


# --- the app's object
def _apps(modules: list[_Module], factories: list[_App]) -> list[_App]:
    """All that can be told, the best first; another is for where only that one has its server."""
    found = [app for module in modules if (app := _app_in(module))]
    # Django makes both files for each project: WSGI is what it runs as unless somebody chose otherwise.
    found.sort(key=lambda app: (not app.chosen, app.kind != "wsgi"))
    if len(factories) != 1:  # of several nothing says which
        return found
    factory = factories[0]
    made = [_App(factory.kind, where) for module in modules if (where := _object(module, _FACTORIES))]
    return [*found, *made, factory]


def _modules(source: Tree, project: str, folders: tuple[str, ...]) -> list[_Module]:
    """Those that may hold the app, in the order in which they count."""
    found = []
    for folder in folders:
        names = [*((f"{project}.asgi", f"{project}.wsgi") if project else ()), *_MODULES]
        names += [f"{p}.{name}" for p in _packages(source, folder) for name in (*_MODULES, "__init__")]
        paths = ((name, _within(folder, name.replace(".", "/") + ".py")) for name in names)
        found += [
            _Module(name.removesuffix(".__init__"), _tree(source, path))
            for name, path in paths
            if source.exists(path)
        ]
    return found


def _packages(source: Tree, folder: str) -> list[str]:
    entries = (entry for entry in source.top(folder) if entry.kind == "folder")
    names = (entry.name for entry in entries if entry.name.isidentifier())
    found = [name for name in names if source.exists(_within(folder, f"{name}/__init__.py"))]
    return [name for name in found if name not in ("tests", "test")][:_MAX_PACKAGES]


def _within(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path


def _app_in(module: _Module) -> _App | None:
    for name, made_by in _assigned_calls(module.tree):
        where = f"{module.name}:{name}"
        if name in _NAMES and made_by in _WSGI:
            return _App("wsgi", where)
        if name in _NAMES and made_by in _ASGI:
            return _App("asgi", where, chosen=made_by == _CHANNELS)
    return None


def _object(module: _Module, makers: Container[str]) -> str:
    """Where the app is that one of these functions made, "" if none did."""
    names = (name for name, made_by in _assigned_calls(module.tree) if name in _NAMES and made_by in makers)
    return next((f"{module.name}:{name}" for name in names), "")


def _factories_in(module: _Module) -> Iterator[_App]:
    """Functions that can be called without arguments and make an app of one kind."""
    for node in module.tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name not in _FACTORIES or _needs_arguments(node.args):
            continue
        calls = {_called(call) for call in ast.walk(node) if isinstance(call, ast.Call)}
        if bool(calls & _WSGI) != bool(calls & _ASGI):
            kind: Literal["wsgi", "asgi"] = "wsgi" if calls & _WSGI else "asgi"
            yield _App(kind, f"{module.name}:{node.name}", is_factory=True)


def _needs_arguments(args: ast.arguments) -> bool:
    return len(args.posonlyargs) + len(args.args) > len(args.defaults) or None in args.kw_defaults


def _assigned_calls(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(name, what was called) of each `name = Call(…)` at a module's top."""
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if not isinstance(value, ast.Call):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, _called(value)


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _server(app: _App, dependencies: set[str]) -> str:
    """The command of the server that is among the dependencies, "" if there is none."""
    servers = (_FACTORY_SERVERS if app.is_factory else _SERVERS)[app.kind]
    found = next((command for name, command in servers.items() if name in dependencies), "")
    return found.format(app.where)


def _what_to_add(app: _App) -> str:
    server = "gunicorn" if app.kind == "wsgi" else "uvicorn"
    return (
        f"the {app.kind.upper()} app {app.where} needs a server: add {server} to the dependencies, "
        "or a Procfile with a line such as `web: <command>`"
    )


def _example(dependencies: set[str]) -> str:
    """What to add where no app was found, for the server that is there or that the framework needs."""
    kinds = ("asgi", "wsgi") if dependencies & _ASGI_FRAMEWORKS else ("wsgi", "asgi")
    servers = {name: line for kind in kinds for name, line in _SERVERS[kind].items()}
    found = next((name for name in servers if name in dependencies), next(iter(servers)))
    return f"add a Procfile with a line such as `web: {servers[found].format('app:app')}`"


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


def _has_static_root(source: Tree, settings: str, folders: tuple[str, ...]) -> bool:
    """Whether the settings, or a module beside them from which they may come, set STATIC_ROOT."""
    return any(_sets(_tree(source, path), "STATIC_ROOT") for path in _settings_files(source, settings, folders))


def _settings_files(source: Tree, settings: str, folders: tuple[str, ...]) -> Iterator[str]:
    for top in folders:
        path = _within(top, settings.replace(".", "/"))
        folder = path if source.exists(f"{path}/__init__.py") else path.rpartition("/")[0]
        yield f"{path}.py"
        yield from (f"{folder}/{name}.py" for name in ("__init__", "base", "common", "defaults"))


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
