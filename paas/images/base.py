"""The base image: a small Debian from the host's own package archive, by mmdebstrap(1)."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from paas.errors import NotFound
from paas.images.apt_sources import AptSource, debian_sources, network_options
from paas.images.budget import go_on
from paas.images.pipe import output_of, require
from paas.images.store import Store
from paas.linux.command import run
from paas.oci.config import History, ImageConfig
from paas.specs import ImageSpec

Log = Callable[[str], None]
SUITES = {"bookworm": "debian:12", "trixie": "debian:13"}
# Python and nginx are in the base: what most apps stand on is one layer, made in one go by the first bin/up;
# nginx serves static sites and PHP, Python is 30 MB that the other languages' images share and never load.
PACKAGES = (
    "ca-certificates",
    "python3",
    "python3-venv",
    "python3-pip",
    "python-is-python3",
    "nginx",
    "tzdata",
    "netbase",
)
_LEFT_OUT = ("doc", "man", "info", "locale", "lintian", "linda", "bug")
# mmdebstrap hands these to a shell of its own; they are constants, "$1" is the new root folder.
_HOOKS = (
    'chroot "$1" useradd --uid 1000 --user-group --home-dir /app --no-create-home --shell /bin/bash app',
    'install -d -m 0755 -o 1000 -g 1000 "$1/app"',
    # This machine's proxy, name and resolver are nobody's business in an image.
    'rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/etc/hostname"',
    ': > "$1/etc/resolv.conf"',
    'rm -f "$1"/etc/passwd- "$1"/etc/group- "$1"/etc/shadow- "$1"/etc/gshadow- "$1"/etc/sub?id-',
    'find "$1/var/log" "$1/var/cache/debconf" "$1/var/cache/ldconfig" -type f -delete',
)
# Debian 12 would else make the merged /usr by a package that needs all of perl: 47 MB.
_SUITE_OPTIONS = {"bookworm": ("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",)}
ENV = (("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("LANG", "C.UTF-8"))
# In an image there is one app, so pip may install beside Debian's packages, and as root.
_PYTHON_ENV = {"PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_ROOT_USER_ACTION": "ignore"}


# All that it mounts and starts ends with it. A mere SIGTERM would take half a minute or leave mounts behind.
_ALONE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--")
_DULL = ("running --", "using /", "chroot arch", "finding correct", "removing tempdir", "done", "success")


def build_base(
    store: Store,
    *,
    suite: str = "bookworm",
    rebuild: bool = False,
    log: Log,
    look: Callable[[], object] = go_on,
) -> ImageSpec:
    """Make the suite's base image, tagged as Dockerfiles know it; does nothing if it is there.

    Takes about a minute and needs the network. `log` gets a line for each stage. `rebuild` makes it again.
    `look` is called again and again meanwhile, and may raise: then all that was begun is gone.
    Raises HostProblem if this machine's apt does not know the suite, CommandFailed if mmdebstrap fails.
    """
    name = SUITES.get(suite, f"debian:{suite}")
    try:
        digest = store.resolve(name)
    except NotFound:
        digest = ""
    if digest and store.is_complete(digest) and not rebuild:
        return store.image(digest)
    diff_id = _bootstrap(store, suite, debian_sources(suite), log, look)
    debian = store.put_image(_config(diff_id, suite))
    config = store.config(debian.digest)
    python = store.put_image(replace(config.with_env(**_PYTHON_ENV), cmd=("python3",)))
    for alias in _python_names(store, diff_id, suite):
        store.tag(alias, python.digest)
    for alias in (f"{name}-slim", f"debian:{suite}", f"debian:{suite}-slim", name):  # last: the one looked for
        store.tag(alias, debian.digest)
    return debian


def _bootstrap(
    store: Store, suite: str, sources: Iterable[AptSource], log: Log, look: Callable[[], object]
) -> str:
    require("mmdebstrap")
    with tempfile.TemporaryDirectory(prefix="berth-base-", ignore_cleanup_errors=True) as name:
        scratch = Path(name)
        scratch.chmod(0o711)  # for apt's own user
        options = scratch / "apt.conf"
        options.touch(0o600)
        options.write_text(network_options(run(["apt-config", "dump"]).stdout))
        argv = ["env", f"TMPDIR={scratch}", *_ALONE, *mmdebstrap_argv(suite, sources, options)]
        report = partial(_report, log=log)
        with output_of(argv, log=report, look=look, ended_by=signal.SIGKILL) as tar:
            layer = store.import_layer(tar, canonical=True)
    log(f"base image: {layer.size // 2**20} MiB in {layer.files:,} files")
    return layer.diff_id


def mmdebstrap_argv(suite: str, sources: Iterable[AptSource], apt_options: Path) -> list[str]:
    """`apt_options` is a file, since a proxy's password has no place on a command line."""
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--mode=root",
        "--format=tar",
        f"--include={','.join(PACKAGES)}",
        *_SUITE_OPTIONS.get(suite, ()),
        f"--aptopt={apt_options}",
        '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in _LEFT_OUT),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        "--dpkgopt=path-include=/usr/share/locale/locale.alias",
        *(f"--customize-hook={hook}" for hook in _HOOKS),
        suite,
        "-",
        *(source.line() for source in sources),
    ]


def _report(line: str, log: Log) -> None:
    """mmdebstrap marks its own lines; all else is progress bars and the programs that it runs."""
    mark, _, text = line.rpartition("\r")[2].partition(": ")
    if mark == "I" and not text.startswith(_DULL):
        log(f"base image: {text}")
    elif mark in ("W", "E"):
        log(f"base image: {'warning' if mark == 'W' else 'error'}: {text}")


def _config(diff_id: str, suite: str) -> ImageConfig:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    step = History(f"mmdebstrap {suite} {' '.join(PACKAGES)}", created=now)
    config = ImageConfig(env=ENV, cmd=("bash",), created=now, architecture=_architecture())
    return config.with_layer(diff_id, step)


def _architecture() -> str:
    """As Go names it, which the OCI image spec asks for."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _python_names(store: Store, layer: str, suite: str) -> tuple[str, ...]:
    """The names that Docker's users know for the Python that this Debian has.

    `python:3` stays with the suite that had it first, which is the machine's own.
    """
    version = (store.layer_path(layer) / "usr/bin/python3").readlink().name.removeprefix("python")
    names = tuple(f"python:{version}{end}" for end in ("", "-slim", f"-{suite}", f"-slim-{suite}"))
    tags = store.tags()
    return ("python:3", *names) if tags.get("python:3") == tags.get(names[0]) else names
