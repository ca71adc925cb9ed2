"""`manage.py store`, as root uses it on the machine."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from paas.images import Store
from tests.images.foreign import Foreign, layout, packed, written
from tests.worker.test_upkeep import store

pytestmark = [pytest.mark.kernel, pytest.mark.django_db]
__all__ = ["store"]


def told(*args: object) -> str:
    out = io.StringIO()
    call_command("store", *map(str, args), stdout=out)
    return out.getvalue()


def test_an_image_is_loaded_named_saved_and_loaded_again(store: Store, tmp_path: Path) -> None:
    image = Foreign()
    (tmp_path / "in.tar").write_bytes(packed(layout(image)).getvalue())
    assert told("load", tmp_path / "in.tar", "theirs:1") == f"theirs:1 {image.digest}\n"
    assert store.resolve("theirs:1") == image.digest
    told("save", "theirs:1", tmp_path / "out.tar")
    assert told("load", tmp_path / "out.tar", "again:1", "--image", "theirs:1").endswith(f"{image.digest}\n")
    assert told("load", written(layout(image), tmp_path / "in"), "folder:1").endswith(f"{image.digest}\n")
    assert "2 layers" in told("usage") and f"theirs:1 {image.digest}" in told("usage")
    with pytest.raises(CommandError, match="no base image is called 'none:1'"):
        told("save", "none:1", tmp_path / "none.tar")


def test_fsck_tells_mends_and_fetches(store: Store, tmp_path: Path) -> None:
    image = Foreign()
    told("load", written(layout(image), tmp_path / "in"), "theirs:1")
    (store.layer_path(image.diff_ids[0]) / "etc/os-release").write_text("bad")
    with pytest.raises(CommandError, match="1 damaged; mend with --mend"):
        told("fsck")
    assert f"layer {image.diff_ids[0]}" in told("fsck", "--mend")
    assert told("fsck") == ""
    blob = next((store.root / "blobs/sha256").iterdir())
    blob.write_bytes(b"bad")
    assert "mended from elsewhere" in told("fsck", "--mend", "--from", tmp_path / "in")
    assert told("fsck") == ""
    blob.write_bytes(b"bad")
    with pytest.raises(CommandError, match="1 of 1 could not be mended: taken out of use"):
        told("fsck", "--mend")


def test_prune_tells_what_it_frees(store: Store) -> None:
    assert told("prune", "--dry-run").startswith("would free 0 B: 0 layers")
    assert told("prune").startswith("freed 0 B")
