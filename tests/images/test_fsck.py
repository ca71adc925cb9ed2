"""fsck finds what is damaged, mends it from what there is, and takes out of use what nothing can mend."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.errors import HostProblem, NotFound
from paas.images import Damage, Store, from_layout
from paas.images.tags import names_of
from paas.oci.digest import of_bytes
from paas.oci.manifest import parse_manifest
from tests.images.foreign import Foreign, layout, packed, unpacked, written
from tests.images.test_load import our_image, saved
from tests.images.test_store import ABSENT, KEY, OTHER_KEY, age, image, layer, objects

pytestmark = pytest.mark.kernel


def blob_path(store: Store, digest: str) -> Path:
    return store.root / "blobs/sha256" / digest.removeprefix("sha256:")


def spoil(path: Path) -> None:
    """One bit, as a disk does it."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def loaded(store: Store, compression: str = "gzip") -> Foreign:
    foreign = Foreign(compression=compression)
    store.load_archive(packed(layout(foreign)))
    return foreign


def only(found: tuple[Damage, ...]) -> Damage:
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_a_layer_is_rebuilt_from_the_blob_that_was_kept(store: Store, compression: str) -> None:
    foreign = loaded(store, compression)
    file = store.layer_path(foreign.diff_ids[1]) / "app"
    spoil(file)
    assert only(store.fsck()).outcome == ""
    assert file.read_bytes() != b"#!/bin/sh\necho app\n"
    found = only(store.fsck(mend=True))
    assert (found.kind, found.id, found.outcome) == ("layer", foreign.diff_ids[1], "rebuilt")
    assert found.images == (foreign.digest,) and found.what.startswith("its content has the digest sha256:")
    assert file.read_bytes() == b"#!/bin/sh\necho app\n"
    assert store.fsck() == ()
    assert unpacked(saved(store, foreign.digest)).items() >= foreign.files().items()


@pytest.mark.parametrize("harm", ["mode", "extra", "missing", "owner", "device", "link"])
def test_any_change_of_a_layer_is_found(store: Store, harm: str) -> None:
    diff_id = loaded(store).diff_ids[1]
    folder = store.layer_path(diff_id)
    {
        "mode": lambda: (folder / "app").chmod(0o6755),
        "extra": lambda: (folder / "more").write_text(""),
        "missing": (folder / "app").unlink,
        "owner": lambda: os.chown(folder / "app", 7, 7),
        "device": lambda: os.mknod(folder / "disk", 0o60600, os.makedev(8, 0)),
        "link": lambda: (folder / "added").symlink_to("/etc/passwd"),
    }[harm]()  # type: ignore[no-untyped-call]
    assert only(store.fsck(mend=True)).outcome == "rebuilt"
    assert store.fsck() == ()


def test_a_layer_of_ours_that_is_nowhere_else_is_made_anew_by_the_next_build(store: Store) -> None:
    diff_id, other = layer(store, "1"), layer(store, "2")
    made = image(store, diff_id, other)
    store.tag("debian:12", made)
    store.remember_step(KEY, diff_id)
    store.remember_step(OTHER_KEY, other)
    spoil(store.layer_path(diff_id) / "file")
    found = store.fsck(mend=True)
    assert [(damage.kind, damage.id, damage.outcome) for damage in found] == [
        ("layer", diff_id, "removed"), ("tag", "debian:12", "removed"),
    ]  # fmt: skip
    assert found[0].images == found[1].images == (made,)
    assert not store.has_layer(diff_id) and not store.is_complete(made)
    assert store.cached_step(KEY) is None and store.cached_step(OTHER_KEY) == other
    assert store.fsck() == ()
    assert layer(store, "1") == diff_id and store.is_complete(made)


def test_a_container_goes_on_with_the_layer_that_it_has(store: Store) -> None:
    """Removing files beneath a mounted overlay would take them from whoever runs on it."""
    diff_id = layer(store, "1")
    before = os.open(store.layer_path(diff_id) / "file", os.O_RDONLY)
    spoil(store.layer_path(diff_id) / "file")
    store.fsck(mend=True)
    assert store.prune([], keep_layers=[diff_id]).abandoned == 0
    assert os.fstat(before).st_nlink == 1
    report = store.prune([])
    assert (report.abandoned, report.abandoned_bytes) == (1, 1)
    assert os.fstat(before).st_nlink == 0
    os.close(before)


def test_what_is_elsewhere_is_fetched_from_there(store: Store, upper: Path, tmp_path: Path) -> None:
    digest = our_image(store, upper)
    spec = store.image(digest)
    (tmp_path / "backup").mkdir()
    store.save_layout(digest, tmp_path / "backup")
    spoil(store.layer_path(spec.layers[1]) / "app")
    spoil(blob_path(store, digest))
    found = store.fsck(mend=True, fetch=from_layout(tmp_path / "backup"))
    assert [(damage.kind, damage.outcome) for damage in found] == [("layer", "fetched"), ("blob", "fetched")]
    assert store.fsck() == () and store.image(digest) == spec


def test_a_backup_that_is_damaged_as_well_is_not_believed(store: Store, upper: Path, tmp_path: Path) -> None:
    digest = our_image(store, upper)
    (tmp_path / "backup").mkdir()
    store.save_layout(digest, tmp_path / "backup")
    top = store.image(digest).layers[1]
    spoil(store.layer_path(top) / "app")
    spoil(tmp_path / "backup/blobs/sha256" / top.removeprefix("sha256:"))
    assert only(store.fsck(mend=True, fetch=from_layout(tmp_path / "backup"))).outcome == "removed"
    assert not store.has_layer(top)


def test_a_layer_and_its_blob_are_both_damaged(store: Store) -> None:
    foreign = loaded(store)
    spoil(store.layer_path(foreign.diff_ids[0]) / "etc/os-release")
    spoil(blob_path(store, of_bytes(foreign.blobs[0])))
    found = store.fsck(mend=True)
    assert [(damage.kind, damage.outcome) for damage in found] == [("layer", "removed"), ("blob", "removed")]
    assert store.fsck() == ()
    loaded(store)
    assert store.is_complete(foreign.digest) and store.fsck() == ()


def test_a_kept_blob_that_is_damaged_costs_the_export_only(store: Store) -> None:
    foreign = loaded(store)
    spoil(blob_path(store, of_bytes(foreign.blobs[0])))
    with pytest.raises(HostProblem, match="is damaged on disk"):
        saved(store, foreign.digest)
    found = only(store.fsck(mend=True))
    assert (found.kind, found.outcome, found.images) == ("blob", "removed", (foreign.digest,))
    assert store.is_complete(foreign.digest) and store.fsck() == ()
    with pytest.raises(NotFound, match="was not kept as it came"):
        saved(store, foreign.digest)
    found = only(store.fsck({foreign.digest}, mend=True))
    assert (found.kind, found.images, found.outcome) == ("blob", (foreign.digest,), ""), "not lost: it runs"
    assert "cannot be exported" in found.what
    loaded(store)
    assert store.fsck({foreign.digest}) == () and saved(store, foreign.digest)


@pytest.mark.parametrize("which", ["config", "manifest"])
def test_a_damaged_document_is_named_with_its_image(store: Store, which: str) -> None:
    foreign = loaded(store)
    digest = foreign.digest if which == "manifest" else of_bytes(foreign.document)
    spoil(blob_path(store, digest))
    found = only(store.fsck(mend=True))
    assert (found.kind, found.id, found.outcome) == ("blob", digest, "removed")
    assert found.images == ((foreign.digest,) if which == "config" else ())
    loaded(store)
    assert store.is_complete(foreign.digest) and store.fsck() == ()


def test_a_layer_that_is_missing_is_made_from_the_blob_that_was_kept(store: Store) -> None:
    foreign = loaded(store)
    diff_id = foreign.diff_ids[1]
    store.layer_path(diff_id).rename(store.root / "lost+found")
    found = only(store.fsck())
    assert (found.kind, found.id, found.what) == ("layer", diff_id, "it is not there")
    assert found.images == (foreign.digest,)
    assert only(store.fsck(mend=True)).outcome == "rebuilt"
    assert store.is_complete(foreign.digest) and store.fsck({foreign.digest}) == ()


def test_what_an_image_that_is_needed_lacks_is_found(store: Store) -> None:
    lower = layer(store, "1")
    digest = image(store, lower, layer(store, "2"))
    config = parse_manifest(blob_path(store, digest).read_bytes()).config.digest
    store.layer_path(lower).rename(store.root / "lost+found")
    assert store.fsck() == ()  # nothing that anybody needs
    found = only(store.fsck({digest}, mend=True))
    assert (found.id, found.outcome, found.images) == (lower, "removed", (digest,))
    assert layer(store, "1") == lower and store.fsck({digest}) == ()
    for document in (config, digest):
        blob_path(store, document).unlink()
        found = only(store.fsck({digest}))
        assert (found.kind, found.id, found.what) == ("blob", document, "it is not there")
        assert found.images == (digest,)


def test_facts_that_cannot_be_read_are_written_again(store: Store) -> None:
    diff_id = layer(store, "1")
    facts = store.root / "layers-meta" / f"{diff_id.removeprefix('sha256:')}.json"
    before = store.layer_info(diff_id)
    facts.write_bytes(b"")
    assert only(store.fsck(mend=True)).outcome == "rebuilt"
    assert store.layer_info(diff_id).size == before.size and store.fsck() == ()


def test_facts_that_are_lost_are_written_when_the_layer_is_made_again(store: Store) -> None:
    diff_id = layer(store, "1")
    facts = store.root / "layers-meta" / f"{diff_id.removeprefix('sha256:')}.json"
    facts.unlink()
    store.tag("debian:12", image(store, layer(store, "2")))
    assert layer(store, "1") == diff_id and facts.exists() and store.fsck() == ()


def test_a_tag_that_leads_nowhere(store: Store) -> None:
    (names_of(store.root) / "debian%3A12").write_text(ABSENT)
    assert only(store.fsck()).what == f"its image {ABSENT} is not there"
    store.fsck(mend=True)
    assert store.tags() == {} and store.fsck() == ()


def test_a_sound_store_is_left_alone(store: Store, tmp_path: Path) -> None:
    loaded(store)
    layer(store, "1")
    age(store)
    before = objects(store)
    assert store.fsck(mend=True, fetch=from_layout(written({}, tmp_path))) == ()
    assert objects(store) == before
