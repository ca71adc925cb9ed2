from __future__ import annotations

import pytest

from paas.builder.procfile import Procfile, parse
from paas.errors import BadInput


def test_lines_are_process_types_and_commands() -> None:
    text = "# comment\r\nweb: gunicorn app:app -b :$PORT\r\n\r\nworker-2:   python -m w  \nrelease: ./migrate\n"
    assert parse(text) == Procfile(
        {"web": "gunicorn app:app -b :$PORT", "worker-2": "python -m w"}, release="./migrate"
    )


def test_a_command_is_kept_for_the_containers_shell() -> None:
    """Nothing on the host expands it: it is the third argument of the container's own /bin/sh."""
    assert parse("web: echo $(id) `id` ; rm -rf /").commands["web"] == "echo $(id) `id` ; rm -rf /"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("web: a\nworker\n", 2, "<process type>: <command>"),
        ("web:\n", 1, "<process type>: <command>"),
        ("web: a\n\nweb: b\n", 3, "twice"),
        ("Web: a\n", 1, "'web' would do"),
        ("we b: a\n", 1, "not a process type"),
        ("../web: a\n", 1, "not a process type"),
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
