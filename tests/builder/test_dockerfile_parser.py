from __future__ import annotations

import pytest

from paas.builder.dockerfile.parser import Heredoc, Instruction, json_list, parse
from paas.builder.dockerfile.words import Unreadable, expand, split
from paas.errors import BadInput


def instructions(text: str) -> list[tuple[int, str, str]]:
    return [(i.line, i.keyword, i.value) for i in parse(text).instructions]


def test_comments_and_continued_lines() -> None:
    text = "# a comment\n\nfrom  debian:12\nRUN a && \\\n  # in between\n\n  b \\\t\n  c\nCMD x # y\n"
    assert instructions(text) == [(3, "FROM", "debian:12"), (4, "RUN", "a &&   b   c"), (9, "CMD", "x # y")]


def test_windows_line_ends_and_another_escape() -> None:
    text = "# escape=`\r\nFROM a\r\nRUN dir C:\\ `\r\n  /b\r\n"
    assert instructions(text) == [(2, "FROM", "a"), (3, "RUN", "dir C:\\   /b")]


def test_flags_come_off() -> None:
    (copy,) = parse("COPY --from=a --chown=1:2 --link x y").instructions
    assert copy == Instruction(1, "COPY", "x y", (("from", "a"), ("chown", "1:2"), ("link", "")))


def test_here_documents() -> None:
    text = "RUN <<EOF cat\na\n# kept\nEOF\nCOPY <<-'A' <<B /x/\n\tone\n\tA\n$two\nB\nUSER x"
    run, copy, user = parse(text).instructions
    assert run.heredocs == (Heredoc("EOF", "a\n# kept\n", True),)
    assert copy.heredocs == (Heredoc("A", "one\n", False), Heredoc("B", "$two\n", True))
    assert (user.line, user.keyword) == (10, "USER")


def test_a_here_string_is_none() -> None:
    (run,) = parse("RUN cat <<<EOF").instructions
    assert run.heredocs == ()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("# syntax=docker/dockerfile:1\nFROM a", 1, "refused"),
        ("#syntax = evil.example/x\nFROM a", 1, "evil.example/x"),
        ("# escape=\\\n# SYNTAX=x\nFROM a", 2, "refused"),
        ("# escape=x\nFROM a", 1, "escape"),
        ("FROM a\nRUN <<EOF\nx\n", 2, "no end"),
        ("FROM a\n123 x", 2, "not an instruction"),
        ("FROM a\nRUN a\0b", 2, "control character"),
        ("FROM a\n" + "ENV a=b\n" * 500, 501, "more than 500"),
    ],
)
def test_a_mistake_names_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert caught.value.summary.startswith(f"Dockerfile, line {line}: ")
    assert words in str(caught.value)


def test_a_later_comment_is_no_directive() -> None:
    assert instructions("FROM a\n# syntax=x\n") == [(1, "FROM", "a")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A", "one"),
        ("${A}b", "oneb"),
        ("$Ab", ""),
        ("$A.$B", "one.two"),
        (r"\$A", "$A"),
        ("'$A'", "$A"),
        ("\"$A 'x'\"", "one 'x'"),
        (r'"\$A\"\x"', r'$A"\x'),
        ("${N:-d}", "d"),
        ("${E:-d}", "d"),
        ("${E-d}", ""),
        ("${N-d}", "d"),
        ("${A:+yes}", "yes"),
        ("${N:+yes}", ""),
        ("${E+yes}", "yes"),
        ("${N:-${M:-$A}}", "one"),
        ("$", "$"),
        ("$1", "$1"),
        (r"a\ b", "a b"),
    ],
)
def test_variables_and_quotes(text: str, expected: str) -> None:
    assert expand(text, {"A": "one", "B": "two", "E": ""}) == expected


@pytest.mark.parametrize("text", ["${A", "'a", '"a', "${A#x}", "${}", "${N:?must be set}"])
def test_words_that_cannot_be_read(text: str) -> None:
    with pytest.raises(Unreadable):
        expand(text, {"A": "one"})


def test_variables_cannot_grow_without_end() -> None:
    with pytest.raises(Unreadable, match="longer than"):
        expand("$A$A", {"A": "x" * 40_000})
    with pytest.raises(Unreadable, match="too deep"):
        expand("${N:-" * 100 + "}" * 100, {})


def test_words_are_split_outside_quotes() -> None:
    assert split("a=1  b=\"x y\" c=p\\ q 'd e'") == ["a=1", 'b="x y"', "c=p\\ q", "'d e'"]


def test_only_lists_of_text_are_the_exec_form() -> None:
    assert json_list('["a", "b c"]') == ("a", "b c")
    assert json_list("[a]") is json_list('["a", 1]') is json_list("a") is json_list("[" * 100_000) is None
