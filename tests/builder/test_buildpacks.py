"""What each buildpack makes of a source: stages, commands, and which files the dependency layers hang on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from paas.builder.buildpacks import ALL, BY_NAME
from paas.builder.config import BUILDERS
from paas.builder.plan import FilesStep, Plan, RunStep, Write
from paas.errors import BadInput
from paas.images import Store
from paas.specs import ProcessSpec
from tests.builder.planning import lines, planned, put, source

PlanOf = Callable[[dict[str, str]], tuple[Plan, tuple[ProcessSpec, ...]]]
DEV = {"devDependencies": {"x": "1"}, "dependencies": {"y": "1"}}


def package(**keys: object) -> str:
    return json.dumps({"name": "app", **keys})


@pytest.fixture
def plan_of(store: Store, tmp_path: Path) -> PlanOf:
    def plan(files: dict[str, str]) -> tuple[Plan, tuple[ProcessSpec, ...]]:
        return planned(source(tmp_path, files), store)

    return plan


def bases(plan: Plan) -> list[str | int]:
    return [stage.base for stage in plan.stages]


def test_every_buildpack_can_be_named_in_berth_toml() -> None:
    assert {pack.NAME for pack in ALL} - {"static by Node"} == set(BUILDERS) - {"dockerfile"}
    assert BY_NAME["static"].NAME == "static"


# --- which one
@pytest.mark.parametrize(
    ("files", "builder"),
    [
        ({"Gemfile": "", "package.json": package()}, "ruby"),
        ({"composer.json": "{}", "index.php": "", "package.json": package()}, "php"),
        ({"requirements.txt": "", "package.json": package(scripts={"build": "vite"})}, "python"),
        ({"go.mod": "module a", "main.go": "package main", "package.json": package()}, "go"),
        ({"package.json": package(main="a.js"), "a.js": "", "index.html": ""}, "node"),
        ({"package.json": package(scripts={"build": "b", "start": "s"}, dependencies={"next": "1"})}, "node"),
        ({"package.json": package(scripts={"build": "b"}, devDependencies={"vite": "1"})}, "static"),
        (
            {
                "package.json": package(scripts={"build": "b"}, dependencies={"vite": "1", "express": "1"}),
                "server.js": "",
            },
            "node",
        ),
        ({"index.html": ""}, "static"),
        ({"index.html": "", "index.php": ""}, "php"),
    ],
)
def test_which_buildpack_a_source_gets(plan_of: PlanOf, files: dict[str, str], builder: str) -> None:
    plan, _ = plan_of({**files, "Procfile": "web: x"})
    assert plan.builder == builder


# --- Node
@pytest.mark.parametrize(
    ("lock", "install"),
    [
        ("package-lock.json", "npm ci"),
        ("pnpm-lock.yaml", "npx --yes pnpm@9.15.9 install --frozen-lockfile"),
        (
            "yarn.lock",
            "npx --yes yarn@1.22.22 install --frozen-lockfile --production=false --non-interactive",
        ),
        ("other.lock", "npm install --no-package-lock"),
    ],
)
def test_node_installs_by_the_lock_files_own_tool(plan_of: PlanOf, lock: str, install: str) -> None:
    plan, (web,) = plan_of(
        {
            "package.json": package(dependencies={"y": "1"}, scripts={"start": "node s.js"}),
            lock: "",
            ".npmrc": "",
        }
    )
    assert lines(plan) == [install]
    known = "" if lock == "other.lock" else f"{lock} "
    assert put(plan) == [f"COPY package.json {known}.npmrc /app/", "COPY . /app/"]
    assert web.args == ("/bin/sh", "-c", "exec node s.js")
    run = plan.stages[0].steps[1]
    assert isinstance(run, RunStep)
    assert [mount.target for mount in run.mounts] == ["/var/cache/node"]
    assert any("no lock file" in note for note in plan.notes) == (lock == "other.lock")


def test_node_takes_the_tools_version_from_package_json(plan_of: PlanOf) -> None:
    plan, _ = plan_of(
        {
            "package.json": package(
                packageManager="pnpm@8.6.0+sha256.0a", dependencies={"y": "1"}, main="a.js"
            ),
            "pnpm-lock.yaml": "",
            "a.js": "",
        }
    )
    assert lines(plan) == ["npx --yes pnpm@8.6.0 install --frozen-lockfile"]


def test_a_version_of_the_tool_is_no_way_into_the_shell(plan_of: PlanOf) -> None:
    plan, _ = plan_of(
        {
            "package.json": package(packageManager="pnpm@8.6.0;id", dependencies={"y": "1"}, main="a.js"),
            "pnpm-lock.yaml": "",
            "a.js": "",
        }
    )
    assert lines(plan) == ["npx --yes pnpm@8.6.0 install --frozen-lockfile"]


@pytest.mark.parametrize("files", [{"yarn.lock": "", ".yarnrc.yml": ""}, {"yarn.lock": "", "p": "yarn@4.1.0"}])
def test_yarn_2_is_refused(plan_of: PlanOf, files: dict[str, str]) -> None:
    with pytest.raises(BadInput, match=r"Yarn 2 or later.*use npm, pnpm or Yarn 1"):
        plan_of({"package.json": package(packageManager=files.pop("p", "")), **files})


def test_node_with_a_build_leaves_out_what_only_the_build_needs(plan_of: PlanOf) -> None:
    plan, _ = plan_of(
        {"package.json": package(**DEV, scripts={"build": "b", "start": "s"}), "package-lock.json": ""}
    )
    assert bases(plan) == ["berth/node:18", 0, 0, "berth/node:18"]
    install, build, prune = lines(plan)
    assert install == "npm ci"
    assert build.startswith("npm run build && find . ")
    assert prune.startswith("npm prune --omit=dev")
    assert [step.title for step in plan.stages[3].steps] == [
        "WORKDIR /app",
        "COPY --from=dependencies /app/node_modules /app/node_modules",
        "COPY --from=build /build/ /app/",
    ]


def test_node_with_dev_dependencies_and_no_build(plan_of: PlanOf) -> None:
    plan, _ = plan_of({"package.json": package(**DEV, main="a.js"), "package-lock.json": "", "a.js": ""})
    assert bases(plan) == ["berth/node:18", 0, "berth/node:18"]
    assert plan.stages[2].steps[-1].title == "COPY . /app/"


def test_a_script_at_install_gets_the_source_first(plan_of: PlanOf) -> None:
    files = {"package-lock.json": "", "a.js": ""}
    keys: dict[str, object] = {"dependencies": {"y": "1"}, "main": "a.js"}
    plan, _ = plan_of({**files, "package.json": package(**keys, scripts={"postinstall": "node gen.js"})})
    assert put(plan)[0] == "COPY . /app/"
    assert "dependencies are installed again whenever" in plan.notes[0]
    plan, _ = plan_of({**files, "package.json": package(**keys, scripts={"prepare": "husky"})})
    assert put(plan)[0] == "COPY package.json package-lock.json /app/"


WORKSPACES: dict[str, str] = {
    "package.json": package(workspaces=["packages/*", "./tools", "!packages/no"], main="a.js"),
    "packages/b/package.json": package(dependencies={"y": "1"}),
    "packages/a/package.json": package(),
    "packages/a/node_modules/z/package.json": package(),
    "packages/a/deep/in/package.json": package(),
    "packages/c/README": "",
    "tools/package.json": package(),
    "a.js": "",
}
MANIFESTS = "packages/a/package.json packages/b/package.json tools/package.json"
PNPM = "packages:\n  - packages/**\n  - tools\n"


def test_the_manifests_of_workspaces_come_before_the_install(plan_of: PlanOf) -> None:
    plan, _ = plan_of({**WORKSPACES, "package-lock.json": ""})
    assert put(plan) == [f"COPY package.json package-lock.json {MANIFESTS} /app/", "COPY . /app/"]
    assert lines(plan) == ["npm ci"]


def test_pnpm_has_workspaces_in_a_file_of_its_own(plan_of: PlanOf) -> None:
    files = {
        **WORKSPACES,
        "package.json": package(main="a.js"),
        "pnpm-lock.yaml": "",
        "pnpm-workspace.yaml": PNPM,
    }
    plan, _ = plan_of(files)
    assert put(plan)[0] == (
        "COPY package.json pnpm-lock.yaml pnpm-workspace.yaml packages/a/deep/in/package.json "
        "packages/a/package.json packages/b/package.json tools/package.json /app/"
    )


def test_an_image_gets_the_modules_of_workspaces_without_what_only_the_build_needs(plan_of: PlanOf) -> None:
    files = {
        **WORKSPACES,
        "packages/a/package.json": package(devDependencies={"x": "1"}),
        "package-lock.json": "",
    }
    plan, _ = plan_of(files)
    assert bases(plan) == ["berth/node:18", 0, "berth/node:18"]
    assert put(plan)[-2:] == ["COPY --from=dependencies /app/ /app/", "COPY . /app/"]
    files["package.json"] = package(
        workspaces={"packages": ["packages/*"]}, scripts={"build": "b", "start": "s"}
    )
    plan, _ = plan_of(files)
    assert put(plan)[-2:] == ["COPY --from=dependencies /app/ /app/", "COPY --from=build /build/ /app/"]
    _, build, prune = lines(plan)
    assert build.endswith(" && find /build -name node_modules -prune -print0 | xargs -0 rm -rf")
    assert prune.startswith("npm prune --omit=dev ")


def test_pnpm_cannot_prune_workspaces(plan_of: PlanOf) -> None:
    files = {**WORKSPACES, "package.json": package(main="a.js", devDependencies={"x": "1"})}
    plan, _ = plan_of({**files, "pnpm-lock.yaml": "", "pnpm-workspace.yaml": PNPM})
    assert lines(plan) == ["npx --yes pnpm@9.15.9 install --frozen-lockfile"]
    assert plan.notes == ("devDependencies stay in the image: pnpm cannot take them out of workspaces",)


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (package(scripts={"prepare": "tsc"}), "packages/a/package.json has a script 'prepare', which"),
        (package(bin="cli.js"), "packages/a/package.json has programs of its own, which"),
        (
            package(dependencies={"z": "file:../z"}),
            "packages/a/package.json has a dependency 'z' in the source",
        ),
    ],
)
def test_a_workspace_that_needs_the_source_at_the_install(plan_of: PlanOf, manifest: str, why: str) -> None:
    plan, _ = plan_of({**WORKSPACES, "packages/a/package.json": manifest, "package-lock.json": ""})
    assert put(plan)[0] == "COPY . /app/" and plan.notes[0].startswith(why)


def test_too_many_workspaces(plan_of: PlanOf) -> None:
    many = {f"packages/{n}/package.json": "{}" for n in range(201)}
    with pytest.raises(BadInput, match="more than 200 workspaces"):
        plan_of({"package.json": package(workspaces=["packages/*"]), **many})


def test_node_without_a_start_says_what_to_add(plan_of: PlanOf) -> None:
    with pytest.raises(BadInput, match=r'add a "start" script to package\.json'):
        plan_of({"package.json": package()})


@pytest.mark.parametrize(
    ("generator", "root", "folder"),
    [("vite", "", "dist"), ("@11ty/eleventy", "", "_site"), ("react-scripts", "", "build"), ("vite", "o", "o")],
)
def test_a_site_that_node_builds(plan_of: PlanOf, generator: str, root: str, folder: str) -> None:
    plan, _ = plan_of(
        {
            "package.json": package(scripts={"build": "b"}, devDependencies={generator: "1"}),
            "index.html": "",
            "berth.toml": f"[build]\nroot='{root}'" if root else "",
        }
    )
    assert bases(plan) == ["berth/node:18", 0, "debian:12"]
    assert put(plan)[-1] == f"COPY --from=build /app/{folder}/ /srv/site/"


# --- Python
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


def test_uv_lock(plan_of: PlanOf) -> None:
    project = "[project]\nname='a'\n"
    lock = "[[package]]\nname = 'Uvicorn'\n[[package]]\nname = 'a'\nsource = { virtual = '.' }\n"
    plan, (web,) = plan_of({"pyproject.toml": project, "uv.lock": lock, "main.py": FASTAPI})
    assert lines(plan)[0].endswith("&& uv sync --frozen --no-dev --no-install-project --compile-bytecode")
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


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"pyproject.toml": POETRY}, "no poetry.lock: .*; run `poetry lock`"),
        ({"Pipfile": "[packages]"}, "no Pipfile.lock: .*; run `pipenv lock`"),
        ({"pyproject.toml": "a = = 1"}, r"pyproject.toml: .*\(at line 1"),
        ({"package.json": "{'a': 1}"}, "package.json, line 1: .*it must be JSON"),
        ({"composer.json": "[]", "index.php": ""}, "composer.json is not a JSON object"),
        ({"composer.json": "{}"}, r"none of public/index.php, web/index.php, index.php.*\[build\] root"),
        ({"go.mod": "module a"}, "no program to build"),
        ({"Gemfile": "", "config.ru": ""}, "add puma to the Gemfile"),
        ({"berth.toml": "[build]\nbuilder='go'"}, "needs go.mod"),
        ({"berth.toml": "[build]\nbuilder='ruby'"}, "needs a Gemfile"),
        ({"berth.toml": "[build]\nbuilder='node'"}, "needs package.json"),
    ],
)
def test_what_an_owner_is_told(plan_of: PlanOf, files: dict[str, str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        plan_of(files)


# --- Go, PHP, Ruby
def test_go_builds_one_program_or_those_in_cmd(plan_of: PlanOf) -> None:
    plan, (web,) = plan_of({"go.mod": "module example.org/hello/v2\n", "main.go": "// x\npackage main\n"})
    assert bases(plan) == ["berth/go:1.19", "debian:12"]
    assert lines(plan) == ["go build -ldflags='-s -w' -o /build/ ."]
    assert web.args == ("/app/bin/hello",)
    run = plan.stages[0].steps[-1]
    assert isinstance(run, RunStep)
    assert dict(run.env)["GOFLAGS"] == "-mod=readonly"
    assert dict(run.env)["CGO_ENABLED"] == "0"


def test_go_in_cmd_and_vendored(plan_of: PlanOf) -> None:
    files = {"go.mod": "module a\n", "lib.go": "package a\n", "cmd/serve/main.go": "", "vendor/modules.txt": ""}
    plan, (web,) = plan_of(files)
    assert lines(plan)[0].endswith(" ./cmd/...")
    assert web.args == ("/app/bin/serve",)
    run = plan.stages[0].steps[-1]
    assert isinstance(run, RunStep) and dict(run.env)["GOFLAGS"] == "-mod=vendor"
    with pytest.raises(BadInput, match=r"\./cmd has several programs"):
        plan_of({**files, "cmd/other/main.go": ""})


def test_php_with_and_without_composer(plan_of: PlanOf) -> None:
    plan, (web,) = plan_of({"index.php": "", "vendor/mine.php": ""})
    assert bases(plan) == ["berth/php:8.2"]
    assert web.args == ("/bin/sh", "-c", "exec /etc/berth/serve")
    assert "The whole source is served" in plan.notes[0]
    plan, _ = plan_of({"composer.json": '{"a": 1}', "composer.lock": "{}", "public/index.php": ""})
    assert bases(plan) == ["berth/php:8.2-build", "berth/php:8.2"]
    assert lines(plan)[0].startswith("composer install --no-dev ")
    assert put(plan)[0] == "COPY composer.json composer.lock /app/"
    assert plan.notes == ()


def test_a_class_map_needs_the_source(plan_of: PlanOf) -> None:
    plan, _ = plan_of(
        {"composer.json": '{"autoload": {"classmap": ["lib"]}}', "index.php": "", "lib/a.php": ""}
    )
    assert put(plan)[0] == "COPY . /app/"


@pytest.mark.parametrize("root", ['a"b', "a$b"])
def test_a_folders_name_is_no_way_into_nginx(plan_of: PlanOf, root: str) -> None:
    toml = f"[build]\nroot = {json.dumps(root)}\n"
    with pytest.raises(BadInput, match="in its name"):
        plan_of({f"{root}/index.php": "", "berth.toml": toml})


LOCK = """\
PATH
  remote: engines/one
  specs:
    one (0.1)

GEM
  remote: https://rubygems.org/
  specs:
    propshaft (1.0)
    puma (6.4)
    rails (7.1)

DEPENDENCIES
  rails
"""


def test_ruby_on_rails(plan_of: PlanOf) -> None:
    files = {"Gemfile": "gem 'rails'", "Gemfile.lock": LOCK, "config.ru": "", "engines/one/one.gemspec": ""}
    plan, (web,) = plan_of(files)
    assert bases(plan) == ["berth/ruby:3.1-build", "berth/ruby:3.1"]
    assert put(plan)[:2] == ["WORKDIR /bundle", "COPY Gemfile Gemfile.lock engines/one /app/"]
    assert lines(plan)[1] == "bundle exec rails assets:precompile"
    assert web.args[-1] == "exec bundle exec puma --port $PORT"


def test_ruby_without_gems_from_an_index_needs_no_compiler(plan_of: PlanOf) -> None:
    lock = LOCK.replace("    propshaft (1.0)\n    puma (6.4)\n    rails (7.1)\n", "")
    plan, _ = plan_of({"Gemfile": "", "Gemfile.lock": lock, "Procfile": "web: x"})
    assert bases(plan) == ["berth/ruby:3.1", "berth/ruby:3.1"]
