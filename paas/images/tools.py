"""A layer of nothing but host programs and what they load: to run them in a container that has no shell.

Made from the host's own packages in a second, without the network, and again when one of the files changes.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from paas.errors import HostProblem
from paas.images.store import Store
from paas.linux.command import run

HOME, USER = "/work", 1000
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_TEXTS = {
    "etc/passwd": f"root:x:0:0::/:/\ntools:x:{USER}:{USER}::{HOME}:/\n",
    "etc/group": f"root:x:0:\ntools:x:{USER}:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
    "etc/resolv.conf": "",
    "etc/hosts": "",
    "etc/hostname": "",
    # Whom to trust is said by digest and TLS; nobody's signature is known here.
    "etc/containers/policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}\n',
    "etc/containers/registries.conf": "",
}


def tools_layer(store: Store, program: str) -> str:
    """The DiffID of a layer with `program`; its user is 1000, whose home is /work. HostProblem without it."""
    path = shutil.which(program)
    if path is None:
        raise HostProblem(f"{program} is not installed on this machine", hint=f"apt-get install {program}")
    files = sorted({Path(path), CA_BUNDLE, *_loaded(path)})
    key = _key(files)
    if found := store.cached_step(key):
        return found
    with tempfile.TemporaryDirectory(prefix="berth-tools-") as folder:
        _fill(Path(folder), files)
        diff_id = store.commit_changeset(Path(folder), epoch=0).diff_id
    store.remember_step(key, diff_id)
    return diff_id


def _loaded(program: str) -> Iterator[Path]:
    """The loader and the libraries, as the loader itself tells (ldd(1))."""
    for line in run(["ldd", program]).stdout.splitlines():
        words = line.split()
        found = words[2] if "=>" in words else words[0]
        if found.startswith("/"):
            yield Path(found)


def _key(files: list[Path]) -> str:
    facts = [(str(f), (s := f.stat()).st_size, s.st_mtime_ns) for f in files]
    return hashlib.sha256(repr(("tools", _TEXTS, facts)).encode()).hexdigest()


def _fill(root: Path, files: list[Path]) -> None:
    root.chmod(0o755)
    for folder in ("bin", "lib", "lib64", "sbin"):  # as in Debian: the loader's path goes by a link
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    for file in files:
        # Where the host has a link to a folder (/lib), the name below it stays the same.
        copy = root / str(file.parent.resolve() / file.name).lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    for name, text in _TEXTS.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    home = root / HOME.lstrip("/")
    home.mkdir(mode=0o700)
    shutil.chown(home, USER, USER)
    for folder in ("tmp", "var/tmp"):
        (root / folder).mkdir(parents=True)
        (root / folder).chmod(0o1777)
    for folder in ("proc", "sys", "dev", "run"):
        (root / folder).mkdir()
