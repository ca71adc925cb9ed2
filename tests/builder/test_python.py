"""What the Python buildpack makes of a source: the app, its command, and what each kind of lock comes to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paas.builder.buildpacks.python import left_out
from paas.builder.plan import FilesStep, Plan, RunStep, Write
from paas.builder.tree import Tree
from paas.errors import BadInput
from tests.builder.planning import PlanOf, lines, put, source

FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FASTAPI = "import fastapi\nblog = 1\napp: object = fastapi.FastAPI()\n"
MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
WSGI = "application = get_wsgi_application()\n"
ASGI = "application = get_asgi_application()\n"
CHANNELS = 'django = get_asgi_application()\napplication = ProtocolTypeRouter({"http": django})\n'
DJANGO = {"manage.py": MANAGE, "shop/wsgi.py": WSGI, "shop/asgi.py": ASGI}


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"requirements.txt": "flask\nGunicorn>=20", "app.py": FLASK}, "gunicorn --bind 0.0.0.0:$PORT app:app"),
        (
            {"requirements.txt": "waitress", "web/__init__.py": FLASK},
            "waitress-serve --listen=0.0.0.0:$PORT web:app",
        ),
        (
            {"requirements.txt": "uvicorn[standard]", "main.py": FASTAPI},
            "uvicorn --host 0.0.0.0 --port $PORT main:app",
        ),
        (
            {"requirements.txt": "gunicorn", "manage.py": MANAGE, "shop/wsgi.py": WSGI},
            "gunicorn --bind 0.0.0.0:$PORT shop.wsgi:application",
        ),
        (
            {"requirements.txt": "uvicorn\ngunicorn", **DJANGO},
            "gunicorn --bind 0.0.0.0:$PORT shop.wsgi:application",
        ),
        (
            {"requirements.txt": "django\nuvicorn", **DJANGO},
            "uvicorn --host 0.0.0.0 --port $PORT shop.asgi:application",
        ),
        (
            {"requirements.txt": "hypercorn\ngunicorn", **DJANGO, "shop/asgi.py": CHANNELS},
            "hypercorn --bind 0.0.0.0:$PORT shop.asgi:application",
        ),
        (
            {"requirements.txt": "gunicorn", **DJANGO, "shop/asgi.py": CHANNELS},
            "gunicorn --bind 0.0.0.0:$PORT shop.wsgi:application",
        ),
        (
            {
                "requirements.txt": "channels [redis, Daphne] >= 4",
                "manage.py": MANAGE,
                "shop/asgi.py": CHANNELS,
            },
            "daphne -b 0.0.0.0 -p $PORT shop.asgi:application",
        ),
        (
            {"requirements.txt": "fastapi[standard]", "main.py": FASTAPI},
            "uvicorn --host 0.0.0.0 --port $PORT main:app",
        ),
    ],
)
def test_the_default_command_of_a_python_app(plan_of: PlanOf, files: dict[str, str], command: str) -> None:
    _, (web,) = plan_of(files)
    assert web.args == ("/bin/sh", "-c", f"exec {command}")


def test_a_python_app_without_a_server(plan_of: PlanOf) -> None:
    with pytest.raises(BadInput, match=r"WSGI app app:app needs a server: add gunicorn to the dependencies"):
        plan_of({"requirements.txt": "flask", "app.py": FLASK})
    with pytest.raises(BadInput, match=r"ASGI app shop.asgi:application needs a server: add uvicorn"):
        plan_of({"requirements.txt": "", **DJANGO, "shop/asgi.py": CHANNELS, "app.py": ""})
    _, (web,) = plan_of({"app.py": f'{FLASK}if __name__ == "__main__":\n    app.run()\n'})
    assert web.args == ("python", "app.py")


@pytest.mark.parametrize("text", ["app = (", "\0", "x = " + "(" * 5000, "class Flask: pass\napp = None"])
def test_python_that_cannot_be_read_is_no_error(plan_of: PlanOf, text: str) -> None:
    plan, _ = plan_of({"requirements.txt": "gunicorn", "app.py": text})
    assert plan.command == ("python", "app.py")


@pytest.mark.parametrize(
    ("settings", "toml", "collects", "note"),
    [
        ("STATIC_ROOT = 1", "", True, ""),
        ("STATIC_URL = 1", "", False, "no STATIC_ROOT"),
        ("STATIC_ROOT = 1", "[env]\nDISABLE_COLLECTSTATIC = '1'", False, "DISABLE_COLLECTSTATIC is set"),
        ("STATIC_ROOT = 1", "[env]\nDISABLE_COLLECTSTATIC = '0'", True, ""),
    ],
)
def test_djangos_static_files(plan_of: PlanOf, settings: str, toml: str, collects: bool, note: str) -> None:
    plan, _ = plan_of(
        {
            "requirements.txt": "gunicorn",
            "manage.py": MANAGE,
            "shop/settings.py": settings,
            "shop/wsgi.py": WSGI,
            "berth.toml": toml,
        }
    )
    last = plan.stages[0].steps[-1]
    assert last.title == ("RUN python manage.py collectstatic --no-input" if collects else "COPY . /app/")
    assert note in " ".join(plan.notes)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("-e .", "."),
        ("--editable=lib # mine", "lib"),
        (".[web]", ".[web]"),
        ("./lib ; python_version > '3'", "./lib"),
        ("vendor/lib", "vendor/lib"),
        ("lib-1.0-py3-none-any.whl", "lib-1.0-py3-none-any.whl"),
        ("lib[x] @ file:./lib", "file:./lib"),
        ("--find-links wheels", "wheels"),
    ],
)
def test_a_requirement_in_the_source_gets_the_source_first(plan_of: PlanOf, line: str, path: str) -> None:
    files = {"requirements.txt": "flask\n-r more.txt\n", "more.txt": f"# x\n{line}\n", "app.py": FLASK}
    plan, _ = plan_of({**files, "Procfile": "web: x"})
    assert put(plan) == ["COPY . /app/"]
    assert isinstance(plan.stages[0].steps[1], RunStep)
    assert plan.notes == (
        f"more.txt, line 2: {path!r} is in the source: dependencies are installed again whenever that changes",
    )


REQUIREMENTS = """\
flask[async]>=3 ; python_version > '3' # ./no
lib @ https://example.org/lib-1.0.tar.gz
-e git+https://example.org/lib.git#egg=lib
https://example.org/lib.whl
--find-links https://example.org/wheels/
gunicorn==23.0 \\
    --hash=sha256:00
"""


def test_requirements_from_elsewhere_do_not_need_the_source(plan_of: PlanOf) -> None:
    plan, _ = plan_of({"requirements.txt": REQUIREMENTS, "app.py": FLASK})
    assert put(plan) == ["COPY requirements.txt /app/", "COPY . /app/"] and plan.notes == ()


@pytest.mark.parametrize(
    ("project", "lock", "why"),
    [
        ("", "[[package]]\nname = 'lib'\nsource = { editable = 'lib' }\n", "uv.lock: 'lib'"),
        ("[tool.uv.sources]\nlib = { path = 'lib' }\n", None, "pyproject.toml: 'lib'"),
        ("[project]\nname = 'a'\ndynamic = ['dependencies']\n", None, "pyproject.toml: what its dynamic"),
    ],
)
def test_a_project_of_several_gets_the_source_first(
    plan_of: PlanOf, project: str, lock: str | None, why: str
) -> None:
    files = {"pyproject.toml": project, "Procfile": "web: x"} | ({} if lock is None else {"uv.lock": lock})
    plan, _ = plan_of(files)
    assert put(plan) == ["COPY . /app/"] and plan.notes[0].startswith(why)


PYPROJECT = "[project]\nname = 'shop'\ndependencies = ['{}']\n"
FACTORY = "def create_app(settings=None):\n    app = Flask(__name__)\n    return app\n"
ASGI_FACTORY = "def make_app(*, debug=False):\n    return Starlette(debug=debug)\n"
GUNICORN, UVICORN = "gunicorn --bind 0.0.0.0:$PORT", "uvicorn --host 0.0.0.0 --port $PORT"


@pytest.mark.parametrize(
    ("server", "files", "command"),
    [
        ("gunicorn", {"src/shop/__init__.py": FLASK}, f"{GUNICORN} shop:app"),
        ("uvicorn", {"src/shop/__init__.py": "", "src/shop/main.py": FASTAPI}, f"{UVICORN} shop.main:app"),
        ("uvicorn", {"src/main.py": FASTAPI}, f"{UVICORN} main:app"),
        ("gunicorn", {"manage.py": MANAGE, "src/shop/wsgi.py": WSGI}, f"{GUNICORN} shop.wsgi:application"),
        ("gunicorn", {"src/shop/__init__.py": FACTORY}, f"{GUNICORN} 'shop:create_app()'"),
        ("gunicorn", {"shop/__init__.py": FACTORY, "wsgi.py": "app = create_app()"}, f"{GUNICORN} wsgi:app"),
        ("gunicorn", {"app.py": FACTORY + "app = create_app()"}, f"{GUNICORN} app:app"),
        ("gunicorn", {"shop/__init__.py": FACTORY, "app.py": FLASK}, f"{GUNICORN} app:app"),
        ("waitress", {"app.py": FACTORY}, "waitress-serve --listen=0.0.0.0:$PORT --call app:create_app"),
        (
            "uvicorn",
            {"src/shop/app.py": ASGI_FACTORY, "src/shop/__init__.py": ""},
            f"{UVICORN} --factory shop.app:make_app",
        ),
    ],
)
def test_where_the_app_is_found(plan_of: PlanOf, server: str, files: dict[str, str], command: str) -> None:
    plan, (web,) = plan_of({"pyproject.toml": PYPROJECT.format(server), **files})
    assert web.args[-1] == f"exec {command}"
    has_src = any(name.startswith("src/") for name in files)
    assert dict(plan.image.env).get("PYTHONPATH") == ("/app/src" if has_src else None)


@pytest.mark.parametrize(
    ("server", "files", "hint"),
    [
        ("gunicorn", {"app.py": FACTORY, "api.py": FACTORY}, f"`web: {GUNICORN} app:app`"),  # which of the two?
        ("gunicorn", {"api.py": FACTORY.replace("=None", "")}, f"`web: {GUNICORN} app:app`"),
        ("gunicorn", {"app.py": ASGI_FACTORY}, "the ASGI app app:make_app needs a server: add uvicorn"),
        ("gunicorn", {"api.py": FACTORY.replace("Flask", "other")}, f"`web: {GUNICORN} app:app`"),
        ("gunicorn", {"api.py": f"{FACTORY}    FastAPI()\n"}, f"`web: {GUNICORN} app:app`"),
        ("uvicorn", {}, f"`web: {UVICORN} app:app`"),
        ("hypercorn", {}, "`web: hypercorn --bind 0.0.0.0:$PORT app:app`"),
        ("starlette", {}, f"`web: {UVICORN} app:app`"),
        ("waitress", {}, "`web: waitress-serve --listen=0.0.0.0:$PORT app:app`"),
        ("flask", {"src/shop/__init__.py": FLASK}, "the WSGI app shop:app needs a server: add gunicorn"),
        ("flask", {}, f"`web: {GUNICORN} app:app`"),
    ],
)
def test_what_to_add_names_the_server_that_fits(
    plan_of: PlanOf, server: str, files: dict[str, str], hint: str
) -> None:
    with pytest.raises(BadInput) as caught:
        plan_of({"pyproject.toml": PYPROJECT.format(server), **files})
    assert hint in caught.value.hint


def test_without_pyproject_src_is_a_folder_like_any_other(plan_of: PlanOf) -> None:
    with pytest.raises(BadInput, match="no process is named"):
        plan_of({"requirements.txt": "gunicorn", "src/app.py": FLASK})


def test_uv_lock(plan_of: PlanOf) -> None:
    project = "[project]\nname='a'\n"
    lock = "[[package]]\nname = 'Uvicorn'\n[[package]]\nname = 'a'\nsource = { virtual = '.' }\n"
    plan, (web,) = plan_of({"pyproject.toml": project, "uv.lock": lock, "main.py": FASTAPI})
    sync = "uv sync --frozen --no-dev --no-install-project --python /usr/bin/python3 --compile-bytecode"
    assert lines(plan)[0].endswith(f"&& {sync} && rm -f /tmp/uv-*.lock")
    assert web.args[-1].startswith("exec uvicorn ")


POETRY = """\
[tool.poetry.dependencies]
python = "^3.11"
Flask = {version = "^3", extras = ["async"]}
gunicorn = "*"
extra-only = {version = "*", optional = true}
[tool.poetry.group.dev.dependencies]
pytest = "*"
"""
POETRY_LOCK = f"""\
[[package]]
name = "flask"
version = "3.1.0"
files = [{{file = "f.whl", hash = "sha256:{"a" * 64}"}}, {{file = "f.tgz", hash = "sha256:{"b" * 64}"}}]
[package.dependencies]
click = ">=8"
colorama = {{version = "*", markers = "sys_platform == 'win32'"}}
asgiref = {{version = "*", optional = true}}
dotenv = {{version = "*", optional = true}}
[package.extras]
async = ["asgiref (>=3.2)"]
[[package]]
name = "click"
version = "8.1.0"
files = [{{file = "c.whl", hash = "sha256:{"c" * 64}"}}]
[[package]]
name = "colorama"
version = "0.4"
files = [{{file = "c.whl", hash = "sha256:{"d" * 64}"}}]
[[package]]
name = "asgiref"
version = "3.2"
markers = "python_version < '4'"
files = [{{file = "c.whl", hash = "sha256:{"e" * 64}"}}]
[[package]]
name = "gunicorn"
version = "23.0"
files = [{{file = "c.whl", hash = "sha256:{"f" * 64}"}}]
[[package]]
name = "dotenv"
version = "1"
files = []
[[package]]
name = "extra-only"
version = "1"
files = []
[[package]]
name = "pytest"
version = "8"
files = []
"""


def requirements(plan: Plan) -> list[str]:
    """What a lock file was written out as."""
    first = plan.stages[0].steps[0]
    assert isinstance(first, FilesStep)
    (written,) = (operation for operation in first.operations if isinstance(operation, Write))
    return written.content.replace(" \\\n   ", "").splitlines()


def test_poetry_lock_is_what_its_main_dependencies_reach(plan_of: PlanOf) -> None:
    plan, _ = plan_of({"pyproject.toml": POETRY, "poetry.lock": POETRY_LOCK, "app.py": FLASK})
    assert requirements(plan) == [
        f"asgiref==3.2 ; python_version < '4' --hash=sha256:{'e' * 64}",
        f"click==8.1.0 --hash=sha256:{'c' * 64}",
        f"colorama==0.4 ; (sys_platform == 'win32') --hash=sha256:{'d' * 64}",
        f"flask==3.1.0 --hash=sha256:{'a' * 64} --hash=sha256:{'b' * 64}",
        f"gunicorn==23.0 --hash=sha256:{'f' * 64}",
    ]
    assert " --no-deps --require-hashes -r /app/.berth-requirements.txt" in lines(plan)[0]
    assert plan.files_read == ("pyproject.toml", "poetry.lock")


def test_a_lock_that_would_take_for_ever_is_refused(plan_of: PlanOf) -> None:
    many = "".join(f'x{n} = "*"\n' for n in range(240))
    package = "[[package]]\nname = '{}'\nversion = '1'\nfiles = []\n[package.dependencies]\n" + many
    lock = "".join(package.format(name) for name in ("a", *(f"x{n}" for n in range(240))))
    project = "[tool.poetry.dependencies]\na = '*'\n"
    with pytest.raises(BadInput, match=r"poetry\.lock has more than 50,000 dependencies of dependencies"):
        plan_of({"pyproject.toml": project, "poetry.lock": lock, "app.py": ""})


PIPENV_LOCK = {
    "default": {
        "flask": {"version": "==3.1.0", "hashes": [f"sha256:{'a' * 64}"], "markers": "python_version >= '3.9'"}
    },
    "develop": {"pytest": {"version": "==8"}},
}


def test_pipfile_lock(plan_of: PlanOf) -> None:
    plan, _ = plan_of({"Pipfile.lock": json.dumps(PIPENV_LOCK), "app.py": ""})
    assert requirements(plan) == [f"flask==3.1.0 ; python_version >= '3.9' --hash=sha256:{'a' * 64}"]


@pytest.mark.parametrize(
    "facts",
    [
        {"git": "https://example.org/x", "ref": "0a"},
        {"version": "==1\n--index-url https://evil.example"},
        {"version": "==1", "markers": "a\n--index-url https://evil.example"},
        {"version": "==1", "hashes": ["sha256:0\nb"]},
    ],
)
def test_a_lock_file_cannot_say_more_than_a_version(plan_of: PlanOf, facts: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=r"Pipfile.lock: package 'x'"):
        plan_of({"Pipfile.lock": json.dumps({"default": {"x": facts}}), "app.py": ""})


def test_a_virtual_environment_of_another_machine_stays_out(tmp_path: Path) -> None:
    folder = source(tmp_path, {"requirements.txt": "", "env/pyvenv.cfg": "", "venv/app.py": ""})
    with Tree(folder) as tree:
        assert left_out(tree) == ("env",)
