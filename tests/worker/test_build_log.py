"""What a build's log keeps of what its steps print: all, or of too much the beginning and the end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from paas.errors import StepFailed
from paas.logs import LINE_MAX
from paas.worker import build_log, step_output
from paas.worker.build_log import BuildLog
from paas.worker.step_output import Pipe, Printed

AT = "2026-11-23T21:39:00.123456789+00:00"
LONG = "\nThe log is long: what follows is shown when the build has ended.\n\n"


@pytest.fixture
def path(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.GROUP = tmp_path.group()
    monkeypatch.setattr(build_log, "LOG_MAX", 1000)
    monkeypatch.setattr(build_log, "END_MAX", 200)
    return tmp_path / "log"


def numbered(first: int, end: int) -> bytes:
    return b"".join(b"%03d\n" % number for number in range(first, end))


def test_all_that_fits(path: Path) -> None:
    with BuildLog(path) as write:
        for number in range(245):
            write(numbered(number, number + 1))
        assert path.read_text() == numbered(0, 200).decode() + LONG
        write.error(StepFailed("it failed", hint="mend it"))
    said = "\nError: it failed\nHint: mend it\n"
    assert path.read_text() == numbered(0, 200).decode() + LONG + numbered(200, 245).decode() + said


@pytest.mark.parametrize("piece", [1, 7, 400])
def test_of_a_longer_one_the_beginning_and_the_end(path: Path, piece: int) -> None:
    with BuildLog(path) as write:
        for number in range(0, 900, piece):
            write(numbered(number, number + piece))
        write(b"FINAL")
    wrote = numbered(0, (899 // piece + 1) * piece) + b"FINAL"
    begun, _, ended = path.read_text().partition(LONG)
    assert numbered(0, 195).decode() in begun and len(begun) <= 800
    said, _, end = ended.partition("\n\n")
    assert end.endswith("\nFINAL") and 150 < len(end) <= 200
    *shown, _ = end.splitlines()
    assert "\n".join(shown).encode() in wrote
    left_out = f"{len(wrote) - len(begun) - len(end):,} bytes of the log are left out here"
    assert said == f"{left_out}: it is longer than 0 MiB."


def test_a_line_without_an_end_has_one_in_the_log(path: Path) -> None:
    with BuildLog(path) as write:
        for _ in range(50):
            write(b"x" * 1000)
    text = path.read_text()
    assert LONG in text and "49,800 bytes of the log are left out here" in text and text.endswith("x" * 200)


def record(text: str, tag: str = "F") -> bytes:
    return f"{AT} stdout {tag} {text}\n".encode()


def test_what_conmon_writes_becomes_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_output, "MOST", 40_000)
    monkeypatch.setattr(step_output, "END", 10_000)
    said: list[bytes] = []
    printed = Printed(said.append)
    printed.feed(record("x" * LINE_MAX, "P") + record("y" * 1234) + record("next")[:30])
    printed.feed(record("next")[30:] + record("no end", "P"))
    assert b"".join(said).decode() == "x" * LINE_MAX + " … 1,234 more characters\nnext\n"
    printed.finish()
    assert said[-1] == b"no end\n"
    said.clear()
    printed = Printed(said.append)
    for number in range(10_000):
        printed.feed(record(f"{number:09}"))
    assert b"".join(said) == b"".join(b"%09d\n" % number for number in range(4000))
    printed.feed(record("why", "P"))
    printed.finish()
    *_, gap, end = said
    first = int(end[:9])
    assert 9800 < first < 9850
    left_out = 10 * (first - 4000)
    assert gap.decode() == (
        f"\nAbout {left_out:,} bytes of what this step printed are left out here: it is too much.\n"
    )
    assert end.splitlines() == [b"%09d" % number for number in range(first, 10_000)] + [b"why"]


def test_who_reads_a_pipe_is_told_what_went_wrong() -> None:
    """And nobody waits for ever."""

    def refuse(data: bytes) -> None:
        raise StepFailed("no")

    before = threading.active_count()
    with Pipe(refuse) as pipe, pipe.path.open("wb", buffering=0) as conmon:
        conmon.write(record("x"))
        with pytest.raises(BrokenPipeError):
            while True:
                conmon.write(record("x" * 1000))
        with pytest.raises(StepFailed):
            pipe.finish()
    assert threading.active_count() == before


def test_a_pipe_that_stays_open_somewhere_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_output, "SILENCE_SECONDS", 0.3)
    said: list[bytes] = []
    with Pipe(said.append) as pipe, pipe.path.open("wb", buffering=0) as conmon:
        conmon.write(record("all") * 100)
        pipe.finish()
    assert b"".join(said) == b"all\n" * 100
