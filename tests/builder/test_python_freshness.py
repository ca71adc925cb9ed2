"""Locks that real tools made (uv 0.13, Poetry 2.5, Pipenv 2026.10), as they are and with what they were made of
changed since."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pytest

from paas.builder.buildpacks.python_freshness import demand_pipenv, demand_poetry, demand_uv
from paas.builder.tree import Tree
from paas.errors import BadInput
from tests.builder.planning import PlanOf, lines, put
from tests.builder.test_python import requirements

LOCKS = Path(__file__).with_name("locks")
ALL = ("uv", "uv-groups", "poetry", "poetry-project", "pipenv")


def demand(folder: Path, tool: str, python: str = "3.11.2") -> None:
    with Tree(folder) as tree:
        if tool.startswith("uv"):
            demand_uv(tree)
        elif tool.startswith("poetry"):
            demand_poetry(tree, python)
        else:
            demand_pipenv(tree, python)


@pytest.mark.parametrize("python", ["3.11.2", "3.13.5"])
@pytest.mark.parametrize("name", ALL)
def test_a_fresh_lock_passes(name: str, python: str) -> None:
    """With markers, extras, groups, overrides, members of a workspace, packages from git and from folders."""
    demand(LOCKS / name, name, python)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("uv", '"Click >=8.0, <9"', '"click<9,>=8"'),
        ("uv", "gitlib = { git", 'idna = { index = "x" }\ngitlib = { git'),
        ("uv", 'web = ["its', 'more = ["numpy"]\nweb = ["its'),  # an extra that nobody asks for
        ("uv", 'dev = ["', 'dev = ["numpy", "'),
        ("uv", '"idna<3 ;', '"idna>=2,<3 ;'),  # another range, which what is locked fits as well
        ("uv", "dependencies = [", 'dynamic = ["dependencies"]\nx = ['),
        ("uv", '"gitlib"', '"gitlib>=99"'),
        ("uv", '"gitlib"', '"what is this"'),
        ("uv", 'members = ["packages/*"]', "members = []"),
        ("poetry", 'iniconfig = "*"', 'numpy = "*"'),
        ("poetry", 'six = "1.16.0"', 'six = "^1.15 || ^3"'),
        ("poetry", 'six = "1.16.0"', 'six = "~1.16"'),
        ("poetry", 'six = "1.16.0"', 'six = { path = "six" }'),
        ("poetry", 'six = "1.16.0"', 'six = "@1.x"'),
        ("poetry", 'six = "1.16.0"', 'numpy = { version = "*", optional = true }'),
        ("poetry", 'six = "1.16.0"', 'numpy = { version = "*", platform = "win32" }'),
        ("poetry-project", 'six = "^1"', 'numpy = "^1"'),  # Poetry heeds no others beside those of [project]
        ("poetry-project", '"idna",', '"idna>=2 ; banana",'),
        ("pipenv", 'six = "==1.16.0"', 'six = ">=1,<2"'),
        ("pipenv", 'six = "==1.16.0"', 'x = {path = "."}'),
        ("pipenv", 'six = "==1.16.0"', "numpy = {version = '*', markers = \"python_version < '3'\"}"),
        ("pipenv", 'six = "==1.16.0"', "numpy = {version = '*', sys_platform = \"== 'win32'\"}"),
        ("pipenv", 'iniconfig = "*"', 'numpy = "*"'),
    ],
)
def test_what_changes_nothing_passes(tmp_path: Path, name: str, old: str, new: str) -> None:
    demand(changed(tmp_path, name, old, new), name)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "uv",
            '"typing',
            '"requests", "typing',
            "pyproject.toml asks for requests, which uv.lock does not have",
        ),
        ("uv", '    "Click >=8.0, <9"', '    "click>=9"', "asks for click>=9, but uv.lock has 7.1.2"),
        (
            "uv",
            "httpx[http2]",
            "httpx[http2,cli]",
            "asks for httpx[http2,cli]~=0.20, which uv.lock does not have",
        ),
        ("uv", '"gitlib"', '"iniconfig"', "asks for iniconfig, which uv.lock does not have"),  # but for dev
        ("uv", '"h11", {', '"h11", "numpy", {', "asks for numpy, which"),
        ("uv", 'more = ["', 'more = ["numpy>=1", "', "asks for numpy>=1, which"),
        ("uv-groups", '"sniffio>=1"', '"sniffio>=99"', "asks for sniffio>=99, but uv.lock has 1.3.1"),
        ("uv-groups", '"h11"', '"requests"', "asks for requests, which"),
        ("poetry", 'h11 = "', 'requests = "^2.0"\nh11 = "', "asks for requests ^2.0, which"),
        ("poetry", 'six = "1.16.0"', 'six = "^1.17"', "asks for six ^1.17, but poetry.lock has 1.16.0"),
        ("poetry", 'six = "1.16.0"', 'six = "~1.15.0"', "asks for six ~1.15.0, but poetry.lock has 1.16.0"),
        (
            "poetry",
            'six = "1.16.0"',
            'six = "1.15 || ^2"',
            "asks for six 1.15 || ^2, but poetry.lock has 1.16.0",
        ),
        (
            "poetry",
            '["http2"]',
            '["http2", "cli"]',
            "asks for httpx[http2,cli] ^0.28, which poetry.lock does not",
        ),
        ("poetry", 'six = "1.16.0"', "numpy = { markers = \"python_version > '3'\" }", "asks for numpy, which"),
        (
            "poetry-project",
            '"idna",',
            '"requests>=2 ; os_name == \'posix\'", "idna",',
            "asks for requests>=2, which",
        ),
        ("poetry-project", '"idna",', '"idna>99",', "asks for idna>99, but poetry.lock has "),
        (
            "pipenv",
            'idna = "*"',
            'idna = "*"\nRe_quests = "*"',
            "Pipfile asks for Re_quests, which Pipfile.lock does",
        ),
        (
            "pipenv",
            'six = "==1.16.0"',
            'six = "~=1.17"',
            "Pipfile asks for six ~=1.17, but Pipfile.lock has 1.16.0",
        ),
        ("pipenv", 'six = "==1.16.0"', 'iniconfig = "<2"', "Pipfile asks for iniconfig <2, "),
    ],
)
def test_a_stale_lock_is_refused(tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
    folder = changed(tmp_path, name, old, new)
    command = {"u": "uv lock", "p": "poetry lock"}[name[0]] if name != "pipenv" else "pipenv lock"
    with pytest.raises(BadInput, match=re.escape(message)) as caught:
        demand(folder, name)
    assert caught.value.hint.startswith(f"run `{command}` and deploy the new ")


def test_a_member_of_the_workspace_counts_as_well(tmp_path: Path) -> None:
    folder = changed(
        tmp_path, "uv", '"toolz>=0.9"', '"toolz>=0.9", "numpy"', file="packages/core/pyproject.toml"
    )
    with pytest.raises(
        BadInput, match=r"packages/core/pyproject\.toml asks for numpy, which uv\.lock does not"
    ):
        demand(folder, "uv")


def test_a_project_that_had_no_dependencies(plan_of: PlanOf) -> None:
    lock = 'version = 1\n[[package]]\nname = "e"\nversion = "1"\nsource = { virtual = "." }\n'
    project = '[project]\nname = "e"\n'
    plan_of({"pyproject.toml": project, "uv.lock": lock, "Procfile": "web: x"})
    with pytest.raises(BadInput, match=r"asks for flask, which uv\.lock does not have"):
        plan_of({"pyproject.toml": f'{project}dependencies = ["flask"]', "uv.lock": lock, "Procfile": "web: x"})


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": "[tool.poetry.dependencies]\nflask = '*'\n", "poetry.lock": ""},
        {"Pipfile": "[packages]\nflask = '*'\n", "Pipfile.lock": "{}"},
    ],
)
def test_a_build_does_not_begin_with_a_stale_lock(plan_of: PlanOf, files: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="asks for flask, which "):
        plan_of({**files, "Procfile": "web: x"})
    plan, _ = plan_of({**files, "Procfile": "web: x", "requirements.txt": "flask"})  # then no lock is read
    assert put(plan)[0] == "COPY requirements.txt /app/"


def test_what_pipenv_leaves_open_is_left_open(plan_of: PlanOf) -> None:
    """It locks no version of what its own machine does not need. Then not all can be demanded to be pinned."""
    hashes = [f"sha256:{'a' * 64}"]
    tomli = {"version": "*", "markers": "python_version < '3.11'", "hashes": hashes}
    lock = {"default": {"tomli": tomli, "six": {"version": "==1.17.0", "hashes": hashes}}}
    plan, _ = plan_of({"Pipfile.lock": json.dumps(lock), "Pipfile": "", "Procfile": "web: x"})
    with_hash = f"--hash={hashes[0]}"
    assert requirements(plan) == [f"six==1.17.0 {with_hash}", f"tomli ; python_version < '3.11' {with_hash}"]
    assert "--require-hashes" not in lines(plan)[0]
    assert plan.files_read == ("Pipfile", "Pipfile.lock")


def changed(tmp_path: Path, name: str, old: str, new: str, file: str = "") -> Path:
    folder = tmp_path / "app"
    shutil.copytree(LOCKS / name, folder)
    path = folder / (file or ("Pipfile" if name == "pipenv" else "pyproject.toml"))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return folder


def test_a_lock_as_large_as_may_be_is_told_soon(tmp_path: Path) -> None:
    many = [f"a{number % 7}[x{number}]>={number}" for number in range(40_000)]
    rows = "".join(f"{{ name = 'a', specifier = '>={number}' }},\n" for number in range(40_000))
    (tmp_path / "pyproject.toml").write_text(f"[project]\nname = 'a'\ndependencies = {['a>=1', *many]}")
    root = (
        f"[[package]]\nname = 'a'\nsource = {{ virtual = '.' }}\n[package.metadata]\nrequires-dist = [{rows}]\n"
    )
    (tmp_path / "uv.lock").write_text(root)
    packages = "".join(f"[[package]]\nname = 'a{n % 7}'\nversion = '1'\n" for n in range(40_000))
    (tmp_path / "poetry.lock").write_text(
        packages + "[package.extras]\n" + "".join(f"x{n} = []\n" for n in range(40_000))
    )
    began = time.process_time()
    with pytest.raises(BadInput, match=r"asks for a0\[x0\]>=0, which"):
        demand(tmp_path, "uv")
    with pytest.raises(BadInput, match="asks for a>=1, which"):
        demand(tmp_path, "poetry")
    (tmp_path / "pyproject.toml").write_text(f"[project]\nname = 'a'\ndependencies = {many}")
    demand(tmp_path, "poetry")
    assert time.process_time() - began < 60
