"""Wishes for a language's version, in the words of each tool, against the lines that Debian 12 and 13 have."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.builder.buildpacks import Bases
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
        ("python", ">=3.11.2", "3.11"),
        ("python", ">=3.11.4", "3.13"),
        ("python", ">3.11.2", "3.13"),
        ("python", "<=3.11.2", "3.11"),
        ("python", "!=3.11.2", "3.13"),
        ("python", "~=3.11.1", "3.11"),
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
        ("go", ">=1.19.9", "1.24"),
    ],
)
def test_the_line_that_fits(bases: Bases, language: str, text: str, chosen: str) -> None:
    assert choose(language, Wish(text, "a file"), bases).version == chosen


@pytest.mark.parametrize(
    ("language", "text", "chosen"),
    [
        ("python", "==3.11.2", "3.11"),
        ("python", "==3.13.*", "3.13"),
        ("php", "8.2.*", "8.2"),
        ("php", "8.4.11", "8.4"),
        ("ruby", "3.3.8", "3.3"),
        ("ruby", "~> 3.1.0", "3.1"),
        ("node", "18", "18"),
        ("node", "18.20", "18"),
        ("node", "20.19.2", "20"),
    ],
)
def test_an_exact_version_that_a_tool_compares(bases: Bases, language: str, text: str, chosen: str) -> None:
    assert choose(language, Wish(text, "f", is_strict=True), bases).version == chosen


@pytest.mark.parametrize(
    ("language", "text", "available"),
    [
        ("python", "==3.11.4", r"3\.11\.2, 3\.13\.5"),
        ("python", "==3.11", r"3\.11\.2, 3\.13\.5"),
        ("php", "8.2.10", r"8\.2\.29, 8\.4\.11"),
        ("php", "8.2", r"8\.2\.29, 8\.4\.11"),
        ("ruby", "3.1.4", r"3\.1\.2, 3\.3\.8"),
        ("node", "18.19.0", r"18\.20\.4, 20\.19\.2"),
    ],
)
def test_an_exact_version_that_a_tool_would_refuse(
    bases: Bases, language: str, text: str, available: str
) -> None:
    with pytest.raises(BadInput, match=f"is not to be had; available: {available}; "):
        choose(language, Wish(text, "f", is_strict=True), bases)


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
        ("go", ">=1.24.99"),
        ("php", ">=8.4.30"),
        ("python", ">=3.11.3,<3.13.5"),
    ],
)
def test_what_is_not_to_be_had_lists_what_is(bases: Bases, language: str, text: str) -> None:
    with pytest.raises(BadInput, match=r"^a file, line 3: asks for .*; available: [\d.]+, [\d.]+; ") as caught:
        choose(language, Wish(text, "a file", 3), bases)
    assert caught.value.details["line"] == 3


@pytest.mark.parametrize("text", ["banana", "18 and up", "", ">= ", "20 || ", "1" * 1_000_000])
def test_what_is_no_version(bases: Bases, text: str) -> None:
    if not text:  # an empty range means any
        assert choose("node", Wish(text, "f"), bases).version == "18"
        return
    with pytest.raises(BadInput, match=r"is no version of Node .*; available: 18\.20\.4, 20\.19\.2 \("):
        choose("node", Wish(text, "f"), bases)


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        (
            "node",
            "lts/gallium",
            r'no version of Node .* available: 18\.20\.4, 20\.19\.2 .write it as "18" or ">=18"',
        ),
        ("node", "lts/-1", r"available: 18\.20\.4, 20\.19\.2 "),
        ("python", "pypy3.9", r'no version of Python .* available: 3\.11\.2, 3\.13\.5 .write it as "3\.11"'),
        ("ruby", "jruby-9.4", r'no version of Ruby .* available: 3\.1\.2, 3\.3\.8 .write it as "3\.1"'),
    ],
)
def test_a_name_that_is_no_version_lists_what_there_is(
    bases: Bases, language: str, text: str, words: str
) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        choose(language, Wish(text, "a file", 3), bases)
    assert len(caught.value.details["available"]) == 2


def test_without_a_wish_it_is_the_one_of_the_machines_own_debian(bases: Bases) -> None:
    assert choose("node", None, bases).version == "18"
    bases.suite = "trixie"
    assert choose("node", None, bases).version == "20"
    assert choose("node", Wish(">=18", "f"), bases).version == "20"


def test_images_are_made_only_where_the_answer_hangs_on_the_patch_level(tmp_path: Path) -> None:
    bases = Bases(Store(tmp_path / "empty"), "bookworm", pytest.fail, check=lambda: None)
    assert choose("python", Wish(">=3.12.4", "f"), bases).version == "3.13"
    with pytest.raises(BadInput, match=r"available: 3\.11, 3\.13;"):
        choose("python", Wish(">=3.14.1", "f"), bases)


@pytest.mark.parametrize("text", ["latest", "node", "stable", "lts/*", "lts/iron"])
def test_nodes_names_are_nodes_alone(bases: Bases, text: str) -> None:
    with pytest.raises(BadInput, match=r"is no version of Python .* available: 3\.11\.2, 3\.13\.5 "):
        choose("python", Wish(text, ".python-version", 1), bases)


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


UV = {"uv.lock": "", "app.py": ""}


def requires(text: str) -> str:
    return f"[project]\nname = 'a'\nrequires-python = '{text}'\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {**PYTHON, ".python-version": "3.11.9"},
            ".python-version, line 1: Python 3.11.9 asked for, 3.11.2 is",
        ),
        ({**PYTHON, "runtime.txt": "python-3.13.1"}, "runtime.txt, line 1: Python 3.13.1 asked for, 3.13.5 is"),
        ({**PYTHON, "runtime.txt": "python-3.13.5"}, ""),
        ({**PYTHON, "runtime.txt": "python-3.13"}, ""),
        ({**PYTHON, "pyproject.toml": requires("==3.11.9")}, "pyproject.toml, line 3: Python 3.11.9 asked for"),
        ({**NODE, ".nvmrc": "v20.11.1"}, ".nvmrc, line 1: Node 20.11.1 asked for, 20.19.2 is what Debian has"),
        (
            {
                **NODE,
                "package.json": NODE["package.json"].replace('"18"', '"18.19.0"'),
                "package-lock.json": "",
            },
            "package.json, line 3: Node 18.19.0 asked for, 18.20.4 is",  # npm warns
        ),
        (
            {"Gemfile": "", ".ruby-version": "3.1.4", "Procfile": "web: x"},
            ".ruby-version, line 1: Ruby 3.1.4 asked",
        ),
        ({"Gemfile": "", "Gemfile.lock": GEMS, "Procfile": "web: x"}, "Gemfile.lock, line 4: Ruby 3.3.1 asked"),
        ({"index.php": "", "composer.json": '{"require": {"php": ">=8.2.1"}}'}, ""),
    ],
)
def test_which_patch_level_a_pin_gets_is_said(
    store: Store, tmp_path: Path, files: dict[str, str], said: str
) -> None:
    log: list[bytes] = []
    planned(source(tmp_path, files), store, say=log.append)
    told = [line for line in b"".join(log).decode().splitlines() if "asked for" in line]
    assert len(told) == bool(said) and said in "".join(told)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {**UV, "pyproject.toml": requires("==3.11.4")},
            r"toml, line 3: asks for Python '==3\.11\.4', which is not to be had; available: 3\.11\.2",
        ),
        (
            {**UV, "pyproject.toml": requires(">=3.11.4"), ".python-version": "3.11"},
            r"asks for Python '>=3\.11\.4', but another file chose 3\.11, which is 3\.11\.2; available: ",
        ),
        (
            {"Gemfile": "ruby '3.1.4'"},
            r"Gemfile, line 1: asks for Ruby '3\.1\.4'.*available: 3\.1\.2, 3\.3\.8;",
        ),
        (
            {"Gemfile": "ruby '3.1.4'", ".ruby-version": "3.1.4"},
            r"Gemfile, line 1: asks for Ruby '3\.1\.4', but another file chose 3\.1, which is 3\.1\.2; ",
        ),
        (
            {"index.php": "", "composer.json": '{"require": {"php": "8.2.10"}}'},
            r"asks for PHP '8\.2\.10', .*available: 8\.2\.29, 8\.4\.11;",
        ),
        (
            {**NODE, "package.json": NODE["package.json"].replace('"18"', '"18.19.0"'), "yarn.lock": ""},
            r"package.json, line 3: asks for Node '18\.19\.0', .*available: 18\.20\.4, 20\.19\.2;",
        ),
        ({"go.mod": "module a\ngo 1.24.99\n", "main.go": "package main"}, r"available: 1\.19\.8, 1\.24\.4;"),
    ],
)
def test_what_the_languages_tool_would_refuse(
    store: Store, tmp_path: Path, files: dict[str, str], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        planned(source(tmp_path, {**files, "Procfile": "web: x"}), store)


def test_a_platform_that_composer_is_told_of_is_not_compared(store: Store, tmp_path: Path) -> None:
    manifest = '{"require": {"php": "8.2.10"}, "config": {"platform": {"php": "8.2.10"}}}'
    plan, _ = planned(source(tmp_path, {"index.php": "", "composer.json": manifest}), store)
    assert plan.stages[-1].base == "berth/php:8.2"
