"""berth.toml: the documented example is the manual, and each mistake names its line, key and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.builder.config import BuildConfig, Config, ProcessConfig, StageConfig, parse
from paas.builder.toml_lines import lines_of
from paas.errors import BadInput
from paas.specs import MIB, HealthCheck

EXAMPLE = Path(__file__).parents[2] / "docs/reference/berth.toml"


def sh(command: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f"exec {command}")


def test_the_documented_example_is_read_as_documented() -> None:
    assert parse(EXAMPLE.read_text()) == Config(
        build=BuildConfig(
            builder="python",
            dockerfile="Dockerfile",
            target="final",
            python="3.11",
            node="20",
            php="8.2",
            ruby="3.1",
            go="1.19",
            root="public",
            fallback="index.html",
            args=(("GREETING", "hello"),),
        ),
        processes={
            "web": ProcessConfig(sh("gunicorn app:app"), 256 * MIB, 500, 2, False, None, 900),
            "worker": ProcessConfig(("python", "-m", "worker"), 128 * MIB, port=5432),
        },
        release=sh("python -m app migrate"),
        health=HealthCheck(path="/healthz", timeout=30.0),
        env=(("LOG_LEVEL", "info"),),
        volumes=(("data", "/var/lib/data"),),
        stages={
            "staging": StageConfig(
                processes={"web": ProcessConfig((), 128 * MIB, None, 1)}, env=(("LOG_LEVEL", "debug"),)
            )
        },
    )


def test_a_stage_changes_only_what_it_names() -> None:
    staging = parse(EXAMPLE.read_text()).for_stage("staging")
    web = ProcessConfig(sh("gunicorn app:app"), 128 * MIB, 500, 1, False, None, 900)
    assert staging.processes["web"] == web
    assert staging.processes["worker"] == ProcessConfig(("python", "-m", "worker"), 128 * MIB, port=5432)
    assert staging.env == (("LOG_LEVEL", "debug"),)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ('"10s"', 10),
        ('"90"', 90),
        ("90", 90),
        ('"10m"', 600),
        ('"2h"', 7200),
        ('"30d"', 2_592_000),
        ('"never"', 0),
    ],
)
def test_idle_times(written: str, seconds: int) -> None:
    text = f"[processes.web]\nsleep = {written}\n[stages.test.processes.web]\ncount = 1"
    assert parse(text).for_stage("test").processes["web"].sleep_after == seconds
    woken = parse(f'{text}\nsleep = "never"').for_stage("test").processes["web"]
    assert woken.sleep_after == 0, "a stage may say never"


def test_a_stage_that_is_not_named_changes_nothing() -> None:
    config = parse(EXAMPLE.read_text())
    assert config.for_stage("production") == config


def test_an_argument_may_be_empty() -> None:
    found = parse("[processes.db]\ncommand = ['redis-server', '--save', '']").processes["db"]
    assert found.command == ("redis-server", "--save", "")


def test_nothing_at_all_is_a_valid_file() -> None:
    assert parse("") == Config()


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ('[build]\nbilder = "python"', 2, "build.bilder", ["did you mean 'builder'?"]),
        ('[build]\nbuilder = "pyton"', 2, "build.builder", ["did you mean 'python'?", "static, dockerfile"]),
        ('[bulid]\nbuilder = "python"', 1, "bulid", ["did you mean 'build'?"]),
        ('[build]\ndockerfile = "../Dockerfile"', 2, "build.dockerfile", ["inside the source"]),
        ('[build]\nroot = "/etc"', 2, "build.root", ["inside the source"]),
        ("[processes.web]\nmemory = 256", 2, "processes.web.memory", ["whole number", 'memory = "…"']),
        ('[processes.web]\nmemory = "1K"', 2, "processes.web.memory", ['"16M" to "256G"']),
        ('[processes.web]\nmemory = "999999G"', 2, "processes.web.memory", ['"16M" to "256G"']),
        ('[processes.web]\n\n# x\ncpu = "1"', 4, "processes.web.cpu", ["text", "without quotes"]),
        ("[processes.web]\ncpu = 0", 2, "processes.web.cpu", ["0.05 to 64"]),
        ("[processes.web]\ncount = 1.5", 2, "processes.web.count", ["whole number"]),
        ("[processes.web]\ncount = true", 2, "processes.web.count", ["true or false"]),
        ("[processes.web]\ncount = 51", 2, "processes.web.count", ["0 to 50"]),
        (
            '[processes.web]\nsleep = "soon"',
            2,
            "processes.web.sleep",
            ["'soon' is not a time", '"10m"', '"never"'],
        ),
        ("[processes.web]\n\nsleep = 9", 3, "processes.web.sleep", ["'9' is not a time", "10 seconds to 30"]),
        ("[processes.web]\nsleep = -60", 2, "processes.web.sleep", ["'-60' is not a time"]),
        ('[processes.web]\nsleep = "31d"', 2, "processes.web.sleep", ["10 seconds to 30 days"]),
        ("[processes.web]\nsleep = false", 2, "processes.web.sleep", ["is true or false", '"never"']),
        ("[processes.web]\nsleep = 1.5", 2, "processes.web.sleep", ["not text or a whole number", '"10m"']),
        ("[processes.web]\nslep = 60", 2, "processes.web.slep", ["did you mean 'sleep'?"]),
        ("[processes.web]\ncommand = []", 2, "processes.web.command", ["not a command"]),
        ("[processes.web]\ncommand = ['', 'x']", 2, "processes.web.command", ["not a command"]),
        ("[processes.web]\ncommand = ['x', 1]", 2, "processes.web.command", ["not a command"]),
        ("[processes.web]\ncommand = 'a\\u0000'", 2, "processes.web.command", None),
        ("[processes.'we b']\ncommand = 'a'", 1, "processes.we b", ["letters, digits"]),
        ("[processes.release]\ncommand = 'a'", 1, "processes.release", ["[release]"]),
        ("[processes]\nweb = {command = 'x', cpus = 1}", 2, "processes.web.cpus", ["'cpu'"]),
        ("[health]\npath = 'healthz'", 2, "health.path", ['begins with "/"']),
        ("[health]\npath = '/a b'", 2, "health.path", ['begins with "/"']),
        ("[health]\ntimeout = 0", 2, "health.timeout", ["1 to 600"]),
        ("[env]\nDEBUG = 1", 2, "env.DEBUG", ["in quotes"]),
        ("[env]\n'A=B' = 'x'", 2, "env.A=B", ["variable's name"]),
        ('[env]\nA = "a\\u0000b"', 2, "env.A", ["NUL"]),
        ("[env]\nA = '1'\nPORT = '80'", 3, "env.PORT", ["set by Berth itself"]),
        ("[stages.test.env]\nBerth_X = '1'", 2, "stages.test.env.Berth_X", ["set by Berth itself"]),
        ("[stages.Prod.env]\nA = 'x'", 1, "stages.Prod", ["lower-case"]),
        ("[stages.test.health]\npath = '/'", 1, "stages.test.health", ["processes, env"]),
        ("build = 1", 1, "build", ["[build]"]),
        ("[volumes]\n'a/b' = '/data'", 2, "volumes.a/b", ["not a volume's name", "lower-case"]),
        ("[volumes]\ndata = 1", 2, "volumes.data", ["whole number", "in quotes"]),
        ("[volumes]\n\ndata = 'data'", 3, "volumes.data", ["absolute path", 'write "/data"']),
        ("[volumes]\ndata = '/srv//x/../data/'", 2, "volumes.data", ['write "/srv/data"']),
        ("[volumes]\ndata = '/a b'", 2, "volumes.data", ['write "/var/lib/data"']),
        ('[volumes]\ndata = "/a\\nb"', 2, "volumes.data", ["absolute path"]),
        ("[volumes]\ndata = '/'", 2, "volumes.data", ["over /", '"/data"']),
        ("[volumes]\ndata = '/proc/x'", 2, "volumes.data", ["the kernel's", '"/var/lib/data"']),
        ("[volumes]\ndata = '/sys'", 2, "volumes.data", ["the kernel's"]),
        ("[volumes]\ndata = '/dev/shm'", 2, "volumes.data", ["the kernel's"]),
        ("[volumes]\ndata = '/etc/hosts'", 2, "volumes.data", ["by Berth itself", '"/etc/data"']),
        ("[volumes]\ndata = '/etc/hosts/x'", 2, "volumes.data", ["/etc/hosts is a file", '"/etc/data"']),
        ("[volumes]\ndata = '/usr'", 2, "volumes.data", ["hide all of /usr", '"/usr/data"']),
        ("[volumes]\na = '/srv/x'\nb = '/srv/x/y'", 3, "volumes.b", ["lie in each other", '"/srv/b"']),
        ("[volumes]\na = '/srv'\nb = '/srv'", 3, "volumes.b", ["lie in each other", '"/b"']),
        ("[volumes]\n" + "\n".join(f"v{n} = '/v/{n}'" for n in range(17)), 1, "volumes", ["may have 16"]),
        ("[env]\nA = 1979-05-27", 2, "env.A", ["a date or time"]),
    ],
)
def test_a_mistake_names_its_line_key_and_remedy(
    text: str, line: int, key: str, words: list[str] | None
) -> None:
    if words is None:  # a literal string has no escapes: this is no mistake
        assert parse(text)
        return
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert caught.value.summary.startswith(f"berth.toml, line {line}: {key}: ")
    assert caught.value.details == {"file": "berth.toml", "line": line, "key": key}
    for word in words:
        assert word in str(caught.value)


def test_what_is_not_toml_names_its_line() -> None:
    with pytest.raises(BadInput, match=r"^berth.toml, line 2: ") as caught:
        parse("[build]\nbuilder python\n")
    assert caught.value.details["line"] == 2


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(BadInput):
        parse("a = " + "[" * 50_000)


def test_lines_are_found_behind_strings_brackets_and_comments() -> None:
    text = 'a = """\n[x]\n# no\n"""\nb = [ # one ]\n 1,\n]\n[c."d.e"] # [f]\ng.h = \'#\'\n'
    found = lines_of(text)
    assert (found["a",], found["b",], found["c", "d.e"], found["c", "d.e", "g", "h"]) == (1, 5, 8, 9)
