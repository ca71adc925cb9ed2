"""Wishes for a language's version, in the words of each tool, against the lines that Debian 12 and 13 have."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.builder.buildpacks.versions import Wish, choose
from paas.errors import BadInput
from paas.images import Store
from tests.builder.planning import planned, source


@pytest.mark.parametrize(
    ("language", "text", "chosen"),
    [
        ("python", "3.11", "3.11"),
        ("python", "3.11.4", "3.11"),
        ("python", "3", "3.11"),
        ("python", ">=3.12", "3.13"),
        ("python", ">=3.10,<3.13", "3.11"),
        ("python", "==3.13.*", "3.13"),
        ("python", "~=3.11", "3.11"),
        ("python", "^3.12", "3.13"),
        ("python", "!=3.11.*,>=3.9", "3.13"),
        ("python", "3.13.0rc1", "3.13"),
        ("node", "18", "18"),
        ("node", "v20.11.1", "20"),
        ("node", "20.x", "20"),
        ("node", "lts/*", "18"),
        ("node", "lts/Iron", "20"),
        ("node", ">=18", "18"),
        ("node", ">18", "20"),
        ("node", "^16 || ^20", "20"),
        ("node", "16 - 19", "18"),
        ("node", "<20", "18"),
        ("node", "<=20", "18"),
        ("node", ">=20.9 <21", "20"),
        ("node", "~20.19.0", "20"),
        ("node", "*", "18"),
        ("php", "^8.2", "8.2"),
        ("php", "~8.3", "8.4"),
        ("php", ">=8.3", "8.4"),
        ("php", "^7.4|^8.1", "8.2"),
        ("php", "8.4.*", "8.4"),
        ("ruby", "3.1.2", "3.1"),
        ("ruby", "~> 3.2", "3.3"),
        ("ruby", "~> 3.1.0", "3.1"),
        ("ruby", ">= 3.0, < 3.2", "3.1"),
        ("go", ">=1.18", "1.19"),
        ("go", ">=1.21.3", "1.24"),
    ],
)
def test_the_line_that_fits(language: str, text: str, chosen: str) -> None:
    assert choose(language, Wish(text, "a file"), "bookworm").version == chosen


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", "3.9"),
        ("python", "3.14.0a1"),
        ("node", "16"),
        ("node", "~18.2"),
        ("node", ">=22"),
        ("php", "^7.4"),
        ("ruby", "~> 2.7.0"),
        ("go", ">=1.25"),
    ],
)
def test_what_is_not_to_be_had_lists_what_is(language: str, text: str) -> None:
    with pytest.raises(BadInput, match=r"^a file, line 3: asks for .*; available: [\d.]+, [\d.]+; ") as caught:
        choose(language, Wish(text, "a file", 3), "bookworm")
    assert caught.value.details["line"] == 3


@pytest.mark.parametrize("text", ["banana", "18 and up", "", ">= ", "20 || ", "1" * 1_000_000])
def test_what_is_no_version(text: str) -> None:
    if not text:  # an empty range means any
        assert choose("node", Wish(text, "f"), "bookworm").version == "18"
        return
    with pytest.raises(BadInput, match=r"is no version of Node .*; available: 18, 20 \("):
        choose("node", Wish(text, "f"), "bookworm")


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("node", "lts/gallium", 'no version of Node .* available: 18, 20 .write it as "18" or ">=18"'),
        ("node", "lts/-1", "available: 18, 20 "),
        ("python", "pypy3.9", r'no version of Python .* available: 3\.11, 3\.13 .write it as "3\.11"'),
        ("ruby", "jruby-9.4", r'no version of Ruby .* available: 3\.1, 3\.3 .write it as "3\.1"'),
    ],
)
def test_a_name_that_is_no_version_lists_what_there_is(language: str, text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        choose(language, Wish(text, "a file", 3), "bookworm")
    assert len(caught.value.details["available"]) == 2


def test_without_a_wish_it_is_the_one_of_the_machines_own_debian() -> None:
    assert choose("node", None, "bookworm").version == "18"
    assert choose("node", None, "trixie").version == "20"
    assert choose("node", Wish(">=18", "f"), "trixie").version == "20"


PYTHON = {"requirements.txt": "", "app.py": ""}
NODE = {"package.json": '{\n "engines": {\n  "node": "18"}, "main": "a.js"\n}', "a.js": ""}
GEMS = "PATH\n\nRUBY VERSION\n   ruby 3.3.1p10\n"


@pytest.mark.parametrize(
    ("files", "base"),
    [
        ({**PYTHON, "runtime.txt": "python-3.13.1\n"}, "debian:13"),
        ({**PYTHON, "runtime.txt": "python-3.13.1", ".python-version": "# mine\n3.11\n"}, "debian:12"),
        ({**PYTHON, ".python-version": "3.11", "berth.toml": "[build]\npython='3.13'"}, "debian:13"),
        ({**PYTHON, "pyproject.toml": "[project]\nname='a'\nrequires-python='>=3.12'"}, "debian:13"),
        (NODE, "berth/node:18"),
        ({**NODE, ".node-version": "20"}, "berth/node:20"),
        ({**NODE, ".node-version": "18", ".nvmrc": "v20\n"}, "berth/node:20"),
        ({"index.php": "", "composer.json": '{"require": {"php": ">=8.3"}}'}, "berth/php:8.4"),
        ({"Gemfile": "ruby '~> 3.2'", "Procfile": "web: x"}, "berth/ruby:3.3"),
        ({"Gemfile": "", "Gemfile.lock": GEMS, "Procfile": "web: x"}, "berth/ruby:3.3"),
        ({"Gemfile": "", ".ruby-version": "ruby-3.1.4", "Procfile": "web: x"}, "berth/ruby:3.1"),
    ],
)
def test_where_wishes_are_read(store: Store, tmp_path: Path, files: dict[str, str], base: str) -> None:
    plan, _ = planned(source(tmp_path, files), store)
    assert plan.stages[-1].base == base


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({**PYTHON, ".python-version": "# old\n2.7"}, ".python-version, line 2"),
        ({**NODE, "package.json": NODE["package.json"].replace('"18"', '"14"')}, "package.json, line 3"),
        ({"go.mod": "module a\n\ngo 1.99\n", "main.go": "package main"}, "go.mod, line 3"),
        ({"Gemfile": "# x\nruby '2.7.8'"}, "Gemfile, line 2"),
        ({**PYTHON, "berth.toml": "[build]\npython='3.12'"}, "berth.toml"),
    ],
)
def test_where_a_wish_that_fails_stands(
    store: Store, tmp_path: Path, files: dict[str, str], place: str
) -> None:
    with pytest.raises(BadInput) as caught:
        planned(source(tmp_path, files), store)
    assert caught.value.summary.startswith(f"{place}: asks for ")
