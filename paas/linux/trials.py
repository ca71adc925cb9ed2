"""Kernel features tried for real, in a mount namespace of their own that ends with the process.

Run as a program (`python -m paas.linux.trials FOLDER`) it prints one JSON object: name -> "", or why not.
"""

from __future__ import annotations

import json
import shutil
import sys as interpreter
import tempfile
from collections.abc import Callable
from pathlib import Path

from paas.errors import BerthError, HostProblem
from paas.linux import mounts, namespaces
from paas.linux.command import CLEAN_ENV, run

UID_BASE = 1_879_048_192
NFT_TABLE = "table inet probe {{\n chain c {{\n type filter hook input priority 0;\n {rule}\n }}\n}}\n"
NAMES = ("userns", "idmap", "overlay", "loop", "seccomp", "nftables", "nflog")


def run_all(folder: Path) -> dict[str, str]:
    """Try everything with scratch files in `folder`, in a process of its own."""
    code = str(Path(__file__).parents[2])
    alone = ["unshare", "--mount", "--propagation", "private", "--"]
    argv = [*alone, interpreter.executable, "-m", __name__, str(folder)]
    try:
        done = run(argv, env={"PYTHONPATH": code, "PYTHONDONTWRITEBYTECODE": "1"}, timeout=60)
    except BerthError as error:
        return dict.fromkeys(NAMES, f"cannot try: {error.summary}")
    return dict(json.loads(done.stdout))


def try_all(folder: Path) -> dict[str, str]:
    trials: dict[str, Callable[[Path], None]] = {
        "userns": _user_namespace,
        "idmap": _id_mapped_mount,
        "overlay": _overlay,
        "loop": _loop,
        "seccomp": _seccomp,
        "nftables": lambda _: _nftables("accept"),
        "nflog": lambda _: _nftables("log group 5"),
    }
    with tempfile.TemporaryDirectory(prefix=".berth-probe-", dir=folder, ignore_cleanup_errors=True) as scratch:
        outcomes = {}
        for name, trial in trials.items():
            place = Path(scratch, name)
            place.mkdir()
            outcomes[name] = _outcome(trial, place)
        return outcomes


def _outcome(trial: Callable[[Path], None], place: Path) -> str:
    try:
        trial(place)
    except (BerthError, OSError) as error:
        return str(error.summary if isinstance(error, BerthError) else error)
    return ""


def _user_namespace(_: Path) -> None:
    with namespaces.user_namespace(UID_BASE):
        pass


def _id_mapped_mount(place: Path) -> None:
    source, view = _folders(place, "source", "view")
    _view(source, view)
    if view.stat().st_uid != UID_BASE:
        raise HostProblem(f"the file system of {place} shows owners unshifted")
    mounts.unmount(view)


def _overlay(place: Path) -> None:
    disk, view, lower, root = _folders(place, "disk", "view", "lower", "root")
    _folders(disk, "upper", "work")
    (lower / "below").touch()
    _view(disk, view)
    mounts.overlay(["lower"], "view/upper", "view/work", root, folder=place)
    (root / "below").unlink()
    mounts.unmount(root)
    mounts.unmount(view)


def _loop(place: Path) -> None:
    _demand("mkfs.ext4", "losetup")
    image, (target,) = place / "image", _folders(place, "target")
    with image.open("wb") as file:
        file.truncate(8 << 20)
    run(["mkfs.ext4", "-q", "-F", image])
    device = run(["losetup", "--find", "--show", image]).stdout.strip()
    try:
        mounts.mount(device, target, "ext4")
        mounts.unmount(target)
    finally:
        run(["losetup", "--detach", device])


def _seccomp(_: Path) -> None:
    if "errno" not in Path("/proc/sys/kernel/seccomp/actions_avail").read_text().split():
        raise HostProblem("the kernel cannot answer a refused call with an error")


def _nftables(rule: str) -> None:
    """In a network namespace of its own."""
    _demand("nft")
    run(["unshare", "--net", "--", "nft", "-f", "-"], input=NFT_TABLE.format(rule=rule))


def _demand(*programs: str) -> None:
    for program in programs:
        if shutil.which(program, path=CLEAN_ENV["PATH"]) is None:
            raise HostProblem(f"{program} is not installed")


def _view(source: Path, target: Path) -> None:
    with namespaces.user_namespace(UID_BASE) as userns:
        mounts.id_mapped_view(source, target, userns, read_only=False)


def _folders(place: Path, *names: str) -> tuple[Path, ...]:
    made = tuple(place / name for name in names)
    for folder in made:
        folder.mkdir()
    return made


if __name__ == "__main__":
    print(json.dumps(try_all(Path(interpreter.argv[1]))))
