"""Debian packages on top of layers, as one more layer: the host's apt works on an overlay over them.

apt itself, its settings and its network are the host's; packages' own scripts run in the new root (dpkg's
chroot), in pid and mount namespaces of their own, and no service is started. Nothing of the host gets into it.
"""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import BinaryIO

from paas.images.apt_sources import network_options
from paas.images.budget import go_on
from paas.images.durable import room_for
from paas.images.layers import LayerInfo
from paas.images.pipe import LOOK_SECONDS, output_of
from paas.images.store import Store
from paas.linux import mounts, syscalls
from paas.linux.command import run

Log = Callable[[str], None]
_DEVICES = ("null", "zero", "full", "random", "urandom")
_OWN_FOLDERS = ("var/lib/apt/lists", "var/cache/apt/archives")  # of apt's, not to be in the layer
_NO_SERVICES = "usr/sbin/policy-rc.d"
_LEFT_OUT = (
    *("dev", "proc", "tmp", "run", "var/tmp", _NO_SERVICES),
    *("var/log", "var/cache/apt", "var/lib/apt/lists", "var/cache/debconf", "var/cache/ldconfig"),
    *(f"var/lib/dpkg/{name}-old" for name in ("status", "diversions", "statoverride")),
)
_TO_FETCH = re.compile(r"Need to get (.+) of archives")
_NUMBER = re.compile(r"(\d+) newly installed")
_QUIET_SECONDS = 5.0
_PREFIX = ".new-"
_ABANDONED_SECONDS = 3 * 3600


def install(
    store: Store,
    layers: Sequence[str],
    packages: Sequence[str],
    *,
    log: Log,
    look: Callable[[], object] = go_on,
) -> LayerInfo:
    """The layer that `apt-get install --no-install-recommends packages` makes over `layers` (bottom first).

    Raises CommandFailed with apt's last words. `look` is called again and again meanwhile, and may raise: then
    apt is ended and all that was begun is gone.
    """
    making = store.root / "making"
    making.mkdir(mode=0o700, exist_ok=True)
    _sweep(making)
    with (
        tempfile.TemporaryDirectory(prefix=_PREFIX, dir=making, ignore_cleanup_errors=True) as scratch,
        room_for("packages"),
        ThreadPoolExecutor(1, initializer=_private_mounts) as alone,
    ):
        work = _Work(store, tuple(layers), Path(scratch), log)
        made = alone.submit(work.make, tuple(packages))
        try:
            while not wait((made,), LOOK_SECONDS).done:
                look()
        finally:
            work.ended.set()
        return made.result()


def _sweep(folder: Path) -> None:
    """What somebody left who was killed; nobody needs so long."""
    for path in folder.glob(f"{_PREFIX}*"):
        if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _private_mounts() -> None:
    """Mounts of this thread and of the programs that it starts are its own, and end with it."""
    syscalls.unshare(syscalls.CLONE_FS | syscalls.CLONE_NEWNS)
    mounts.make_private(Path("/"), recursive=True)


class _Ended(Exception):
    """Nobody wants it any more."""


class _Work:
    """One layer under way, in `scratch`, which is the maker's own."""

    def __init__(self, store: Store, layers: tuple[str, ...], scratch: Path, log: Log) -> None:
        self.store, self.layers, self.scratch, self.log = store, layers, scratch, log
        self.root, self.upper = scratch / "root", scratch / "upper"
        self.ended = threading.Event()

    def make(self, packages: tuple[str, ...]) -> LayerInfo:
        self._mount()
        try:
            self._write(self.root / _NO_SERVICES, "#!/bin/sh\nexit 101\n", 0o755)
            self._apt("update")
            self._apt("install", "--yes", "--no-install-recommends", *packages)
            return self.store.commit_changeset(self.upper, exclude=_LEFT_OUT, look=self._look)
        finally:
            for path in (*_OWN_FOLDERS, *(f"dev/{name}" for name in _DEVICES), "dev", ""):
                mounts.unmount(self.root / path)

    def _mount(self) -> None:
        for name in ("root", "upper", "work", *map(_flat, _OWN_FOLDERS)):
            (self.scratch / name).mkdir(mode=0o755)
        lowers = [self.store.layer_path(layer) for layer in reversed(self.layers)]
        folder = lowers[0].parent  # mount(2) takes one page of options: names are relative
        upper, work = (f"../making/{self.scratch.name}/{name}" for name in ("upper", "work"))
        mounts.overlay([path.name for path in lowers], upper, work, self.root, folder=folder)
        for name in _OWN_FOLDERS:
            (self.root / name).mkdir(parents=True, exist_ok=True)
            mounts.bind(self.scratch / _flat(name), self.root / name)
        mounts.mount("tmpfs", self.root / "dev", "tmpfs", syscalls.MS_NOSUID, "mode=0755,size=1m")
        for name in _DEVICES:
            (self.root / "dev" / name).touch()
            mounts.bind(Path("/dev", name), self.root / "dev" / name)

    def _apt(self, *words: str) -> None:
        """`unshare` makes apt the first process of a pid namespace: what it leaves behind ends with it."""
        config = self._write(self.scratch / "apt.conf", _settings(self.root), 0o600)
        argv = [
            *("env", f"APT_CONFIG={config}", "DEBIAN_FRONTEND=noninteractive"),
            *("unshare", "--pid", "--fork", "--kill-child", f"--mount-proc={self.root / 'proc'}", "--"),
            *("apt-get", "--quiet", *words),
        ]
        # unshare(1) does not heed SIGTERM while it waits for apt.
        with output_of(argv, look=self._look, ended_by=signal.SIGKILL) as output:
            _report(output, self.log)

    def _look(self) -> None:
        if self.ended.is_set():
            raise _Ended

    def _write(self, path: Path, text: str, mode: int) -> Path:
        path.write_text(text)
        path.chmod(mode)
        return path


def _flat(path: str) -> str:
    return path.replace("/", "-")


def _settings(root: Path) -> str:
    """For APT_CONFIG: a proxy's password has no place on a command line."""
    return f"""\
Dir "{root}/";
Dir::Etc::TrustedParts "/etc/apt/trusted.gpg.d/";
DPkg::Chroot-Directory "{root}";
DPkg::Options {{ "--force-unsafe-io"; }};
APT::Sandbox::User "root";
APT::Keep-Downloaded-Packages "false";
Acquire::Languages "none";
{network_options(run(["apt-config", "dump"]).stdout)}"""


def _report(output: BinaryIO, log: Log) -> None:
    """What there is to fetch, then how far it is, every few seconds."""
    total = unpacked = done = 0
    said = time.monotonic()
    for raw in output:
        line = raw.decode("utf-8", "replace").rstrip()
        if number := _NUMBER.search(line):
            total, said = int(number[1]), time.monotonic()
        if fetched := _TO_FETCH.search(line):
            log(f"{total} Debian packages, {fetched[1]} to fetch")
        unpacked += line.startswith("Unpacking ")
        done += line.startswith("Setting up ")
        if total and time.monotonic() - said > _QUIET_SECONDS:
            said = time.monotonic()
            log(f"{unpacked} of {total} packages unpacked, {done} set up")
