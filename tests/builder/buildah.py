"""Debian's buildah, on storage of a test's own, and what it and Berth make of the same Dockerfile.

It is 1.28 in Debian 12, which knows neither here-documents nor `${name#pattern}`, `--chmod=u+x`, `--parents`
and the like. docs/reference/dockerfile.md tells where it departs from the Dockerfile reference; no case asks.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Files = Mapping[str, str | bytes]
# (kind, mode, uid, gid, a link's target or what a file holds) by path
Tree = dict[str, tuple[str, int, int, int, str]]
CAPABILITY = "security.capability"
BASE, TOOLS = "localhost/base:1", "localhost/tools:1"
ENV = (("PATH", "/bin"), ("LANG", "C.UTF-8"))


@dataclass(frozen=True)
class Case:
    """A name that ends in "@" is a link to its content; `modes` are set in the source."""

    name: str
    dockerfile: str
    files: Files = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""

    def source(self, folder: Path) -> Path:
        folder.mkdir()
        for name, content in {"Dockerfile": self.dockerfile, **self.files}.items():
            path = folder / name.removesuffix("@")
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("@"):
                path.symlink_to(os.fsdecode(content))
            else:
                path.write_bytes(os.fsencode(content))
        for name, mode in self.modes.items():
            (folder / name).chmod(mode)
        return folder


@dataclass(frozen=True)
class Made:
    tree: Tree
    config: dict[str, Any]


class Buildah:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "home").mkdir()
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/graph"\n'
        )

    def base(self, name: str, root: Path) -> None:
        """A folder as an image of one layer."""
        context = self.folder / f"base-{root.name}"
        context.mkdir()
        subprocess.run(["tar", "-C", root, "-cf", context / "base.tar", "."], check=True)
        env = "\n".join(f"ENV {key}={value}" for key, value in ENV)
        (context / "Dockerfile").write_text(f"FROM scratch\nADD base.tar /\n{env}\n")
        self._bud(context, "--tag", name)

    def on(self, image: str, instructions: str, *, name: str) -> None:
        """Another image on one."""
        context = self.folder / f"on-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        context.mkdir()
        (context / "Dockerfile").write_text(f"FROM {image}\n{instructions}\n")
        self._bud(context, "--tag", name)

    def build(self, case: Case, context: Path) -> Made:
        options = [f"--build-arg={key}={value}" for key, value in case.args.items()]
        return self._made(self._bud(context, *options, *([f"--target={case.target}"] if case.target else [])))

    def _bud(self, context: Path, *options: str) -> str:
        """The image's id."""
        done = subprocess.run(
            ["buildah", "bud", "--isolation=chroot", "--format=docker", "--quiet", "--pull-never",
             f"--signature-policy={self.folder}/policy.json", *options, str(context)],
            env={
                "PATH": os.environ["PATH"], "HOME": f"{self.folder}/home",
                "CONTAINERS_STORAGE_CONF": f"{self.folder}/storage.conf",
            },
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip().splitlines()[-1]

    def _made(self, image: str) -> Made:
        """From the storage itself: each further buildah is a tenth of a second."""
        graph = self.folder / "graph"
        (row,) = (
            row for row in json.loads((graph / "vfs-images/images.json").read_text()) if row["id"] == image
        )
        name = "=" + base64.b64encode(f"sha256:{image}".encode()).decode()
        config = json.loads((graph / "vfs-images" / image / name).read_text())
        return Made(tree(graph / "vfs/dir" / row["layer"]), normal(config))


@contextmanager
def own_buildah() -> Iterator[Buildah]:
    """In memory: it waits for the disk at each of its many steps, and nothing here is to last."""
    folder = Path(tempfile.mkdtemp(prefix="berth-buildah-", dir="/dev/shm"))
    try:
        yield Buildah(folder)
    finally:
        shutil.rmtree(folder)


def tree(root: Path) -> Tree:
    found: Tree = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISLNK(status.st_mode):
                kind, mode, content = "link", 0, str(path.readlink())
            elif stat.S_ISDIR(status.st_mode):
                kind, content = "folder", ""
            elif stat.S_ISFIFO(status.st_mode):
                kind, content = "pipe", ""
            else:
                kind, content = "file", f"{hashlib.sha256(path.read_bytes()).hexdigest()}, {_more(path)}"
            found[str(path.relative_to(root))] = (kind, mode, status.st_uid, status.st_gid, content)
    return found


def _more(path: Path) -> str:
    """A file's number of names, and its capabilities if it has any."""
    names = f"{path.lstat().st_nlink} names"
    return f"{names}, {os.getxattr(path, CAPABILITY).hex()}" if CAPABILITY in os.listxattr(path) else names


def normal(config: dict[str, Any]) -> dict[str, Any]:
    """What both can say of an image, with what is left out said in full."""
    run = config["config"]
    labels = {key: value for key, value in (run.get("Labels") or {}).items() if key != "io.buildah.version"}
    signal = (run.get("StopSignal") or "SIGTERM").upper()
    return {
        "Env": run.get("Env") or [],
        "Entrypoint": run.get("Entrypoint") or [],
        "Cmd": run.get("Cmd") or [],
        "WorkingDir": run.get("WorkingDir") or "/",
        "User": run.get("User") or "",
        "ExposedPorts": sorted(run.get("ExposedPorts") or {}),
        "Labels": labels,
        "StopSignal": signal if signal.isdecimal() or signal.startswith("SIG") else f"SIG{signal}",
        "Volumes": sorted(run.get("Volumes") or {}),
        "Healthcheck": run.get("Healthcheck") or {},
        "Shell": run.get("Shell") or [],
        "author": config.get("author") or "",
    }


def differences(ours: Made, theirs: Made) -> list[str]:
    """One line for each, so that a failure can be read."""
    lines = [
        f"{path}: ours {ours.tree.get(path)}, buildah's {theirs.tree.get(path)}"
        for path in sorted({*ours.tree, *theirs.tree})
        if ours.tree.get(path) != theirs.tree.get(path)
    ]
    keys = (key for key in theirs.config if ours.config[key] != theirs.config[key])
    return lines + [f"{key}: ours {ours.config[key]}, buildah's {theirs.config[key]}" for key in keys]


def base_files(root: Path, folders: Sequence[str] = ()) -> Path:
    """What a base image must have so that a RUN of buildah's leaves no trace of its own mounts."""
    for name in ("dev", "proc", "sys", "run", "tmp", "etc", "srv", *folders):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/srv:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nstaff:x:50:\napp:x:1001:\n")
    for name in ("resolv.conf", "hosts", "hostname"):
        (root / "etc" / name).touch()
    return root
