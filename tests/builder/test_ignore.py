from __future__ import annotations

import time

import pytest

from paas.builder.glob import compile_glob
from paas.builder.ignore import parse
from paas.errors import BadInput


@pytest.mark.parametrize(
    ("patterns", "ignored", "kept"),
    [
        # The table of the Dockerfile reference.
        ("*/temp*", ["somedir/temporary.txt", "somedir/temp"], ["temp", "a/b/temp"]),
        ("*/*/temp*", ["somedir/subdir/temporary.txt"], ["somedir/temp"]),
        ("temp?", ["tempa", "tempb"], ["temp", "tempab", "a/tempa"]),
        ("**/*.go", ["a.go", "a/b.go", "a/b/c.go"], ["a.gone"]),
        ("*.md\n!README.md", ["a.md"], ["README.md", "a/b.md"]),
        ("*.md\n!README*.md\nREADME-secret.md", ["a.md", "README-secret.md"], ["README.md", "README-x.md"]),
        ("*.md\nREADME-secret.md\n!README*.md", ["a.md"], ["README-secret.md"]),
        # Leading slashes and dots mean the root; a folder takes all of its content with it.
        ("/foo/bar", ["foo/bar", "foo/bar/x"], ["bar", "x/foo/bar"]),
        ("./a/../b/", ["b", "b/c"], ["a"]),
        ("node_modules", ["node_modules/a/b"], ["x/node_modules"]),
        ("**/node_modules", ["node_modules/a", "x/node_modules/a/b"], ["node_module"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["az", "a/bz"]),
        ("*\n!src", ["x", ".git/config"], ["src", "src/a/b"]),
        ("dir\n!dir/keep", ["dir", "dir/x"], ["dir/keep", "dir/keep/y"]),
        ("[ab]c\n[^x]d", ["ac", "bc", "yd"], ["cc", "xd", "/d"]),
        (r"\*.txt", ["*.txt"], ["a.txt"]),
        ("a.b\na+b\n(c)", ["a.b", "a+b", "(c)"], ["axb", "aab", "c"]),
        ("# no comment\n  spaced  \n.\n/", ["spaced"], ["# no comment", "x"]),
        ("**/*a*b*c", ["xaybzc", "d/e/abc"], ["d/ab/c", "acb"]),
        ("a*/**/*b*/**/*c", ["ax/b/c", "a/1/2/xby/3/c"], ["ax/c", "a/b/d"]),
    ],
)
def test_patterns_are_read_as_docker_reads_them(patterns: str, ignored: list[str], kept: list[str]) -> None:
    ignore = parse(patterns)
    assert [path for path in ignored if not ignore(path)] == []
    assert [path for path in kept if ignore(path)] == []


@pytest.mark.parametrize("text", ["a\n[b", "a\nb\\", "a\n!", f"a\n{'x' * 600}", "a\n[z-a]"])
def test_a_pattern_that_cannot_be_read_names_its_line(text: str) -> None:
    with pytest.raises(BadInput, match=r"^\.dockerignore, line 2: "):
        parse(text)


def test_no_pattern_takes_long() -> None:
    """With backtracking this would take years."""
    matches = compile_glob("*a" * 40 + "b")
    started = time.process_time()
    assert not matches("a" * 255)
    assert not compile_glob("**/a" * 40 + "/b")("a/" * 500)
    assert time.process_time() - started < 5
