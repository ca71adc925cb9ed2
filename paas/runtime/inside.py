"""Reading a container's files from the host: nothing that a tenant put there may lead out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from paas.errors import BadInput, HostProblem, Refused, StepFailed
from paas.linux import syscalls
from paas.specs import ID_RANGE_SIZE

READ_MAX = 1024 * 1024
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What the runtime mounts itself: nothing of a tenant's may lie over it, and no process may begin in it, where
# /proc/self/fd would be the runtime's own (CVE-2024-21626).
KERNELS_PLACES = ("/proc", "/dev", "/sys")
MOST_LINKS = 40  # on the way to one place, as the kernel's
# A link loop, a name that is too long, a file where a folder should be: the tenant's own affair, "not there".
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.EXDEV)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a container's process is, by ids inside the container."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


class Inside:
    """A root file system opened once; every path is resolved as if it were `/` (openat2, RESOLVE_IN_ROOT)."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._led: dict[str, PurePosixPath] = {}

    def close(self) -> None:
        os.close(self._root)

    def __enter__(self) -> Inside:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, path: str, flags: int) -> int | None:
        if "\0" in path:
            return None
        resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
        try:
            return syscalls.openat2(self._root, path, flags, resolve)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise HostProblem(f"cannot look at {path} in the image: {error.strerror}") from error

    def stat(self, path: str) -> os.stat_result | None:
        """What `path` leads to, or None."""
        fd = self._open(path, os.O_PATH)
        if fd is None:
            return None
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def leads_to(self, path: str) -> PurePosixPath:
        """Where `path` will lead when everything is mounted: as the links that are here now say, followed also
        where what they name is not there yet; the same when it is asked again. Errors: BadInput for links
        without end.
        """
        if path not in self._led:
            self._led[path] = self._follow(path)
        return self._led[path]

    def _follow(self, path: str) -> PurePosixPath:
        here, todo, links = PurePosixPath("/"), _parts(path), 0
        while todo:
            name = todo.pop()
            if name == "..":
                here = here.parent
            elif (target := self._readlink(str(here / name))) is None:
                here = here / name
            elif (links := links + 1) > MOST_LINKS:
                raise BadInput(f"cannot start: {path} has links without end", hint="take them out of the image")
            else:
                here = PurePosixPath("/") if target.startswith("/") else here
                todo += _parts(target)
        return here

    def _readlink(self, path: str) -> str | None:
        fd = self._open(path, os.O_PATH | os.O_NOFOLLOW)
        if fd is None:
            return None
        try:
            return os.readlink("", dir_fd=fd) if stat.S_ISLNK(os.fstat(fd).st_mode) else None
        finally:
            os.close(fd)

    def read(self, path: str) -> str:
        """A regular file's text, at most a MiB of it; nothing for anything else (a fifo would hold us up)."""
        found = self.stat(path)
        if found is None or not stat.S_ISREG(found.st_mode):
            return ""
        fd = self._open(path, os.O_RDONLY | os.O_NONBLOCK)
        if fd is None:
            return ""
        with os.fdopen(fd, "rb") as file:
            return file.read(READ_MAX).decode(errors="replace")


def check_places(workdir: str, targets: Iterable[str], inside: Inside) -> None:
    """Refused for a working folder or a mount that would lie in what is the kernel's, or over the root."""
    for place in (workdir, *targets):
        real = inside.leads_to(place)
        if any(real.is_relative_to(kernels) for kernels in KERNELS_PLACES):
            where = place if str(real) == place else f"{place}, which leads to {real},"
            raise Refused(
                f"cannot start: {where} is a place of the kernel's", hint="use a folder of the image's own"
            )
    for target in targets:
        if inside.leads_to(target) == PurePosixPath("/"):
            raise Refused("cannot start: nothing can be mounted over /", hint="use a folder below it")


def identify(user: str, inside: Inside) -> Identity:
    """Resolve an image's `USER` ("name", "uid", "name:group", …) against its own passwd and group files.

    Errors: BadInput for a name that they do not have, Refused for an id beyond the tenant's range.
    """
    name, _, group = user.partition(":")
    accounts = _rows(inside.read("/etc/passwd"), 7)
    groups = _rows(inside.read("/etc/group"), 4)
    account = _by_name_or_id(accounts, name or "0")
    uid = _number(name or "0", account, "user")
    default_gid = int(account[3]) if account and account[3].isdigit() else 0
    gid = _number(group, _by_name_or_id(groups, group), "group") if group else default_gid
    extra = () if group or account is None else _memberships(groups, account[0])
    for number in (uid, gid, *extra):
        _within_range(number, user)
    return Identity(uid, gid, extra, account[5] if account and account[5] else "/")


def check_program(
    args: tuple[str, ...], path: str, workdir: str, inside: Inside, covered: Sequence[str] = ()
) -> None:
    """Say what is wrong with a command before a process is spent on it. Errors: StepFailed, BadInput.

    `covered` are places over which something will be mounted. What is there then, and where its links lead, the
    container will tell.
    """
    if not args or not args[0]:
        raise BadInput("cannot start: there is no command", hint="give the process a command")
    program = args[0]
    if "/" in program:
        candidates = [str(PurePosixPath(workdir) / program)]
    else:
        candidates = [f"{folder or workdir}/{program}" for folder in path.split(":")]
    if any(PurePosixPath("/", name).is_relative_to(place) for name in candidates for place in covered):
        return
    seen = [inside.stat(name) for name in candidates]
    files = [found for found in seen if found is not None and stat.S_ISREG(found.st_mode)]
    if not files:
        hint = f"looked in {path}" if "/" not in program else "check the path and that the build makes it"
        raise StepFailed(f"cannot start: no such file: {program}", hint=hint)
    if not any(file.st_mode & 0o111 for file in files):
        raise StepFailed(f"cannot start: not executable: {program}", hint=f"chmod +x {program}")


def _parts(path: str) -> list[str]:
    """What is to be walked, the first last."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _rows(text: str, fields: int) -> list[list[str]]:
    rows = (line.strip().split(":") for line in text.splitlines())
    return [row for row in rows if len(row) >= fields]


def _by_name_or_id(rows: list[list[str]], key: str) -> list[str] | None:
    for row in rows:
        if row[0] == key:
            return row
    return next((row for row in rows if key.isdecimal() and row[2] == key), None)


def _number(key: str, row: list[str] | None, kind: str) -> int:
    text = row[2] if row else key
    if not text.isascii() or not text.isdecimal():
        raise BadInput(
            f"cannot start: the image has no {kind} {key!r}",
            hint=f"add it with {kind}add in the Dockerfile, or name it by its number",
        )
    return int(text)


def _memberships(groups: list[list[str]], name: str) -> tuple[int, ...]:
    return tuple(sorted({int(g[2]) for g in groups if g[2].isdecimal() and name in g[3].split(",")}))


def _within_range(number: int, user: str) -> None:
    if number >= ID_RANGE_SIZE:
        raise Refused(
            f"cannot start as {user!r}: id {number} is beyond the tenant's {ID_RANGE_SIZE} ids",
            hint="use an id below 65536",
        )
