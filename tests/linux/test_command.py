from __future__ import annotations

import time
from pathlib import Path

import pytest

from paas.errors import CommandFailed, HostProblem
from paas.linux.command import CLEAN_ENV, replay, run


def test_output_and_status() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (done.stdout, done.stderr, done.status) == ("out\n", "err\n", 3)


def test_failure_can_be_pasted_and_run_again() -> None:
    with pytest.raises(CommandFailed) as caught:
        run(["ls", "--", "/no such; folder"])
    assert caught.value.replay == "ls -- '/no such; folder'"
    assert caught.value.status == 2
    assert "No such file" in caught.value.summary


def test_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    lines = run(["env"], env={"EXTRA": "1"}).stdout.splitlines()
    assert sorted(lines) == sorted([*(f"{k}={v}" for k, v in CLEAN_ENV.items()), "EXTRA=1"])


def test_values_of_the_environment_stay_out_of_the_failure() -> None:
    assert replay(["a", "b c"], {"TOKEN": "hush"}, Path("/x y")) == "cd '/x y' && env TOKEN=… a 'b c'"


def test_standard_input_is_closed_or_given() -> None:
    assert run(["cat"]).stdout == ""
    assert run(["cat"], input="text ü").stdout == "text ü"
    long = "x" * 300_000
    assert run(["cat"], input=long, keep=9).stdout == "x" * 9 == run(["head", "-c9"], input=long, keep=9).stdout


@pytest.mark.parametrize("keep", [None, 99])
def test_a_program_is_known_before_it_is_told_anything(keep: int | None) -> None:
    begun: list[int] = []
    done = run(["sh", "-c", "read word; echo $word $$"], input="go\n", begun=begun.append, keep=keep)
    assert done.stdout == f"go {begun[0]}\n"


def test_of_a_chatterbox_some_is_kept_and_nothing_waits() -> None:
    done = run(
        ["sh", "-c", "echo first; head -c 3000000 /dev/zero; echo err >&2; exit 3"], keep=10, check=False
    )
    assert (done.stdout, done.stderr, done.status) == ("first\n\0\0\0\0", "err\n", 3)
    with pytest.raises(CommandFailed, match="no end within"):
        run(["yes"], keep=10, timeout=0.2)
    with pytest.raises(CommandFailed, match="no end within"):
        run(["sleep", "60"], keep=10, timeout=0.1)


def test_time_limit_ends_the_whole_group(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(CommandFailed, match=r"no end within 0\.2 s"):
        run(["sh", "-c", f"(sleep 1; touch {tmp_path}/late) & sleep 60"], timeout=0.2, check=False)
    assert time.monotonic() - begin < 1
    time.sleep(1.1)
    assert not (tmp_path / "late").exists()


def test_no_such_program() -> None:
    with pytest.raises(HostProblem, match="cannot run no-such-program: No such file"):
        run(["no-such-program"])


def test_no_descriptor_is_inherited(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        listed = run(["ls", "-l", "/proc/self/fd"]).stdout
        assert file.name not in listed


def test_words_are_never_a_shells() -> None:
    assert run(["echo", "$(id)", "; id", "*"]).stdout == "$(id) ; id *\n"
