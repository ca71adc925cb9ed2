from __future__ import annotations

import pytest

from paas.builder.dockerfile.heredocs import Heredoc
from paas.builder.dockerfile.parser import Instruction, json_list, parse
from paas.builder.dockerfile.words import Unreadable, expand, expand_text, split
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
    flags = (("from", "a"), ("chown", "1:2"), ("link", ""))
    written = "--from=a --chown=1:2 --link x y"
    assert copy == Instruction(1, "COPY", "x y", flags, words="x y", written=written)


def test_a_title_is_what_was_written() -> None:
    text = (
        "copy --link --parents=true  --chmod= \\\n  a\tb\nRUN --security= <<EOF cat\nEOF\nWORKDIR\n" + "A" * 200
    )
    titles = [instruction.title for instruction in parse(text).instructions]
    assert titles == [
        "COPY --link --parents=true --chmod= a b",
        "RUN --security= <<EOF cat",
        "WORKDIR",
        f"{'A' * 119}…",
    ]


def test_here_documents() -> None:
    text = "RUN <<EOF cat\na\n# kept\nEOF\nCOPY <<-'A' <<B /x/\n\tone\n\tA\n$two\nB\nUSER x"
    run, copy, user = parse(text).instructions
    assert run.heredocs == (Heredoc("EOF", "a\n# kept\n", True),)
    assert copy.heredocs == (Heredoc("A", "one\n", False), Heredoc("B", "$two\n", True))
    assert (user.line, user.keyword) == (10, "USER")


@pytest.mark.parametrize(
    "line",
    [
        "RUN cat <<<EOF",
        "RUN echo \"<<EOF\" '<<EOF' \\<<EOF",
        "RUN echo 'a <<EOF b'",
        "RUN echo $((1 <<EOF))",
        "RUN cat<<EOF",
        "RUN echo 1<<2",
        "ENV A=<<EOF",
    ],
)
def test_what_is_no_here_document(line: str) -> None:
    (only,) = parse(f"{line}\n").instructions
    assert only.heredocs == ()


@pytest.mark.parametrize(
    ("line", "words", "descriptor"),
    [
        ("RUN cat <<EOF | sort", "cat  | sort", ""),
        ("RUN (cat <<EOF)", "(cat )", ""),
        ("RUN cat <<-EOF; true", "cat ; true", ""),
        ("RUN 3<<EOF cat /dev/fd/3", "cat /dev/fd/3", "3"),
        ("RUN cat << EOF", "cat", ""),
        ("RUN echo $((1 + 1)) && cat <<EOF", "echo $((1 + 1)) && cat", ""),
    ],
)
def test_where_a_here_document_may_stand(line: str, words: str, descriptor: str) -> None:
    (only,) = parse(f"{line}\ntext\nEOF\n").instructions
    assert only.words.split() == words.split()
    assert only.heredocs == (Heredoc("EOF", "text\n", True, descriptor),)


def test_here_document_names_are_files_names() -> None:
    (copy,) = parse("COPY <<robots.txt <<'b-2' /x/\n1\nrobots.txt\n2\nb-2").instructions
    assert [doc.name for doc in copy.heredocs] == ["robots.txt", "b-2"]


def test_directives_other_than_syntax() -> None:
    file = parse("# check=skip=all\n#ESCAPE = `\nFROM a\n")
    assert (file.escape, file.notes) == ("`", ("Dockerfile: `# check=` is left to Docker's own checks",))
    assert parse("# unknown=1\n# syntax=x\nFROM a").notes == ()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("# syntax=docker/dockerfile:1\nFROM a", 1, "refused"),
        ("#syntax = evil.example/x\nFROM a", 1, "evil.example/x"),
        ("# escape=\\\n# SYNTAX=x\nFROM a", 2, "refused"),
        ("# escape=x\nFROM a", 1, "escape"),
        ("# escape=`\n# escape=`\nFROM a", 2, "twice"),
        ("# check=skip=all\n# syntax=x\nFROM a", 2, "refused"),
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
        ("${A:?no}", "one"),
        ("${N:-'a b'}", "a b"),
        ('${N:-"}"}', "}"),
        ("${N:-\\}}", "}"),
        ("${A:+$B}", "two"),
        ("${A?}", "one"),
        ("${E?no}", ""),
        ("${F#f*b}", "arbaz"),
        ("${F##f*b}", "az"),
        ("${F%b*}", "foobar"),
        ("${F%%b*}", "foo"),
        ("${F/ba/fo}", "fooforbaz"),
        ("${F//ba/fo}", "fooforfoz"),
        ("${F//o}", "fbarbaz"),
        ("${F/o/$A}", "foneobarbaz"),
        ("${F#?o}", "obarbaz"),
        ("${S#\\*}", "x?y"),
        ("${S%\\?y}", "*x"),
        ("${P##*/}", "d"),
        ("${P//\\//-}", "-b-c-d"),
        ("${P#$Q}", "/d"),
        ("${N#x}", ""),
        ("$", "$"),
        ("$1", "$1"),
        (r"a\ b", "a b"),
    ],
)
def test_variables_and_quotes(text: str, expected: str) -> None:
    variables = {"A": "one", "B": "two", "E": "", "F": "foobarbaz", "S": "*x?y", "P": "/b/c/d", "Q": "/b/c"}
    assert expand(text, variables) == expected


@pytest.mark.parametrize(
    "text",
    ["${A", "'a", '"a', "${A@Q}", "${A:}", "${}", "${N:-", "${A#", "${A/x", "${N:?must be set}", "${E:?}"],
)
def test_words_that_cannot_be_read(text: str) -> None:
    with pytest.raises(Unreadable):
        expand(text, {"A": "one", "E": ""})


def test_what_must_be_set_says_why() -> None:
    with pytest.raises(Unreadable, match="N is not set: give one"):
        expand("${N:?give ${A}}", {"A": "one"})


def test_a_here_documents_text_keeps_its_quotes() -> None:
    text = 'it\'s "$A" ${N:-d} \\$A \\\\ \\n \\\n$'
    assert expand_text(text, {"A": "one"}, 100) == 'it\'s "one" d $A \\ \\n $'


def test_variables_cannot_grow_without_end() -> None:
    with pytest.raises(Unreadable, match="longer than"):
        expand("$A$A", {"A": "x" * 40_000})
    with pytest.raises(Unreadable, match="too deep"):
        expand("${N:-" * 100 + "}" * 100, {})
    with pytest.raises(Unreadable, match="longer than"):
        expand("${A//?/$A}", {"A": "x" * 60_000})


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "pattern", ["${A#" + "*a" * 200 + "b}", "${A%%" + "*a" * 200 + "b}", "${A//*a*a*a*b/}"]
)
def test_no_pattern_takes_long(pattern: str) -> None:
    assert expand(pattern, {"A": "a" * 60_000}) == "a" * 60_000


def test_words_are_split_outside_quotes() -> None:
    assert split("a=1  b=\"x y\" c=p\\ q 'd e'") == ["a=1", 'b="x y"', "c=p\\ q", "'d e'"]


def test_only_lists_of_text_are_the_exec_form() -> None:
    assert json_list('["a", "b c"]') == ("a", "b c")
    assert json_list("[a]") is json_list('["a", 1]') is json_list("a") is json_list("[" * 100_000) is None
    assert json_list('["a\\u0000b"]') is None
