"""Whoever looks at what takes long may end it at any point, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from paas.images import Store, unpack
from paas.images.pipe import output_of
from tests.images.conftest import open_descriptors
from tests.images.foreign import Foreign, layout, packed, written
from tests.images.test_archive import member, tar_gz, zipped
from tests.images.test_store import objects

MIB = 1024 * 1024
pytestmark = pytest.mark.kernel


class Stopped(Exception):
    pass


@dataclass
class Stopping:
    """A `look` that raises at the call that it is told."""

    at: int
    calls: int = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise Stopped


def stopped_everywhere(work: Callable[[Stopping], object], is_clean: Callable[[], bool]) -> int:
    """How often it was ended before it came to its end."""
    before, times = open_descriptors(), 0
    while True:
        try:
            work(Stopping(times + 1))
        except Stopped:
            times += 1
            assert is_clean() and open_descriptors() == before
        else:
            return times


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_a_source_being_unpacked(tmp_path: Path, kind: Literal["tar.gz", "zip"]) -> None:
    if kind == "zip":
        archive = zipped(tmp_path / "source", ("app/a", bytes(2 * MIB), 0o100644), ("app/b", b"b", 0o100644))
    else:
        archive = tar_gz(tmp_path / "source", member("app/a", data=bytes(2 * MIB)), member("app/b", data=b"b"))
    target = tmp_path / "target"
    times = stopped_everywhere(
        lambda look: unpack(archive, kind, target, max_bytes=4 * MIB, max_files=9, look=look),
        lambda: not any(target.iterdir()),
    )
    assert times > 5 and (target / "b").read_bytes() == b"b"


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_an_image_being_loaded(store: Store, tmp_path: Path, kind: str) -> None:
    files = layout(Foreign(layers=({"a": bytes(2 * MIB)}, {"b": b"2"})))
    folder, before = written(files, tmp_path / "in"), objects(store)

    def load(look: Stopping) -> object:
        if kind == "folder":
            return store.load_layout(folder, look=look)
        return store.load_archive(packed(files), look=look)

    assert stopped_everywhere(load, lambda: objects(store) == before) > 10
    assert objects(store) != before


def test_a_changeset_being_committed(store: Store, upper: Path) -> None:
    (upper / "file").write_bytes(bytes(2 * MIB))
    before = objects(store)
    times = stopped_everywhere(
        lambda look: store.commit_changeset(upper, look=look), lambda: objects(store) == before
    )
    assert times >= 3 and objects(store) != before


@pytest.mark.parametrize("argv", [("cat",), ("unshare", "--pid", "--fork", "--kill-child", "--", "cat")])
def test_a_program_that_says_nothing(tmp_path: Path, argv: tuple[str, ...]) -> None:
    """It would never end by itself: a named pipe that stays open. unshare(1) does not heed SIGTERM."""
    os.mkfifo(tmp_path / "pipe")
    held = os.open(tmp_path / "pipe", os.O_RDWR)
    before = open_descriptors()
    with (
        pytest.raises(Stopped),
        output_of([*argv, str(tmp_path / "pipe")], look=Stopping(at=3), ended_by=signal.SIGKILL) as output,
    ):
        output.read()
    assert open_descriptors() == before
    os.close(held)
    with pytest.raises(OSError, match="No such device or address"):  # nobody reads it any more
        for _ in range(500):  # the kernel takes a moment to end a namespace's processes
            os.close(os.open(tmp_path / "pipe", os.O_WRONLY | os.O_NONBLOCK))
            time.sleep(0.01)
