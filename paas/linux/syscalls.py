"""Linux system calls that Python lacks: constants, structs, one thin wrapper each. Numbers from 424 up are
the same on every architecture (include/uapi/asm-generic/unistd.h). Every error is an OSError whose text names
the call and whose filename is the path."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_SYMLINK_NOFOLLOW = 0x100

CLONE_FS = 0x0000_0200
CLONE_NEWNS = 0x0002_0000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_IDMAP = 0x0010_0000

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

STATX_ATTR_MOUNT_ROOT = 0x2000

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38

_RENAME_EXCHANGE = 2

_NR_OPEN_TREE = 428
_NR_MOVE_MOUNT = 429
_NR_OPENAT2 = 437
_NR_PIDFD_GETFD = 438
_NR_MOUNT_SETATTR = 442

_LINUX_CAPABILITY_VERSION_3 = 0x20080522
# Not the same on every architecture: x86-64 has numbers of its own.
_NR_CAPGET, _NR_CAPSET = (125, 126) if platform.machine() == "x86_64" else (90, 91)

_libc = ctypes.CDLL(None, use_errno=True)
_PathLike = str | Path


class _MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


class _OpenHow(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "mode", "resolve")]


class _Statx(ctypes.Structure):
    _fields_ = [
        ("mask", ctypes.c_uint32),
        ("blksize", ctypes.c_uint32),
        ("attributes", ctypes.c_uint64),
        ("_rest", ctypes.c_uint8 * 240),
    ]


def _checked(result: int, call: str, path: _PathLike = "") -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}", str(path) or None)
    return result


def _bytes(path: _PathLike) -> bytes:
    return os.fsencode(path)


def mount(source: _PathLike, target: _PathLike, fstype: str | None, flags: int = 0, data: str = "") -> None:
    """mount(2). `data` may be at most one page (4,096 bytes) with its end mark."""
    kind = fstype.encode() if fstype else None
    result = _libc.mount(
        _bytes(source), _bytes(target), kind, ctypes.c_ulong(flags), os.fsencode(data) if data else None
    )
    _checked(result, f"mount {fstype or 'bind'}", target)


def umount2(target: _PathLike, flags: int = 0) -> None:
    """umount2(2)."""
    _checked(_libc.umount2(_bytes(target), flags), "umount2", target)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """pidfd_getfd(2): a duplicate, for this process, of what another one has open as `fd`."""
    return _checked(_libc.syscall(_NR_PIDFD_GETFD, pidfd, fd, 0), "pidfd_getfd")


def unshare(flags: int) -> None:
    """unshare(2), for the calling thread."""
    _checked(_libc.unshare(flags), "unshare")


def setns(namespace: _PathLike, kind: int) -> None:
    """setns(2), for the calling thread; for a mount namespace it must be the only one of its process."""
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(descriptor, kind), "setns", namespace)
    finally:
        os.close(descriptor)


def prctl(option: int, argument: int) -> None:
    """prctl(2) with one argument."""
    rest = (ctypes.c_ulong(argument), *(ctypes.c_ulong(0) for _ in range(3)))
    _checked(_libc.prctl(option, *rest), f"prctl {option}")


def drop_capabilities() -> None:
    """capset(2): none that is permitted, in effect, or inherited."""
    header, sets = _CapHeader(_LINUX_CAPABILITY_VERSION_3, 0), (_CapData * 2)()
    _checked(_libc.syscall(_NR_CAPSET, ctypes.byref(header), ctypes.byref(sets)), "capset")


def act_as(uid: int, gid: int) -> None:
    """setfsuid(2), setfsgid(2): the calling thread makes files as `uid`, and keeps its capabilities, which
    the kernel takes away otherwise (capabilities(7), "Effect of user ID changes on capabilities")."""
    header, sets = _CapHeader(_LINUX_CAPABILITY_VERSION_3, 0), (_CapData * 2)()
    _checked(_libc.syscall(_NR_CAPGET, ctypes.byref(header), ctypes.byref(sets)), "capget")
    _libc.setfsgid(gid)
    _libc.setfsuid(uid)
    _checked(_libc.syscall(_NR_CAPSET, ctypes.byref(header), ctypes.byref(sets)), "capset")


def open_tree(path: _PathLike, flags: int) -> int:
    """open_tree(2): with OPEN_TREE_CLONE, a detached copy of the mount at `path`; gives a descriptor."""
    return _checked(_libc.syscall(_NR_OPEN_TREE, AT_FDCWD, _bytes(path), flags), "open_tree", path)


def mount_setattr(fd: int, attr_set: int, *, userns_fd: int = 0) -> None:
    """mount_setattr(2) on a detached mount."""
    attr = _MountAttr(attr_set, 0, 0, userns_fd)
    size = ctypes.c_size_t(ctypes.sizeof(attr))
    result = _libc.syscall(_NR_MOUNT_SETATTR, fd, b"", AT_EMPTY_PATH, ctypes.byref(attr), size)
    _checked(result, "mount_setattr")


def move_mount(fd: int, target: _PathLike) -> None:
    """move_mount(2): put a detached mount in place."""
    result = _libc.syscall(_NR_MOVE_MOUNT, fd, b"", AT_FDCWD, _bytes(target), MOVE_MOUNT_F_EMPTY_PATH)
    _checked(result, "move_mount", target)


def openat2(root: int, path: _PathLike, flags: int, resolve: int) -> int:
    """openat2(2): open `path` below the folder descriptor `root`; gives a descriptor."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    return _checked(_libc.syscall(_NR_OPENAT2, root, _bytes(path), ctypes.byref(how), size), "openat2", path)


def exchange(one: _PathLike, other: _PathLike) -> None:
    """Two paths of one file system change places at once (renameat2(2), RENAME_EXCHANGE)."""
    arguments = (AT_FDCWD, _bytes(one), AT_FDCWD, _bytes(other), _RENAME_EXCHANGE)
    _checked(_libc.renameat2(*arguments), "renameat2", one)


def statx_attributes(path: _PathLike) -> int:
    """The STATX_ATTR_* bits of `path` itself (statx(2))."""
    buffer = _Statx()
    _checked(_libc.statx(AT_FDCWD, _bytes(path), AT_SYMLINK_NOFOLLOW, 0, ctypes.byref(buffer)), "statx", path)
    return int(buffer.attributes)
