from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from paas.builder import BuildCancelled
from paas.builder.plan import CacheMount
from paas.worker.caches import held


def mount(sharing: str = "shared", name: str = "n", **facts: object) -> CacheMount:
    return CacheMount("/c", name, sharing=sharing, **facts)  # type: ignore[arg-type]


def test_names_never_leave_the_folder(tmp_path: Path) -> None:
    names = ["../x", "/etc", "a/b", "n"]
    with held(tmp_path, [mount(name=name) for name in names], lambda: False) as found:
        assert list(found) == sorted(names)
        assert {path.parent for path in found.values()} == {tmp_path}
        assert len(set(found.values())) == 4


def test_a_folder_is_made_once_with_its_mode(tmp_path: Path) -> None:
    for wanted, mode in (
        (mount(), 0o777),
        (mount(name="o", owner=(0, 0)), 0o755),
        (mount(name="m", mode=0o700), 0o700),
    ):
        with held(tmp_path, [wanted], lambda: False) as found:
            assert stat.S_IMODE(found[wanted.name].stat().st_mode) == mode
    with held(tmp_path, [mount(mode=0o700)], lambda: False) as found:
        assert stat.S_IMODE(found["n"].stat().st_mode) == 0o777  # it is there


def test_shared_and_private_ones_wait_for_nobody(tmp_path: Path) -> None:
    for sharing, same in (("shared", True), ("private", False)):
        wanted = [mount(sharing, sharing)]
        with held(tmp_path, wanted, lambda: False) as one, held(tmp_path, wanted, lambda: False) as two:
            assert (one == two) is same
        with held(tmp_path, wanted, lambda: False) as again:
            assert again == one


def test_a_locked_one_is_waited_for_and_the_wait_can_be_cancelled(tmp_path: Path) -> None:
    wanted = [mount("locked"), mount("locked")]  # twice in one step is no wait for itself
    entered = threading.Event()

    def second() -> None:
        with held(tmp_path, wanted, lambda: False):
            entered.set()

    with held(tmp_path, wanted, lambda: False):
        with pytest.raises(BuildCancelled), held(tmp_path, wanted, lambda: True):
            raise AssertionError("it is locked")
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.3)
    assert entered.wait(5)
    thread.join()
