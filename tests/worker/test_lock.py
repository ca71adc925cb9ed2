from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading

import pytest
from django.conf import settings

from paas.worker import lock


def test_one_holder_at_a_time() -> None:
    with lock.held("app-x") as first, lock.held("app-x") as second:
        assert (first, second) == (True, False)
    assert lock.is_free("app-x")


def test_a_killed_holder_lets_go() -> None:
    settings.PATHS.locks.mkdir(parents=True, exist_ok=True)
    code = "import fcntl,sys,time; f=open(sys.argv[1],'w'); fcntl.flock(f,2); print('held',flush=True)"
    code += "; time.sleep(9)"
    path = settings.PATHS.locks / "build-y"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        assert not lock.is_free("build-y")
        os.kill(holder.pid, signal.SIGKILL)
    assert lock.is_free("build-y")


def test_so_many_places_and_no_more() -> None:
    with lock.one_of("place", 2) as first, lock.one_of("place", 2) as second, lock.one_of("place", 2) as third:
        assert (first, second, third) == (True, True, False)
        with lock.one_of("elsewhere", 1) as other:
            assert other
    with lock.one_of("place", 2) as again:
        assert again


def test_who_waits_for_a_turn_gets_it_and_the_last_leaves_no_file() -> None:
    inside: list[str] = []
    looked = threading.Event()

    def second() -> None:
        with lock.turn("turn-x", looked.set):
            inside.append("second")

    thread = threading.Thread(target=second)
    with lock.turn("turn-x", lambda: None):
        thread.start()
        assert looked.wait(5)
        inside.append("first")
    thread.join(5)
    assert inside == ["first", "second"]
    assert not (settings.PATHS.locks / "turn-x").exists()


def test_a_wait_for_a_turn_ends_when_it_is_not_wanted_any_more() -> None:
    def no_more() -> None:
        raise InterruptedError

    with lock.turn("turn-y", lambda: None):
        with pytest.raises(InterruptedError), lock.turn("turn-y", no_more):
            raise AssertionError("it is somebody else's")
        assert not lock.is_free("turn-y")


def test_a_file_that_its_holder_removed_is_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opened it just before must not go in beside whoever made the next one."""
    path = settings.PATHS.locks / "turn-z"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    real = fcntl.flock

    def removed_meanwhile(fd: int, kind: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        path.unlink()
        real(fd, kind)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    looks: list[None] = []
    with lock.turn("turn-z", lambda: looks.append(None)):
        assert len(looks) == 1
        assert not lock.is_free("turn-z")
