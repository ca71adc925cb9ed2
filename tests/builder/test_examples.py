"""The example apps, and the messages that the owners of the broken ones see, as far as a build goes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from paas.builder.build import read_inputs
from paas.builder.plan import CacheMount, FilesStep, RunStep
from paas.builder.processes import release_command
from paas.builder.tree import Tree
from paas.errors import BadInput
from paas.images import Store
from paas.specs import MIB, ProcessSpec
from tests.builder.planning import planned, source

EXAMPLES = Path(__file__).parents[2] / "examples"


def sh(command: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f"exec {command}")


def test_hello_python(store: Store) -> None:
    plan, processes = planned(EXAMPLES / "hello-python", store)
    assert plan.builder == "python"
    assert processes == (ProcessSpec("web", sh("python app.py"), 1, 64 * MIB, 500),)


def test_flask_guestbook(store: Store) -> None:
    plan, processes = planned(EXAMPLES / "flask-guestbook", store)
    assert [process.name for process in processes] == ["web", "worker"]
    assert [process.memory_bytes for process in processes] == [128 * MIB, 64 * MIB]
    put, install, copy = plan.stages[0].steps
    assert isinstance(put, FilesStep)
    assert isinstance(copy, FilesStep)
    assert isinstance(install, RunStep)
    assert (put.title, copy.title) == ("COPY requirements.txt /app/", "COPY . /app/")
    assert install.args[2].startswith("uv venv --python /usr/bin/python3 /app/.venv && uv pip install")
    assert (install.user, install.workdir, install.mounts) == (
        "1000:1000",
        "/app",
        (CacheMount("/var/cache/uv", "uv"),),
    )
    assert dict(plan.image.env)["PATH"] == "/app/.venv/bin:/usr/bin:/bin"


def test_static_site(store: Store) -> None:
    plan, (web,) = planned(EXAMPLES / "static-site", store)
    assert plan.builder == "static"
    assert web.args[2].endswith("exec /usr/sbin/nginx -e stderr -c /tmp/nginx.conf")


def test_dockerfile_app(store: Store) -> None:
    plan, (web,) = planned(EXAMPLES / "dockerfile-app", store)
    assert [stage.base for stage in plan.stages] == ["python:3", "python:3"]
    assert (plan.image.user, plan.image.exposed_ports) == ("1000:1000", ("8080/tcp",))
    assert web.args == ("python3", "server.py")


@pytest.mark.parametrize("name", ["crashes-at-start", "never-listens", "fails-to-build"])
def test_these_fail_later_than_in_planning(store: Store, name: str) -> None:
    assert planned(EXAMPLES / "broken" / name, store)


def test_bad_config(store: Store) -> None:
    with pytest.raises(BadInput) as caught:
        planned(EXAMPLES / "broken/bad-config", store)
    assert str(caught.value) == (
        "berth.toml, line 6: processes.web.memmory: is not known; "
        "did you mean 'memory'? allowed here: command, memory, cpu, count, private, port, sleep"
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "none of Dockerfile, Gemfile, composer.json, .*, index.html; the source is empty"),
        ({"my-app/app.py": ""}, "everything is inside the folder 'my-app': deploy that folder's content"),
        ({"app.pl": "", "README": ""}, "cannot tell how to build this source"),
        ({"dockerfile": "FROM scratch"}, "none of Dockerfile, .*; rename 'dockerfile' to 'Dockerfile'"),
        ({"README": "", "server/package.json": "{}"}, "there is server/package.json: deploy that folder"),
        ({"setup.py": "", "app.py": ""}, "setup.py does not say versions: add a requirements.txt"),
        ({"requirements.txt": ""}, "no process is named: .*; add a Procfile with a line such as `web: "),
        ({"requirements.txt": "", "app.py": "", "main.py": ""}, "no process is named"),
        ({"berth.toml": "[build]\nbuilder='python'"}, "needs requirements.txt or pyproject.toml"),
        ({"berth.toml": "[build]\nbuilder='static'\nroot='x/'"}, "needs x/index.html"),
        ({"berth.toml": "[build]\nbuilder='dockerfile'"}, "Dockerfile is not there; add it, or name it in"),
        ({"berth.toml": "[build]\nfallback='app.html'", "dist/index.html": ""}, "dist/app.html is not there"),
        (
            {"requirements.txt": "", "app.py": "", ".python-version": "\n3.9"},
            "line 2: .*'3.9', .*; available: 3.11.2, 3.13.5",
        ),
        ({"Dockerfile": "FROM scratch"}, "add CMD to Dockerfile, or `web: <command>` to a Procfile"),
        (
            {"index.html": "", "berth.toml": "[processes.worker]\nmemory='64M'"},
            r"processes.worker has no command.*; add command = \"…\" to \[processes.worker\]",
        ),
        (
            {"index.html": "", "berth.toml": "[processes.worker]\ncommand='x'\nsleep='10m'"},
            r"processes.worker.sleep: it has no port, .*; take `sleep` out of \[processes.worker\], or give it",
        ),
        ({"requirements.txt": "", "Procfile": "web python"}, "Procfile, line 1"),
        ({"requirements.txt": "", ".dockerignore": "[a"}, ".dockerignore, line 1"),
    ],
)
def test_what_an_owner_is_told(store: Store, tmp_path: Path, files: dict[str, str], message: str) -> None:
    (tmp_path / "src").mkdir()
    with pytest.raises(BadInput) as caught:
        planned(source(tmp_path, files), store)
    assert re.search(message, str(caught.value)), str(caught.value)


def test_a_file_that_links_out_of_the_source_is_not_read(store: Store, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("top secret = 1")
    folder = source(tmp_path, {"index.html": ""})
    for name, target in (("Procfile", "/etc/passwd"), ("berth.toml", str(secret))):
        (folder / name).symlink_to(target)
        with pytest.raises(
            BadInput, match=f"{name} is a link to '{target}', which leads to nothing in the source"
        ):
            planned(folder, store)


def test_a_fifo_in_place_of_a_file_holds_nobody_up(store: Store, tmp_path: Path) -> None:
    folder = source(tmp_path, {"index.html": ""})
    os.mkfifo(folder / "berth.toml")
    with pytest.raises(BadInput, match=r"berth\.toml is not a file"):
        planned(folder, store)


NAMES = ("berth.toml", "Procfile", ".dockerignore", "Dockerfile", "requirements.txt", ".python-version")


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_in_place_of_a_file_is_told(store: Store, tmp_path: Path, name: str) -> None:
    manifest = {} if name in ("Dockerfile", "requirements.txt") else {"requirements.txt": ""}
    with pytest.raises(BadInput, match=f"{re.escape(name)} is not a file"):
        planned(source(tmp_path, {f"{name}/x": "", "app.py": "", **manifest}), store)


def test_requirements_bring_the_files_that_they_name(store: Store, tmp_path: Path) -> None:
    files = {
        "requirements.txt": "-r deps/base.txt\n-c https://example.org/c.txt\n-r missing.txt\nflask\n",
        "deps/base.txt": "--constraint=pins.txt\n-r ../requirements.txt\n-r ../../etc/passwd\n",
        "deps/pins.txt": "",
        "app.py": "",
    }
    plan, (web,) = planned(source(tmp_path, files), store)
    assert plan.files_read == ("requirements.txt", "deps/base.txt", "deps/pins.txt")
    assert web.args == ("python", "app.py")


def test_berth_toml_wins_over_the_procfile_key_by_key(store: Store, tmp_path: Path) -> None:
    files = {
        "index.html": "",
        "Procfile": "clock: tick\nweb: serve\nrelease: migrate\n",
        "berth.toml": "[processes.web]\ncount = 3\nsleep = '10m'\n[processes.clock]\ncommand = ['tock']\n"
        "sleep = 'never'\n"
        "[stages.test.processes.web]\ncount = 0\n",
    }
    folder = source(tmp_path, files)
    assert planned(folder, store)[1] == (
        ProcessSpec("web", sh("serve"), 3, sleep_after=600),
        ProcessSpec("clock", ("tock",), sleep_after=0),
    )
    assert planned(folder, store, "test")[1][0].count == 0
    with Tree(folder) as tree:
        inputs = read_inputs(tree, "production")
    assert release_command(inputs.config, inputs.procfile) == sh("migrate")
