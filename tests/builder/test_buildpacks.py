"""Which buildpack a source gets, and what its owner is told when none of it is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.builder.build import make_plan, read_inputs
from paas.builder.buildpacks import ALL, BY_NAME, Bases
from paas.builder.config import BUILDERS
from paas.builder.log import BuildLog
from paas.builder.tree import Tree
from paas.errors import BadInput
from paas.images import Store
from tests.builder.planning import PlanOf, bases, package, planned, source


def test_every_buildpack_can_be_named_in_berth_toml() -> None:
    assert {pack.NAME for pack in ALL} - {"static by Node"} == set(BUILDERS) - {"dockerfile"}
    assert BY_NAME["static"].NAME == "static"


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


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"pyproject.toml": "[tool.poetry]\n"}, "no poetry.lock: .*; run `poetry lock`"),
        ({"Pipfile": "[packages]"}, "no Pipfile.lock: .*; run `pipenv lock`"),
        ({"pyproject.toml": "a = = 1"}, r"pyproject.toml: .*\(at line 1"),
        ({"pyproject.toml": "", "uv.lock": "<<<<"}, r"uv\.lock: .*; make it again: `uv lock`"),
        ({"pyproject.toml": "", "poetry.lock": "<<<<"}, r"poetry\.lock: .*; make it again: `poetry lock`"),
        ({"Pipfile.lock": "<<<<"}, r"Pipfile\.lock: .*; make it again: `pipenv lock`"),
        ({"package.json": "{'a': 1}"}, "package.json, line 1: .*it must be JSON"),
        ({"composer.json": "[]", "index.php": ""}, "composer.json is not a JSON object"),
        ({"composer.json": "{}"}, r"none of public/index.php, web/index.php, index.php.*\[build\] root"),
        ({"go.mod": "module a"}, "no program to build"),
        ({"Gemfile": "gem 'puma'", "config.ru": ""}, "; run `bundle lock` and deploy Gemfile.lock too"),
        (
            {"Gemfile": "", "Gemfile.lock": "GEM\n", "config.ru": ""},
            "add puma to the Gemfile and run `bundle lock`",
        ),
        ({"Gemfile": "", "Gemfile.lock": "GEM\n"}, r"add a config.ru .* `web: bundle exec ruby app.rb`"),
        ({"berth.toml": "[build]\nbuilder='go'"}, "needs go.mod"),
        ({"berth.toml": "[build]\nbuilder='ruby'"}, "needs a Gemfile"),
        ({"berth.toml": "[build]\nbuilder='node'"}, "needs package.json"),
    ],
)
def test_what_an_owner_is_told(plan_of: PlanOf, files: dict[str, str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        plan_of(files)


def test_nothing_is_made_for_an_app_that_cannot_be_run(tmp_path: Path) -> None:
    said: list[bytes] = []
    with pytest.raises(BadInput, match="no process is named"):
        planned(source(tmp_path, {"Gemfile": ""}), Store(tmp_path / "store"), say=said.append)
    assert said[:2] == [b"Builder: ruby (there is Gemfile)\n", b"Read: Gemfile\n"]


class Making(Exception):
    """In place of minutes of apt."""


def test_what_was_read_is_said_before_an_image_is_made(tmp_path: Path) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "it is made now" in line:
            raise Making

    folder = source(tmp_path, {"Gemfile": "", "Procfile": "web: x"})
    with Tree(folder) as tree:
        made = Bases(Store(tmp_path / "store"), "bookworm", say, check=lambda: None)
        plan = make_plan(read_inputs(tree, "production"), tree, made, BuildLog(lambda line: say(line.decode())))
        assert bases(plan) == ["berth/ruby:3.1-build", "berth/ruby:3.1"]
        assert dict(plan.image.env)["LANG"] == "C.UTF-8"
        with pytest.raises(Making):
            made.make()
    assert "Read: Gemfile\n" in said[:-1]
    assert said[-1] == "berth/ruby:3.1 is not on this machine yet: it is made now, once for everybody"
