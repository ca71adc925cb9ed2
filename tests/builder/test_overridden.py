"""Where two files say the same thing in different ways, the build log says which of them counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.images import Store
from tests.builder.planning import planned, source

TOML = """\
[processes.web]
command = "own-web"
count = 2
[release]
command = "own-release"
[env]
A = "own"
B = "same"
[stages.staging.processes.worker]
command = "own-worker"
"""
HEROKU = """\
build: {docker: {web: D}, config: {X: theirs}}
run: {web: heroku-web, worker: heroku-worker, clock: same}
release: {command: heroku-release}
setup: {config: {A: theirs, B: same, C: theirs}}
"""
APP_JSON = '{"env": {"C": "other", "D": "mine"}, "formation": {"web": {"quantity": 3}}}'
FILES = {"heroku.yml": HEROKU, "app.json": APP_JSON, "D": "FROM scratch\nCOPY D /\n"}


def said(store: Store, folder: Path, files: dict[str, str], stage: str = "production") -> list[str]:
    """The lines of the log that say what is not used."""
    lines: list[bytes] = []
    planned(source(folder, files), store, stage, say=lines.append)
    return [line.decode().rstrip() for line in lines if b"ignored" in line]


def test_each_setting_that_another_file_replaced_is_said(store: Store, tmp_path: Path) -> None:
    files = {
        **FILES,
        "berth.toml": TOML + '[build.args]\nX = "own"\n',
        "Procfile": "web: procfile-web\nclock: same\nrelease: procfile-release\n",
    }
    replaced = [
        "app.json: its C is ignored, for heroku.yml sets it",
        "web: berth.toml's command is used, the Procfile's and heroku.yml's are ignored",
        "web: berth.toml's count is used, app.json's is ignored",
        "release: berth.toml's command is used, the Procfile's and heroku.yml's are ignored",
        "env A: berth.toml's value is used, heroku.yml's is ignored",
        "build arg X: berth.toml's value is used, heroku.yml's is ignored",
    ]
    assert said(store, tmp_path, files) == replaced
    worker = "worker: berth.toml's command is used, heroku.yml's is ignored"
    assert worker in said(store, tmp_path, files, "staging")


def test_the_procfile_comes_before_heroku_yml(store: Store, tmp_path: Path) -> None:
    files = {**FILES, "app.json": "{}", "Procfile": "worker: procfile-worker\nrelease: procfile-release\n"}
    assert said(store, tmp_path, files) == [
        "worker: the Procfile's command is used, heroku.yml's is ignored",
        "release: the Procfile's command is used, heroku.yml's is ignored",
    ]


@pytest.mark.parametrize(
    ("build", "what"), [('dockerfile = "E"', "Dockerfile"), ('builder = "static"', "builder")]
)
def test_a_dockerfile_of_another_file_that_is_not_used(
    store: Store, tmp_path: Path, build: str, what: str
) -> None:
    files = {
        "heroku.yml": "build: {docker: {web: D}}\n",
        "D": "",
        "E": "FROM scratch\nCOPY D /\nCMD x\n",
        "index.html": "",
        "berth.toml": f"[build]\n{build}\n",
    }
    assert said(store, tmp_path, files) == [f"berth.toml's {what} is used, heroku.yml's Dockerfile is ignored"]


def test_settings_without_end_are_said_in_short(store: Store, tmp_path: Path) -> None:
    names = [f"V{number}" for number in range(30)]
    toml = "[env]\n" + "".join(f'{name} = "own"\n' for name in names)
    heroku = "setup:\n  config:\n" + "".join(f"    {name}: theirs\n" for name in names)
    files = {"berth.toml": toml, "heroku.yml": heroku, "index.html": ""}
    lines: list[bytes] = []
    planned(source(tmp_path, files), store, say=lines.append)
    assert sum(line.startswith(b"env V") for line in lines) == 20
    assert b"10 more settings are replaced so\n" in lines


def test_what_says_the_same_is_not_said(store: Store, tmp_path: Path) -> None:
    files = {
        "berth.toml": '[processes.web]\ncommand = "x"\ncount = 1\n',
        "Procfile": "web: x\n",
        "app.json": '{"formation": {"web": {"quantity": 1}}}',
        "index.html": "",
    }
    assert said(store, tmp_path, files) == []
