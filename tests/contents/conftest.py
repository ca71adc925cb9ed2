"""Layers as overlayfs writes them, from short texts; and a real overlay mount to hold ours against."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Layer = Callable[..., Path]


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    """`layer({"a/b": "text", "gone": None, "dir/": ""}, opaque=["dir"])`; a link is written "-> target"."""
    count = 0

    def make(files: dict[str, str | bytes | None], *, opaque: tuple[str, ...] = ()) -> Path:
        nonlocal count
        count += 1
        root = tmp_path / f"layer{count}"
        root.mkdir()
        for name, content in files.items():
            put(root / name, content, is_folder=name.endswith("/"))
        for name in opaque:
            os.setxattr(root / name, "trusted.overlay.opaque", b"y")
        return root

    return make


def put(path: Path, content: str | bytes | None, *, is_folder: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_folder:
        path.mkdir(exist_ok=True)
    elif content is None:
        os.mknod(path, 0o020000, os.makedev(0, 0))
    elif isinstance(content, str) and content.startswith("-> "):
        path.symlink_to(content[3:])
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
