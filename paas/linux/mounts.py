"""Mounts as operations that can be repeated: making one that is there, or removing one that is not, is fine."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from paas.errors import HostProblem
from paas.linux import syscalls as sys

# One page less its end mark: all that mount(2) takes (man 2 mount).
OPTIONS_MAX = 4095


def is_mounted(path: Path) -> bool:
    """Whether something is mounted exactly at `path`; true for binds of the same file system too."""
    try:
        return bool(sys.statx_attributes(path) & sys.STATX_ATTR_MOUNT_ROOT)
    except FileNotFoundError:
        return False


def mount(source: str | Path, target: Path, fstype: str, flags: int = 0, data: str = "") -> None:
    with _explained(f"cannot mount {fstype} at {target}"):
        sys.mount(source, target, fstype, flags, data)


def bind(source: Path, target: Path) -> None:
    """Show `source` at `target`, without what is mounted below it."""
    with _explained(f"cannot bind {source} at {target}"):
        sys.mount(source, target, None, sys.MS_BIND)


def make_private(target: Path, *, recursive: bool = False) -> None:
    """Neither give mount events at `target` to other namespaces nor take theirs."""
    with _explained(f"cannot make {target} private"):
        sys.mount("none", target, None, sys.MS_PRIVATE | (sys.MS_REC if recursive else 0))


def unmount(target: Path) -> None:
    """Remove every mount at `target`, lazily when it is busy."""
    while is_mounted(target):
        with _explained(f"cannot unmount {target}"):
            sys.umount2(target, sys.MNT_DETACH | sys.UMOUNT_NOFOLLOW)


def id_mapped_view(source: Path, target: Path, userns: int, *, read_only: bool) -> None:
    """Show `source` at `target` with owners shifted as the user namespace `userns` (a descriptor) maps them.

    An id of 0 on disk is the namespace's root seen through the view, and what that root writes through the
    view is owned by 0 on disk (mount_setattr(2), "ID-mapped mounts").
    """
    wanted = sys.MOUNT_ATTR_IDMAP | sys.MOUNT_ATTR_NODEV | sys.MOUNT_ATTR_NOSUID
    if read_only:
        wanted |= sys.MOUNT_ATTR_RDONLY
    with _explained(f"cannot show {source} with shifted owners at {target}"):
        tree = sys.open_tree(source, sys.OPEN_TREE_CLONE | sys.OPEN_TREE_CLOEXEC)
        try:
            sys.mount_setattr(tree, wanted, userns_fd=userns)
            sys.move_mount(tree, target)
        finally:
            os.close(tree)


def overlay_options(lowers: Sequence[str], upper: str, work: str) -> str:
    """Overlayfs options; `lowers` is top first. Errors: HostProblem when they pass mount(2)'s one page.

    volatile: no sync when a container goes, its upper goes with it. The other three keep an upper readable
    as a plain changeset: no inode index, no redirects, no metadata-only copies.
    """
    options = (
        f"lowerdir={':'.join(lowers)},upperdir={upper},workdir={work},"
        "volatile,index=off,redirect_dir=off,metacopy=off"
    )
    if len(os.fsencode(options)) > OPTIONS_MAX:
        raise HostProblem(
            f"cannot stack {len(lowers)} layers: the kernel takes {OPTIONS_MAX} bytes of mount options",
            hint="join RUN and COPY steps so that the image has at most 60 layers",
        )
    return options


def overlay(lowers: Sequence[str], upper: str, work: str, target: Path, *, folder: Path) -> None:
    """Mount an overlay at `target`; `lowers` (top first), `upper` and `work` are relative to `folder`."""
    options = overlay_options(lowers, upper, work)
    with _explained(f"cannot mount the root file system at {target}"):
        _mount_from(folder, upper, target, options)


def _mount_from(folder: Path, upper: str, target: Path, options: str) -> None:
    """Mount with `folder` as the current one: in a thread with a current folder of its own (CLONE_FS),

    for a process has one for all its threads and others may be using it.
    """
    failure: list[BaseException] = []

    def work() -> None:
        try:
            sys.unshare(sys.CLONE_FS)
            os.chdir(folder)
            # Overlayfs makes its own files as whoever mounted it, and host ids do not exist on an id-mapped
            # upper (EOVERFLOW, and a read-only mount): mount as the upper's owner.
            owner = Path(upper).stat()
            sys.act_as(owner.st_uid, owner.st_gid)
            sys.mount("overlay", target, "overlay", sys.MS_NODEV | sys.MS_NOSUID, options)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


@contextmanager
def _explained(summary: str) -> Iterator[None]:
    """Turn an OSError into a HostProblem that says what was tried."""
    try:
        yield
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "?")
        raise HostProblem(
            f"{summary}: {error.strerror}", hint="see bin/up --check", details={"errno": name}
        ) from error


def remove_mount_point(target: Path) -> None:
    """Unmount and remove the folder, which must then be empty."""
    unmount(target)
    with suppress(FileNotFoundError):
        target.rmdir()
