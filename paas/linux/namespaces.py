"""Mount and user namespaces: one that Berth lives in, and ones that only carry an id mapping."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from paas.errors import HostProblem
from paas.linux import cgroups, mounts
from paas.linux import syscalls as sys
from paas.linux.command import CLEAN_ENV, run
from paas.specs import ID_RANGE_SIZE

NSFS_MAGIC = 0x6E736673
# Some hosts let nobody but root make user namespaces.
_MAY_UNSHARE = ("--inh-caps=+sys_admin", "--ambient-caps=+sys_admin")
# The OCI runtime gives its three standard streams to the container's user, and a container's standard input
# is /dev/null: a tenant who owned the host's own could close it to everybody (chmod). On a read-only mount
# it can be written to, but neither given away nor changed.
NULL = Path("/dev/null")
# crun starts by making a read-only copy of itself, against containers that would write to it by
# /proc/<pid>/exe (CVE-2019-5736), and starts again as that. Where its own file is on a read-only mount and
# this variable says that it is for that reason, it goes on at once: 3 ms less for each call.
RUNTIMES = ("/usr/bin/crun",)
RUNTIME_IS_READ_ONLY = {"_LIBCONTAINER_CLONED_BINARY": "1"}


def is_pinned(path: Path) -> bool:
    """Whether a namespace is pinned at `path`."""
    return path.exists() and fs_magic(path) == NSFS_MAGIC


def pin_mount_namespace(path: Path) -> None:
    """Make a mount namespace that outlives its processes, held by a bind mount at `path`; join it with
    `nsenter --mount=<path> --`. Does nothing when there is one already.

    Mounts made on the host appear in it, none made in it appears on the host. Where the cgroup v2 tree is
    mounted beside v1 and owns controllers (crun declines that), it is unmounted inside only.
    """
    if not is_pinned(path):
        _pin(path)
    _furnish(["nsenter", f"--mount={path}", "--"])


def _pin(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not mounts.is_mounted(path.parent):
        mounts.bind(path.parent, path.parent)
    # A mount namespace can only be bound onto a private mount, or it could contain itself.
    mounts.make_private(path.parent)
    path.touch()
    # The kernel refuses to bind a namespace that is older than the one it is bound in (mnt_ns_loop(),
    # EINVAL), and tells by their ids. Since Linux 6.18 each CPU deals ids from a batch of its own, so a new
    # namespace can have the lower one; on the CPU that made the present namespace it never has.
    for cpu in sorted(os.sched_getaffinity(0)):
        on_cpu = ["taskset", "--cpu-list", str(cpu)]
        made = run([*on_cpu, "unshare", f"--mount={path}", "--propagation", "slave", "--", "true"], check=False)
        if made.status == 0:
            return
    raise HostProblem(
        f"cannot pin a mount namespace at {path}: {made.stderr.strip()}",
        hint="run bin/up again from a login shell of the host, not from inside a container",
    )


def _furnish(inside: list[str]) -> None:
    """What the namespace has to look like inside; what is so already stays."""
    for path, options in _shields():
        if run([*inside, "mountpoint", "-q", path], check=False).status != 0:
            run([*inside, "mount", "--bind", path, path])
            run([*inside, "mount", "-o", f"remount,bind,ro,{options}", path])
    beside = cgroups.unified_beside_v1()
    if beside is not None and run([*inside, "mountpoint", "-q", beside], check=False).status == 0:
        run([*inside, "umount", beside])


def _shields() -> list[tuple[Path, str]]:
    """Files that are read-only in a namespace of Berth's, with what else their mounts are."""
    programs = (Path(runtime) for runtime in RUNTIMES)
    return [(NULL, "nosuid,noexec"), *((program, "nosuid") for program in programs if program.exists())]


def unpin(path: Path) -> None:
    """Let go of the namespace: with its last process all its mounts are gone."""
    mounts.unmount(path)
    path.unlink(missing_ok=True)
    mounts.unmount(path.parent)


def enter_private_mount_namespace() -> None:
    """Move this process (it must have one thread) into a mount namespace of its own, for good."""
    sys.unshare(sys.CLONE_NEWNS)
    sys.mount("none", "/", None, sys.MS_REC | sys.MS_PRIVATE)
    beside = cgroups.unified_beside_v1()
    if beside is not None:
        mounts.unmount(beside)
    flags = sys.MS_BIND | sys.MS_REMOUNT | sys.MS_RDONLY | sys.MS_NOSUID
    for path, options in _shields():
        mounts.bind(path, path)
        sys.mount("none", path, None, flags | (sys.MS_NOEXEC if "noexec" in options else 0))


def demand_shielded_null() -> None:
    """Raise HostProblem unless /dev/null is shielded here: then this is not a namespace of Berth's making."""
    if not os.statvfs(NULL).f_flag & os.ST_RDONLY:
        raise HostProblem(
            "containers are only run in Berth's own mount namespace, and this is not it",
            hint="run bin/up again, or nsenter --mount=<run folder>/ns/mount -- …",
        )


def is_first_of_its_own(pid: int) -> bool:
    """Whether the process lives, is the first of a pid namespace, and has not our network or mounts."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
        is_apart = not any(
            os.path.samestat(*(Path(f"/proc/{of}/ns/{kind}").stat() for of in (pid, "thread-self")))
            for kind in ("net", "mnt")
        )
    except (FileNotFoundError, ProcessLookupError):
        return False
    ids = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))  # outermost first
    return is_apart and len(ids) > 1 and ids[-1] == "1"


@contextmanager
def user_namespace(uid_base: int, size: int = ID_RANGE_SIZE) -> Iterator[int]:
    """A descriptor of a user namespace that maps ids [0, size) to [uid_base, uid_base + size) on the host.

    The kernel counts what it has for its users (inotify instances, message queues, timers and signals that
    wait: ucounts) as its maker's as well, and its maker is `uid_base`: were it root, all tenants and the host
    itself would have one account. `unshare` makes it and `cat` echoes a byte to prove that it is made: no fork
    of this, maybe big, process.
    """
    maker = ("setpriv", f"--reuid={uid_base}", f"--regid={uid_base}", "--clear-groups", *_MAY_UNSHARE, "--")
    process = subprocess.Popen(
        [*maker, "unshare", "--user", "--", "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=CLEAN_ENV,
        bufsize=0,
    )
    with process:
        try:
            _wait_for_echo(process)
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{process.pid}/{name}").write_text(f"0 {uid_base} {size}\n")
            descriptor = os.open(f"/proc/{process.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            process.kill()
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def pin_user_namespace(path: Path, uid_base: int) -> None:
    """Hold such a user namespace at `path` for as long as the mount namespace lives, for containers to join.
    Does nothing when there is one already."""
    if is_pinned(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    path.touch()
    with user_namespace(uid_base) as descriptor:
        mounts.bind(Path(f"/proc/self/fd/{descriptor}"), path)


def unpin_user_namespace(path: Path) -> None:
    mounts.unmount(path)
    path.unlink(missing_ok=True)


def _wait_for_echo(process: subprocess.Popen[bytes]) -> None:
    stdin, stdout, stderr = (
        cast(IO[bytes], stream) for stream in (process.stdin, process.stdout, process.stderr)
    )
    with suppress(BrokenPipeError):
        stdin.write(b".")
    if stdout.read(1) != b".":
        raise HostProblem(
            f"cannot make a user namespace: {stderr.read().decode(errors='replace').strip()}",
            hint="allow them: sysctl user.max_user_namespaces, see bin/up --check",
        )


def fs_magic(path: Path) -> int:
    """The type of the file system that holds `path`, as in statfs(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = (ctypes.c_long * 16)()  # struct statfs begins with f_type, a long
    if libc.statfs(os.fsencode(path), ctypes.byref(buffer)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"statfs: {os.strerror(code)}", str(path))
    return int(buffer[0])
