"""What fifty apps take on disk that have one base and one layer of dependencies, and differ in their source."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from paas.images import Store
from paas.images.blobs import Blobs
from paas.images.graph import image

APPS = 50


def of_images(store: Store, digests: Iterable[str]) -> int:
    """Bytes on disk of all that the store keeps for these images, each layer and document once."""
    found = {image(Blobs(store.root), digest) for digest in digests}
    layers = {diff_id for one in found for diff_id in one.diff_ids}
    documents = {digest for one in found for digest in one.documents}
    return on_disk([*map(store.layer_path, layers), *map(Blobs(store.root).path, documents)])


def on_disk(paths: Iterable[Path]) -> int:
    argv = ["du", "--summarize", "--total", "--block-size=1", "--", *map(str, paths)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1].split()[0])


def table(sizes: Mapping[str, int]) -> str:
    lines = [f"on disk: {APPS} apps on one base"]
    reference = sizes.get("docker")
    for name, size in sizes.items():
        ratio = f"{size / reference:.3f}" if reference else ""
        lines.append(f"  {name:28}{size / 1e6:9.1f} MB  {ratio}".rstrip())
    return "\n".join(lines)
