"""A function in a forked process, on the real kernel."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from paas.builder import BuildCancelled
from paas.errors import BadInput, BerthError
from paas.linux import forked


def run(work: Callable[[], object], look: Callable[[], object] = lambda: None) -> object:
    return forked.run(work, enter=lambda: None, look=look)


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def work() -> NoReturn:
        raise error

    return work


def test_it_is_another_process_that_enters_its_place_first() -> None:
    seen: list[int] = []
    entered, worked = forked.run(
        lambda: (seen[0], os.getpid()), enter=lambda: seen.append(os.getpid()), look=list
    )
    assert entered == worked != os.getpid() and not seen


def test_a_large_answer_is_whole() -> None:
    assert run(lambda: bytes(5_000_000)) == bytes(5_000_000)


@pytest.mark.parametrize(
    "error", [BadInput("no", hint="yes", details={"limit": 3}), FileNotFoundError(2, "not there", "x")]
)
def test_errors_come_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        run(raising(error))
    assert str(raised.value) == str(error)
    if isinstance(raised.value, BerthError) and isinstance(error, BerthError):
        assert raised.value.as_dict() == error.as_dict()


def test_our_own_mistakes_come_with_their_trace() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)in work.*KeyError: 'x'"):
        run(raising(KeyError("x")))


def test_one_that_is_killed_has_no_answer() -> None:
    with pytest.raises(forked.Ended) as ended:
        run(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert ended.value.status == -signal.SIGKILL


@pytest.mark.parametrize("listens", [True, False])
def test_a_look_that_raises_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listens: bool) -> None:
    """In order, or by force where it does not listen."""
    monkeypatch.setattr(forked, "GRACE_SECONDS", 0.1 + 10 * listens)
    pid_file = tmp_path / "pid"

    def work() -> None:
        if not listens:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        try:
            pid_file.write_text(str(os.getpid()))
            signal.pause()
        finally:
            (tmp_path / "tidy").touch()

    def look() -> None:
        if pid_file.exists():
            raise BuildCancelled("no more")

    with pytest.raises(BuildCancelled):
        run(work, look)
    assert not Path("/proc", pid_file.read_text()).exists()
    assert (tmp_path / "tidy").exists() == listens


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    def work() -> None:
        pid_file.write_text(str(os.getpid()))
        signal.pause()

    parent = os.fork()
    if parent == 0:
        run(work)
        os._exit(0)
    end = time.monotonic() + 10
    while (not pid_file.exists() or not pid_file.read_text()) and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    end = time.monotonic() + 10
    while _lives(int(pid_file.read_text())) and time.monotonic() < end:
        time.sleep(0.01)
    assert not _lives(int(pid_file.read_text()))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
