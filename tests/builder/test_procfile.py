from __future__ import annotations

import pytest

from paas.builder.procfile import Procfile, parse, shell
from paas.errors import BadInput


def test_lines_are_process_types_and_commands() -> None:
    text = "# comment\r\nweb: gunicorn app:app -b :$PORT\r\n\r\nworker-2:   python -m w  \nrelease: ./migrate\n"
    assert parse(text) == Procfile(
        {"web": "gunicorn app:app -b :$PORT", "worker-2": "python -m w"}, release="./migrate"
    )


def test_a_command_is_kept_for_the_containers_shell() -> None:
    """Nothing on the host expands it: it is the third argument of the container's own /bin/sh."""
    assert parse("web: echo $(id) `id` ; rm -rf /").commands["web"] == "echo $(id) `id` ; rm -rf /"


def test_process_types_may_have_capitals() -> None:
    found = parse("Worker: a\n2nd: b\nWeb: c\nRelease: d\n")
    assert found.commands == {"Worker": "a", "2nd": "b", "Web": "c", "Release": "d"} and found.release == ""
    assert [note.partition(" is ")[0] for note in found.notes] == ["Procfile: 'Web'", "Procfile: 'Release'"]


@pytest.mark.parametrize("line", ["worker", "worker:", "we b: a", "../web: a", ": a", "a\x1b[2J"])
def test_a_line_that_is_no_entry_is_passed_over_and_said(line: str) -> None:
    found = parse(f"web: a\n{line}\nclock: b\n")
    assert found.commands == {"web": "a", "clock": "b"}
    assert [note[:19] for note in found.notes] == ["Procfile, line 2: '"]


def test_many_lines_that_are_no_entry_are_said_in_short() -> None:
    notes = parse("x\n" * 60_000).notes
    assert (len(notes), notes[-1]) == (11, "Procfile: 59,990 more lines are ignored")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("web: a\n\nweb: b\n", 3, "twice"),
        ("-w: a\n", 1, "not a process type"),
        (f"{'w' * 41}: a\n", 1, "not a process type"),
        ("web: a\0b\n", 1, r"control character '\x00'"),
        ("web: a\x1b]0;x\x07\n", 1, "control character"),
        ("web: a\rworker: b\n", 1, "control character"),
        ("web: " + "a" * 1_000_000, 1, "1,000,005 characters long"),
    ],
)
def test_a_mistake_names_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert caught.value.summary.startswith(f"Procfile, line {line}: ")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("command", "run"),
    [
        ("gunicorn app:app -b :$PORT", "exec gunicorn app:app -b :$PORT"),
        ("A=1 B= ./run 'x y'", "A=1 B= exec ./run 'x y'"),
        ("exec ./run", "exec ./run"),
        ("cd src && ./run", "cd src && ./run"),
        ("./a; ./b", "./a; ./b"),
        ("./a | ./b", "./a | ./b"),
        ("./a > log", "./a > log"),
        ("while true; do ./a; done", "while true; do ./a; done"),
        ("A='x y' ./run", "A='x y' ./run"),
        ('"./my app"', '"./my app"'),
        ("$RUNNER x", "$RUNNER x"),
    ],
)
def test_a_simple_command_replaces_the_shell(command: str, run: str) -> None:
    """So that it gets the stop signal itself; anything else is left as it was written."""
    assert shell(command) == ("/bin/sh", "-c", run)
