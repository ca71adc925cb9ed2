"""Which buildpack a source gets, and what its owner is told when none of it is right."""

from __future__ import annotations

import pytest

from paas.builder.buildpacks import ALL, BY_NAME
from paas.builder.config import BUILDERS
from paas.errors import BadInput
from tests.builder.planning import PlanOf, package


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
