"""The store: images, names, the build cache, prune, and what a crash leaves."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from paas.errors import BadInput, HostProblem, NotFound
from paas.images import Store, changeset, durable
from paas.images import layers as layers_module
from paas.images.tags import names_of
from paas.oci.config import History, ImageConfig
from paas.oci.digest import of_bytes
from paas.oci.tar import END, TarEntry, encode

ABSENT = of_bytes(b"absent")
KEY, OTHER_KEY = "0" * 64, "f" * 64
pytestmark = pytest.mark.kernel


def layer(store: Store, content: str) -> str:
    data = content.encode()
    tar = encode(TarEntry("file", size=len(data))) + data.ljust(512, b"\0") + END
    return store.import_layer(io.BytesIO(tar), canonical=True).diff_id


def image(store: Store, *layers: str, name: str = "app") -> str:
    config = ImageConfig(env=(("NAME", name),), cmd=("run",), exposed_ports=("8000/tcp",))
    for diff_id in layers:
        config = config.with_layer(diff_id, History("step"))
    return store.put_image(config).digest


def objects(store: Store) -> set[str]:
    """Every object by its path, down to a layer's own folder."""
    found = set(store.root.glob("layers/*")) | set(store.root.glob("trash/*"))
    found |= {p for p in store.root.rglob("*") if p.is_file() and "layers/" not in str(p)}
    names = {f"names/{p.name}" for p in names_of(store.root).iterdir()}
    return {str(p.relative_to(store.root)) for p in found} - {"lock"} | names


def age(store: Store, seconds: float = 7200) -> None:
    then = time.time() - seconds
    for folder in ("blobs/sha256", "layers-meta", "steps"):
        for path in (store.root / folder).rglob("*"):
            os.utime(path, (then, then))


# --- images
def test_an_image_is_given_back_as_it_was_put(store: Store) -> None:
    bottom, top = layer(store, "1"), layer(store, "2")
    config = ImageConfig(cmd=("run",), user="1000", env=(("A", "1"),), exposed_ports=("80/tcp",))
    config = config.with_layer(bottom, History("FROM")).with_layer(top, History("COPY"))
    spec = store.put_image(config)
    assert store.image(spec.digest) == spec == store.put_image(config)
    assert (spec.layers, spec.cmd, spec.user, spec.exposed_port) == ((bottom, top), ("run",), "1000", 80)
    assert store.config(spec.digest) == config
    assert [step.created_by for step in store.history(spec.digest)] == ["FROM", "COPY"]


def test_an_image_without_its_layers_is_refused(store: Store) -> None:
    with pytest.raises(NotFound, match=f"has no layer {ABSENT}"):
        image(store, ABSENT)
    assert objects(store) == set()


def test_an_image_that_is_not_there(store: Store) -> None:
    with pytest.raises(NotFound, match="no blob"):
        store.image(ABSENT)
    assert not store.is_complete(ABSENT)


def test_a_damaged_blob_is_never_used(store: Store) -> None:
    digest = image(store)
    path = store.root / "blobs/sha256" / digest.removeprefix("sha256:")
    path.write_bytes(path.read_bytes().replace(b"2", b"3", 1))
    with pytest.raises(HostProblem, match="damaged on disk"):
        store.image(digest)


def test_the_store_is_closed_to_others(store: Store) -> None:
    assert store.root.stat().st_mode & 0o777 == 0o700


def test_a_layer_that_changed_on_disk_is_found(store: Store) -> None:
    diff_id = layer(store, "1")
    assert store.fsck() == ()
    (store.layer_path(diff_id) / "file").write_text("2")
    assert [damage.id for damage in store.fsck()] == [diff_id]


# --- names
def test_a_base_image_is_found_by_any_of_its_spellings(store: Store) -> None:
    digest = image(store)
    store.tag("debian:12", digest)
    assert store.resolve("docker.io/library/debian:12") == digest
    assert store.tags() == {"debian:12": digest}
    with pytest.raises(
        NotFound, match="no base image is called 'debian:13'; this machine has: debian:12"
    ) as no:
        store.resolve("debian:13")
    assert str(no.value).endswith("by its whole name, docker.io/library/debian:13")
    for _ in range(2):
        store.untag("docker.io/library/debian:12")
        assert store.tags() == {}


def test_a_tag_is_only_for_an_image_that_is_there(store: Store) -> None:
    with pytest.raises(NotFound):
        store.tag("debian:12", ABSENT)
    assert store.tags() == {}


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\0b", "x:../y"])
def test_a_name_is_never_a_path(store: Store, name: str) -> None:
    with pytest.raises(BadInput):
        store.resolve(name)


# --- the build cache
def test_a_step_is_remembered(store: Store) -> None:
    diff_id = layer(store, "1")
    assert store.cached_step(KEY) is None
    store.remember_step(KEY, diff_id)
    assert store.cached_step(KEY) == diff_id
    assert store.cached_step(OTHER_KEY) is None


def test_a_step_whose_layer_is_gone_is_a_miss(store: Store) -> None:
    diff_id = layer(store, "1")
    store.remember_step(KEY, diff_id)
    shutil.rmtree(store.layer_path(diff_id))
    assert store.cached_step(KEY) is None
    with pytest.raises(NotFound):
        store.remember_step(KEY, diff_id)


def test_a_step_that_a_power_cut_left_empty_is_a_miss_and_is_pruned(store: Store) -> None:
    store.remember_step(KEY, layer(store, "1"))
    entry = store.root / "steps" / KEY[:2] / KEY
    entry.write_text("")
    assert store.cached_step(KEY) is None
    assert store.prune([], dry_run=True).steps == 1
    store.prune([])
    assert not entry.exists()


@pytest.mark.parametrize("key", ["", "0" * 63, "../" + "0" * 61, "0" * 64 + "\n", "G" * 64])
def test_a_step_key_is_never_a_path(store: Store, key: str) -> None:
    with pytest.raises(BadInput):
        store.cached_step(key)


# --- prune
def furnished(store: Store) -> dict[str, str]:
    """A base, an app on it, an old app, a step kept warm, a step gone cold."""
    ids = {name: layer(store, name) for name in ("base", "app", "old", "warm", "cold", "stray")}
    made = {
        "base image": image(store, ids["base"], name="base"),
        "app image": image(store, ids["base"], ids["app"]),
        "old image": image(store, ids["base"], ids["old"], name="old"),
    }
    store.tag("debian:12", made["base image"])
    store.remember_step(KEY, ids["warm"])
    store.remember_step(OTHER_KEY, ids["cold"])
    age(store)
    os.utime(store.root / "steps/ff" / OTHER_KEY, (0, 0))
    return ids | made


def test_prune_removes_what_nothing_refers_to(store: Store) -> None:
    made = furnished(store)
    report = store.prune([made["app image"], ABSENT])
    assert set(report.layers) == {made["old"], made["cold"], made["stray"]}
    assert made["old image"] in report.blobs and len(report.blobs) == 2
    assert (report.steps, report.abandoned, report.dry_run) == (1, 0, False)
    assert report.bytes > len("old" + "cold" + "stray")
    assert store.is_complete(made["base image"]) and store.is_complete(made["app image"])
    assert store.cached_step(KEY) == made["warm"]
    assert not store.is_complete(made["old image"])
    assert not any(name.startswith("trash/") for name in objects(store))
    assert store.fsck() == ()


def test_a_dry_run_tells_exactly_what_prune_would_do_and_does_nothing(store: Store) -> None:
    made = furnished(store)
    before = objects(store)
    told = store.prune([made["app image"]], dry_run=True)
    assert objects(store) == before
    assert replace(told, dry_run=False) == store.prune([made["app image"]])
    again = store.prune([made["app image"]])
    assert (again.layers, again.blobs, again.steps, again.bytes) == ((), (), 0, 0)


def test_what_a_build_under_way_has_made_or_found_stays(store: Store) -> None:
    made = furnished(store)
    fresh = layer(store, "fresh")
    assert layer(store, "stray") == made["stray"]  # made again: young again
    os.utime(store.root / "steps/ff" / OTHER_KEY)
    assert store.cached_step(OTHER_KEY) == made["cold"]
    os.utime(store.root / "steps/ff" / OTHER_KEY, (0, 0))
    report = store.prune([])
    assert set(report.layers) == {made["app"], made["old"]}
    assert store.has_layer(fresh)


def test_an_image_put_again_is_young_again(store: Store) -> None:
    made = furnished(store)
    assert image(store, made["base"], made["old"], name="old") == made["old image"]
    assert made["old image"] not in store.prune([]).blobs


def test_an_image_that_is_used_again_is_young_with_all_that_it_needs(store: Store) -> None:
    made = furnished(store)
    old = store.image(made["old image"])
    assert store.use_image(old)
    report = store.prune([])
    assert made["old"] not in report.layers and store.image(old.digest) == old
    assert made["app image"] in report.blobs
    assert not store.use_image(replace(old, layers=(*old.layers, ABSENT)))


# --- crashes
CRASHES = ["copy", "describe", "sync_file_system", "write_lightly", "_rename"]


@pytest.mark.parametrize("at", CRASHES)
def test_a_layer_half_written_is_never_used_and_is_made_again(
    store: Store, upper: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """The process dies in the middle of a commit, at each step of it."""
    (upper / "file").write_text("content")
    expected = Store(store.root.parent / "other").commit_changeset(upper).diff_id
    child = os.fork()
    if child == 0:
        _die_in(monkeypatch, at)
        store.import_layer(_tar_of(upper), canonical=True) if at == "describe" else store.commit_changeset(
            upper
        )
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not store.has_layer(expected)
    assert store.commit_changeset(upper).diff_id == expected
    assert (store.layer_path(expected) / "file").read_text() == "content"
    age(store)
    report = store.prune([], grace=1e9)
    assert report.abandoned == 1
    assert [p.name for p in (store.root / "layers").iterdir()] == [expected.removeprefix("sha256:")]


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_an_image_half_written_is_never_used_and_is_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The process dies when it waits for the disk: for the config, the manifest, their names, the layers'."""
    base = layer(store, "base")
    digest = image(Store(store.root.parent / "other"), layer(Store(store.root.parent / "other"), "base"))
    child = os.fork()
    if child == 0:
        synced = iter(range(4))

        def die_or_sync(fd: int) -> None:
            if next(synced) == at:
                os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(os, "fsync", die_or_sync)
        image(store, base)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert store.is_complete(digest) == (at >= 2)
    assert image(store, base) == digest
    assert store.is_complete(digest) and store.fsck() == ()
    age(store)
    assert store.prune([digest], grace=1e9).abandoned == (1 if at < 2 else 0)


def _die_in(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if at in ("copy", "describe"):
        monkeypatch.setattr(changeset, at, die)
    elif at == "_rename":
        monkeypatch.setattr(layers_module.Layers, at, die)
    else:
        monkeypatch.setattr(layers_module, at, die)


def _tar_of(folder: Path) -> io.BytesIO:
    data = (folder / "file").read_bytes()
    return io.BytesIO(encode(TarEntry("file", size=len(data))) + data.ljust(512, b"\0") + END)


def test_a_writer_that_lives_is_not_taken_for_dead(store: Store) -> None:
    reading, writing = os.pipe()
    made: list[str] = []

    def build() -> None:
        with os.fdopen(reading, "rb") as stream:
            made.append(store.import_layer(stream).diff_id)

    thread = threading.Thread(target=build)
    thread.start()
    with os.fdopen(writing, "wb") as stream:
        stream.write(encode(TarEntry("file")))
        stream.flush()
        while not list((store.root / "layers").glob(".new-*")):
            time.sleep(0.01)
        assert store.prune([], grace=0).abandoned == 0
        stream.write(END)
    thread.join()
    assert store.has_layer(made[0])


def test_many_builds_that_make_the_same_layer_at_once(store: Store) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(layer(store, "same"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1 and len(made) == 6
    assert len(list((store.root / "layers").iterdir())) == 1


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], check=True)
    try:
        store = Store(small / "store")
        tar = encode(TarEntry("file", size=4 * 2**20)) + os.urandom(4 * 2**20) + END
        with pytest.raises(HostProblem, match="no room for a layer: this machine's disk is full") as caught:
            store.import_layer(io.BytesIO(tar))
        assert caught.value.retryable
        assert list((store.root / "layers").iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_file_is_replaced_at_once_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    durable.write_file(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="power cut"):
        durable.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
