"""Files that a builder reads by name and that are links: to one of the source, or to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.builder.procfile import shell
from paas.errors import BadInput
from paas.images import Store
from tests.builder.planning import package, planned, source

DOCKERFILE = {"Dockerfile": "FROM python:3\nCMD x"}
PROCFILE = {"Procfile": "web: x"}
PYPROJECT = {"pyproject.toml": "[project]\nname = 'a'\n", **PROCFILE}


@pytest.mark.parametrize(
    ("link", "files"),
    [
        ("Dockerfile", {}),
        ("berth.toml", DOCKERFILE),
        ("Procfile", DOCKERFILE),
        (".dockerignore", DOCKERFILE),
        ("Dockerfile.dockerignore", DOCKERFILE),
        ("app.json", DOCKERFILE),
        ("heroku.yml", DOCKERFILE),
        ("captain-definition", DOCKERFILE),
        ("deploy/Dockerfile", {"berth.toml": '[build]\ndockerfile = "deploy/Dockerfile"'}),
        ("deploy", {"berth.toml": '[build]\ndockerfile = "deploy/Dockerfile"'}),
        ("site", {"berth.toml": '[build]\nbuilder = "static"\nroot = "site"'}),
        ("requirements.txt", PROCFILE),
        ("more.txt", {"requirements.txt": "-r more.txt", **PROCFILE}),
        ("pyproject.toml", PROCFILE),
        ("uv.lock", PYPROJECT),
        ("poetry.lock", PYPROJECT),
        ("Pipfile.lock", PROCFILE),
        (".python-version", {"requirements.txt": "", **PROCFILE}),
        ("package.json", PROCFILE),
        ("package-lock.json", {"package.json": package(), **PROCFILE}),
        ("yarn.lock", {"package.json": package(), **PROCFILE}),
        ("pnpm-lock.yaml", {"package.json": package(), **PROCFILE}),
        (".npmrc", {"package.json": package(), **PROCFILE}),
        (".nvmrc", {"package.json": package(), **PROCFILE}),
        ("Gemfile", PROCFILE),
        ("Gemfile.lock", {"Gemfile": "", **PROCFILE}),
        (".ruby-version", {"Gemfile": "", **PROCFILE}),
        ("composer.json", {"index.php": "", **PROCFILE}),
        ("composer.lock", {"composer.json": "{}", "index.php": "", **PROCFILE}),
        ("index.php", {}),
        ("go.mod", PROCFILE),
        ("go.sum", {"go.mod": "module a", "main.go": "package main", **PROCFILE}),
        ("index.html", {}),
    ],
)
@pytest.mark.parametrize("target", ["nowhere", "/etc/passwd", "../outside", "itself"])
def test_a_link_to_nothing_is_told(
    store: Store, tmp_path: Path, link: str, files: dict[str, str], target: str
) -> None:
    (tmp_path / "outside").write_text("FROM debian:12")
    root = source(tmp_path, files)
    place = root / link
    place.parent.mkdir(exist_ok=True)
    target = place.name if target == "itself" else target
    place.symlink_to(target)
    with pytest.raises(BadInput) as caught:
        planned(root, store)
    said = f"{link} is a link to {target!r}, which leads to nothing in the source"
    assert caught.value.summary == said
    assert caught.value.hint.startswith("put the file itself in its place")


def test_a_link_to_a_file_of_the_source_counts(store: Store, tmp_path: Path) -> None:
    files = {"deploy/Dockerfile": "FROM python:3\nCMD x", "deploy/Procfile": "web: y"}
    root = source(tmp_path, files)
    for name in ("Dockerfile", "Procfile"):
        (root / name).symlink_to(f"deploy/{name}")
    plan, (web,) = planned(root, store)
    assert plan.builder == "dockerfile" and web.args == shell("y")


def test_links_to_nothing_that_no_builder_asks_for_do_no_harm(store: Store, tmp_path: Path) -> None:
    """As editors make them to lock a file, and as files of other platforms."""
    root = source(tmp_path, {"requirements.txt": "", "web.py": "", **PROCFILE})
    for name in (".#web.py", "docker-compose.yml", "notes.txt", "package.json"):
        (root / name).symlink_to("me@host.1234")
    plan, _ = planned(root, store)
    assert plan.builder == "python"
