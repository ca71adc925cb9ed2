"""Removing what a tenant made: few or many, wide or deep, and nothing that a link leads to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.linux import trees


@pytest.mark.parametrize("wide", [3, trees.FEW + 1])
@pytest.mark.parametrize("deep", [3, trees.FEW + 1, 3000])
def test_all_of_it_goes_and_what_links_lead_to_stays(tmp_path: Path, wide: int, deep: int) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(wide):
        (folder / str(number)).touch()
    (folder / "link").symlink_to(kept)
    here = os.open(folder, os.O_RDONLY)
    for _ in range(deep):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.symlink(kept, "link", dir_fd=here)
    os.close(here)
    trees.remove(folder)
    assert not folder.exists() and (kept / "file").exists()


def test_names_too_long_for_any_path_go_too(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 255, dir_fd=here)
        below = os.open("d" * 255, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    trees.remove(folder)
    assert not folder.exists()


def test_a_link_goes_itself_and_nothing_at_all_is_fine(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    trees.remove(tmp_path / "link")
    trees.remove(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
