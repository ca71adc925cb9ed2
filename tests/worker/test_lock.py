from __future__ import annotations

import os
import signal
import subprocess
import sys

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
