"""A writer that is killed at any moment leaves a good store.

Each operation runs in a child that kills itself just before the n-th change that it would make to a file
system, for every n there is (PEP 578 tells of each). After each death the store is sound, shows nothing that is
half there, takes the same operation again, and is then as if nothing had happened.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paas.images import Store, graph
from paas.images.blobs import Blobs
from paas.images.durable import TEMPORARY
from paas.images.steps import Steps
from paas.oci.config import History, ImageConfig
from tests.images.foreign import Foreign, layout, packed, written
from tests.images.test_fsck import spoil
from tests.images.test_store import KEY, OTHER_KEY, age, image, layer, objects

pytestmark = pytest.mark.kernel
CHANGES = frozenset(
    {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.truncate", "os.utime", "os.chmod",
     "os.chown", "fcntl.flock"}
)  # fmt: skip
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
FOREIGN = Foreign(layers=({"etc/os-release": b"ID=foreign\n"}, {"app": b"app", "lib/more": b"more"}))
LISTED = Foreign(layers=({"listed": b"1"},), compression="zstd")


@dataclass(frozen=True)
class Operation:
    """`before` prepares a store, `act` is what is killed."""

    act: Callable[[Store], object]
    before: Callable[[Store], object] = lambda store: None


def commit(store: Store) -> str:
    upper = store.root.parent / "upper"
    (upper / "etc").mkdir(parents=True, exist_ok=True)
    (upper / "etc/passwd").write_text("root")
    if not (upper / "link").exists():
        (upper / "link").symlink_to("etc/passwd")
    return store.commit_changeset(upper, epoch=1).diff_id


def put(store: Store) -> str:
    config = ImageConfig(cmd=("run",)).with_layer(layer(store, "1"), History("step"))
    return store.put_image(config).digest


def furnish(store: Store) -> None:
    """An image to keep and one to remove, of both kinds, a step to forget, a layer that is nobody's."""
    store.tag("debian:12", put(store))
    store.load_archive(packed(layout(FOREIGN)))
    store.load_archive(packed(layout(LISTED)))
    image(store, layer(store, "old"), name="old")
    store.remember_step(KEY, layer(store, "stray"))
    age(store, 1e6)


def harm(store: Store) -> None:
    """One layer that can be rebuilt, one that cannot and is in the build cache, and a blob."""
    furnish(store)
    store.remember_step(OTHER_KEY, layer(store, "1"))
    spoil(store.layer_path(FOREIGN.diff_ids[1]) / "app")
    spoil(store.layer_path(layer(store, "1")) / "file")
    spoil(store.root / "blobs/sha256" / LISTED.digest.removeprefix("sha256:"))


def from_folder(store: Store) -> str:
    return store.load_layout(written(layout(FOREIGN), store.root.parent / "in")).digest


OPERATIONS = {
    "open a store": Operation(lambda store: Store(store.root)),
    "commit a changeset": Operation(commit),
    "import a layer": Operation(lambda store: layer(store, "1")),
    "put an image": Operation(put),
    "tag": Operation(lambda store: store.tag("debian:12", put(store)), put),
    "tag again": Operation(
        lambda store: store.tag("debian:12", image(store, layer(store, "2"))),
        lambda store: store.tag("debian:12", put(store)),
    ),
    "remember a step": Operation(lambda store: store.remember_step(KEY, layer(store, "1"))),
    "load an archive": Operation(lambda store: store.load_archive(packed(layout(FOREIGN)))),
    "load a folder": Operation(from_folder),
    "prune": Operation(lambda store: store.prune([FOREIGN.digest]), furnish),
    "mend": Operation(lambda store: store.fsck(mend=True), harm),
}


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Hundreds of stores are made, and a disk would be synced for each step of each."""
    folder = tmp_path / "memory"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_writer_killed_at_any_moment_leaves_a_good_store(memory: Path, name: str) -> None:
    operation = OPERATIONS[name]
    undisturbed = _prepared(memory / "undisturbed", operation)
    operation.act(undisturbed)
    expected = _settled(undisturbed)
    moments = 0
    while True:
        store = _prepared(memory / "store", operation)
        if not _killed(operation, store, before=moments):
            break
        moments += 1
        after = Store(store.root)
        if name != "mend":
            assert after.fsck() == (), f"killed before change {moments}"
            _demand_whole(after)
        operation.act(after)
        assert _settled(after) == expected, f"killed before change {moments}"
        shutil.rmtree(store.root.parent)
    assert moments >= 5


def _prepared(folder: Path, operation: Operation) -> Store:
    store = Store(folder / "store")
    operation.before(store)
    return store


def _killed(operation: Operation, store: Store, before: int) -> bool:
    """Whether a child died before its change number `before`; False when it came to its end."""
    child = os.fork()
    if child == 0:
        left = before

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
            if event not in CHANGES and not writes:
                return
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        try:
            sys.addaudithook(count)
            operation.act(store)
        finally:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def _demand_whole(store: Store) -> None:
    """Whatever can be found can be used: images, and so tags, with all of their parts; steps; facts."""
    for found in graph.images(Blobs(store.root)):
        store.save_archive(found.digest, io.BytesIO())
    for _, diff_id, _ in Steps(store.root / "steps").all():  # asking the store would make them young
        assert store.layer_info(diff_id).files


def _settled(store: Store) -> set[str]:
    """Every object that is left when only what dead writers left is pruned."""
    assert store.fsck() == ()
    store.prune([], grace=1e9, step_age=1e9)
    found = objects(store)
    assert not [path for path in store.root.parent.rglob("*") if TEMPORARY in path.name]
    return found
