"""Images as others make them: layers in GNU's spelling of tar, compressed or not, in layouts and archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paas.oci.digest import of_bytes
from paas.oci.index import this_architecture

OCI = "application/vnd.oci.image"
Files = Mapping[str, bytes]


def gnu_tar(files: Files) -> bytes:
    """With owners' names and GNU magic: never what our own writer spells."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.uname, info.mtime = len(data), "somebody", 1_700_000_000
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def compress(data: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(data, 9, mtime=12345)
    if how == "zstd":
        return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


@dataclass
class Foreign:
    """An image to write out; change one thing of it for a test. `compression` is "", "gzip" or "zstd"."""

    layers: Sequence[Files] = ({"etc/os-release": b"ID=foreign\n"}, {"app": b"#!/bin/sh\necho app\n"})
    compression: str = "gzip"
    platform: str = f"linux/{this_architecture()}"
    name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    plain: list[bytes] = field(default_factory=list)
    media_type: str = ""

    def __post_init__(self) -> None:
        self.plain = self.plain or [gnu_tar(files) for files in self.layers]
        self.blobs = [compress(data, self.compression) for data in self.plain]
        self.diff_ids = [of_bytes(data) for data in self.plain]
        system, _, architecture = self.platform.partition("/")
        self.document = json.dumps(
            {
                "os": system,
                "architecture": architecture,
                "config": {"Cmd": ["/app"], "Env": ["A=1"], "ExposedPorts": {"80/tcp": {}}},
                "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
                "history": [{"created_by": f"layer {i}"} for i in range(len(self.blobs))],
                **self.config,
            },
            indent=1,
        ).encode()

    def manifest(self, **changes: Any) -> bytes:
        kind = self.media_type or f"{OCI}.layer.v1.tar" + (f"+{self.compression}" if self.compression else "")
        document = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": descriptor(f"{OCI}.config.v1+json", self.document),
            "layers": [descriptor(kind, blob) for blob in self.blobs],
            "annotations": {"made.by": "somebody else"},
        }
        return json.dumps(document | changes, indent=2).encode()

    @property
    def digest(self) -> str:
        return of_bytes(self.manifest())

    def entry(self) -> dict[str, Any]:
        system, _, architecture = self.platform.partition("/")
        entry = descriptor(f"{OCI}.manifest.v1+json", self.manifest())
        entry["platform"] = {"os": system, "architecture": architecture}
        if self.name:
            entry["annotations"] = {"org.opencontainers.image.ref.name": self.name}
        return entry

    def files(self) -> dict[str, bytes]:
        return blobs(self.manifest(), self.document, *self.blobs)


def descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": of_bytes(data), "size": len(data)}


def blobs(*data: bytes) -> dict[str, bytes]:
    return {f"blobs/sha256/{hashlib.sha256(item).hexdigest()}": item for item in data}


def layout(*images: Foreign, nested: bool = False) -> dict[str, bytes]:
    """The files of an OCI layout; `nested` puts an index into the index, as multi-platform images have it."""
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    for image in images:
        files |= image.files()
    entries = [image.entry() for image in images]
    if nested:
        inner = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
        files |= blobs(inner)
        entries = [descriptor(f"{OCI}.index.v1+json", inner)]
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    return files


def docker_archive(image: Foreign, name: str) -> dict[str, bytes]:
    """As `docker save` wrote it before version 25."""
    config = f"{hashlib.sha256(image.document).hexdigest()}.json"
    layers = [f"{i:064x}/layer.tar" for i in range(len(image.plain))]
    listed = [{"Config": config, "RepoTags": [name], "Layers": layers}]
    return {
        **dict(zip(layers, image.plain, strict=True)),
        **{layer.replace("layer.tar", "VERSION"): b"1.0" for layer in layers},
        config: image.document,
        "manifest.json": json.dumps(listed).encode(),
        "repositories": b"{}",
    }


def packed(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    out.seek(0)
    return out


def written(files: Mapping[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def unpacked(archive: io.BytesIO) -> dict[str, bytes]:
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
