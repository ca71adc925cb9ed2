"""Who is killed first when memory runs out: commands, then who holds memory, and who sleeps last."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from paas.linux import cgroup_use, hot_pages, oom_order, reclaim
from paas.linux.cgroups import Cgroup
from paas.sleep import Bed
from paas.specs import MIB, Limits
from tests.sleep.conftest import House
from tests.sleep.test_wake import tcp
from tests.swap import swapping

__all__ = ["swapping"]
pytestmark = pytest.mark.kernel
HOLDS, GROWS_TO = 36 * MIB, 28 * MIB
SLEEPER = f"import os; held = os.urandom({HOLDS}); print(flush=True); input(); print(len(held))"
TAKES = "held = [bytearray(b'x' * (1 << 20)) for _ in range(32)]; print(flush=True); input()"
GROWING = "import time; held = [bytearray(b'x' * (1 << 20)) for _ in range(256)]; time.sleep(60)"


@pytest.fixture
def top(swapping: None) -> Iterator[Cgroup]:
    cgroup = Cgroup(f"/bs{os.getpid()}")
    cgroup.create(Limits(memory_bytes=128 * MIB, swap_bytes=128 * MIB, pids=16))
    yield cgroup
    cgroup.kill()
    cgroup.remove()


@contextmanager
def running(program: str, cgroup: Cgroup, score: int = oom_order.APP) -> Iterator[subprocess.Popen[bytes]]:
    """As an app is."""
    cgroup.create()
    if cgroup.tree.version == 1:
        cgroup.folder("freezer").mkdir(parents=True, exist_ok=True)

    def joins() -> None:
        cgroup.attach(os.getpid())
        Path("/proc/self/oom_score_adj").write_text(f"{score}")

    argv = [sys.executable, "-I", "-S", "-c", program]
    with subprocess.Popen(argv, stdin=PIPE, stdout=PIPE, preexec_fn=joins) as process:  # noqa: PLW1509
        yield process


def test_who_is_idle_is_written_to_swap_before_anybody_is_killed(top: Cgroup) -> None:
    idle, other = Cgroup(f"{top.name}/idle"), Cgroup(f"{top.name}/other")
    top.limit(Limits(memory_bytes=48 * MIB, swap_bytes=64 * MIB, pids=16))
    with ExitStack() as started:
        sleeper = started.enter_context(running(SLEEPER, idle))
        assert sleeper.stdin and sleeper.stdout and sleeper.stdout.readline()
        taking = started.enter_context(running(TAKES, other))
        assert taking.stdout and taking.stdout.readline() == b"\n"
        assert (idle.oom_kills(), other.oom_kills()) == (0, 0)
        assert cgroup_use.read(idle).swap > 0
        assert sleeper.communicate(b"\n")[0] == b"%d\n" % HOLDS
        taking.communicate(b"\n")


def test_a_command_goes_before_a_larger_app_that_takes_the_memory(top: Cgroup) -> None:
    top.limit(Limits(memory_bytes=44 * MIB, swap_bytes=0, pids=16))
    with ExitStack() as started:
        holds = f"import time; held = b'x' * {16 * MIB}; print(flush=True); time.sleep(60)"
        command = started.enter_context(running(holds, Cgroup(f"{top.name}/command"), oom_order.FIRST))
        assert command.stdout and command.stdout.readline()
        app = started.enter_context(running(TAKES, Cgroup(f"{top.name}/app")))
        assert app.stdout and app.stdout.readline() == b"\n"
        assert command.wait(30) == -9
        app.communicate(b"\n")


def test_a_larger_one_that_sleeps_outlives_who_takes_the_memory(top: Cgroup, tmp_path: Path) -> None:
    bed, other = Cgroup(f"{top.name}/asleep"), Cgroup(f"{top.name}/other")
    with ExitStack() as started:
        sleeper = started.enter_context(running(SLEEPER, bed))
        assert sleeper.stdin and sleeper.stdout and sleeper.stdout.readline()
        bed.freeze()
        oom_order.go_last(bed.pids())
        reclaim.page_out(bed, tmp_path / "note", lambda: True)
        top.limit(Limits(memory_bytes=GROWS_TO, swap_bytes=cgroup_use.read(bed).swap, pids=16))
        growing = started.enter_context(running(GROWING, other))
        assert growing.wait(30) == -9
        assert sleeper.poll() is None
        top.limit(Limits(memory_bytes=128 * MIB, swap_bytes=128 * MIB, pids=16))
        oom_order.go_with_others(bed.pids())
        bed.thaw()
        assert sleeper.communicate(b"\n")[0] == b"%d\n" % HOLDS


def scores(house: House) -> set[int]:
    return {int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in house.cgroup.pids()}


def say(house: House, score: int) -> None:
    for pid in house.cgroup.pids():
        Path(f"/proc/{pid}/oom_score_adj").write_text(f"{score}")


@pytest.mark.parametrize(("awake", "asleep"), [(500, 100), (700, 200), (1000, 350)])
def test_who_sleeps_goes_last_and_who_wakes_goes_where_it_was(house: House, awake: int, asleep: int) -> None:
    house.start_waker()
    say(house, awake)
    assert house.bed.lay(house.sleeper, 0.0)
    assert scores(house) == {asleep}
    assert tcp() == b"10.208.0.1"
    house.until(house.runs)
    assert scores(house) == {awake}


@pytest.mark.parametrize("late", [False, True])
def test_who_is_woken_meanwhile_goes_where_it_was(
    house: House, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """The packet comes just before or just after it is put last."""
    say(house, 500)
    go_last = oom_order.go_last

    def lay(pids: list[int]) -> None:
        if late:
            go_last(pids)
        Bed.rouse(house.bed, house.sleeper)
        if not late:
            go_last(pids)

    monkeypatch.setattr(oom_order, "go_last", lay)
    assert not house.bed.lay(house.sleeper, 0.0)
    assert scores(house) == {500} and house.runs()


def test_it_goes_with_the_others_before_it_runs_and_whatever_came_between(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its children inherit what it has. And whoever puts it to sleep may be late, as long as it is `asleep`."""
    say(house, 500)
    assert house.bed.lay(house.sleeper, 0.0)
    thaw, at_the_thaw = Cgroup.thaw, []

    def seen(cgroup: Cgroup) -> None:
        at_the_thaw.append(scores(house))
        thaw(cgroup)

    monkeypatch.setattr(Cgroup, "thaw", seen)
    monkeypatch.setattr(hot_pages, "fetch", lambda file: oom_order.go_last(house.cgroup.pids()))
    house.bed.rouse(house.sleeper)
    assert at_the_thaw == [{500}, {500}]
    assert scores(house) == {500}
