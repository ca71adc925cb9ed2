"""Reading a folder that a tenant wrote, through descriptors: no link leads out, none is followed on a walk."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from paas.builder.glob import compile_glob, has_wildcard
from paas.builder.ignore import Ignore, Verdict
from paas.builder.rooted import ABSENT, broken_link, open_in_root, open_linkless, read_text
from paas.errors import BadInput
from paas.linux.trees import is_small

Kind = Literal["file", "folder", "link", "pipe", "special"]
_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "pipe",
}
_CHUNK = 1024 * 1024
_MAX_DEPTH = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, folder, link or named pipe. `path` is relative to the root, "" for the root itself."""

    path: str
    kind: Kind
    mode: int
    size: int
    uid: int
    gid: int
    mtime_ns: int
    target: str = ""  # of a link
    inode: tuple[int, int] | None = None  # of a file that has more names
    first: str = ""  # the name of the same file that came before, see paas.builder.sources.below

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Tree:
    """An open folder with what is ignored in it. Nothing may change it while it is open."""

    def __init__(self, root: Path, ignore: Ignore | None = None) -> None:
        self.root = root
        self.fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.ignore = ignore or Ignore()
        self._digests: dict[str, str] = {}
        self._top_names = frozenset(_names(self.fd))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        os.close(self.fd)

    def enter(self, folder: str) -> None:
        """Make `folder` the root, with nothing ignored: what is outside it is out of reach from now on. OSError
        where there is none, or a link leads to it."""
        inside = open_linkless(self.fd, folder, os.O_RDONLY | os.O_DIRECTORY)
        os.close(self.fd)
        self.root, self.fd, self.ignore = self.root / folder, inside, Ignore()
        self._digests.clear()
        self._top_names = frozenset(_names(inside))

    @property
    def is_small(self) -> bool:
        return is_small(self.root)

    # --- one path
    def text(self, path: str, limit: int = 256 * 1024) -> str | None:
        """What a file says whose name a builder knows; None where there is none. BadInput for a link to
        nothing: who made it means a file to be there, and without it something else would be built."""
        if not self._may_be(path):
            return None
        text = read_text(self.fd, path, limit)
        if text is None:
            self.demand_whole(path)
        return text

    def demand_whole(self, path: str) -> None:
        """Raises BadInput if `path` is, or is behind, a link that leads to nothing in here."""
        broken = broken_link(self.fd, path) if self._may_be(path) else None
        if broken:
            link, target = (text[:200] for text in broken)
            raise BadInput(
                f"{link} is a link to {target!r}, which leads to nothing in the source",
                hint="put the file itself in its place, or let it lead to one of the source, not out",
                details={"file": link},
            )

    def _may_be(self, path: str) -> bool:
        """False for most of the many names that builders look for, without asking the kernel for each."""
        top = path.lstrip("/").partition("/")[0]
        return top in self._top_names or top in ("", ".", "..")

    def entry(self, path: str) -> Entry | None:
        """What is at `path`, as COPY means it: a link is followed where it leads to something in here."""
        for flags in (os.O_PATH, os.O_PATH | os.O_NOFOLLOW) if self._may_be(path) else ():
            try:
                fd = open_in_root(self.fd, path, flags)
            except OSError as error:
                if error.errno in ABSENT:
                    continue
                raise
            try:
                return _entry(path, os.fstat(fd), lambda fd=fd: os.readlink("", dir_fd=fd))  # type: ignore[misc]
            finally:
                os.close(fd)
        return None

    def real_path(self, path: str) -> str:
        """`path` with the links on its way resolved, relative to the root."""
        fd = open_in_root(self.fd, path, os.O_PATH)
        try:
            whole, root = (str(Path(f"/proc/self/fd/{number}").readlink()) for number in (fd, self.fd))
        finally:
            os.close(fd)
        return "" if whole == root else whole[len(root.rstrip("/")) + 1 :]

    def exists(self, path: str) -> bool:
        return not self.ignore(path) and self.entry(path) is not None

    def top(self, folder: str = "", *, ignored: bool = False) -> list[Entry]:
        """What is directly in the root, or in `folder`, and not ignored; or, the other way round, what is."""
        return [entry for entry in self._list(folder) if self.ignore(entry.path) == ignored]

    def inside(self, folder: str) -> list[Entry]:
        """What is directly in a folder that is there, and not ignored."""
        return [entry for entry in self._list(self.real_path(folder)) if not self.ignore(entry.path)]

    # --- many paths
    def walk(self, start: str = "") -> Iterator[Entry]:
        """All below the folder `start` that is not ignored, sorted, parents first; not `start` itself."""
        verdict = _verdict_on(self.ignore, start)
        yield from self._walk(start, verdict, 0)

    def _walk(self, folder: str, above: Verdict | None, depth: int) -> Iterator[Entry]:
        if depth > _MAX_DEPTH:
            raise BadInput(f"{folder[:200]}…: folders are nested deeper than {_MAX_DEPTH}", hint="flatten them")
        for entry in self._list(folder):
            verdict = self.ignore.judge(entry.path, above)
            if entry.kind == "folder" and (not verdict.ignored or self.ignore.has_exceptions):
                yield from self._folder(entry, verdict, depth)
            elif not verdict.ignored:
                yield entry

    def _folder(self, entry: Entry, verdict: Verdict, depth: int) -> Iterator[Entry]:
        """A folder that is ignored itself comes only with something in it that is not."""
        below = self._walk(entry.path, verdict, depth + 1)
        if verdict.ignored:
            first = next(below, None)
            if first is None:
                return
            yield from (entry, first)
        else:
            yield entry
        yield from below

    def _list(self, folder: str) -> list[Entry]:
        fd = open_linkless(self.fd, folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            prefix = f"{folder}/" if folder else ""
            return [
                _entry(
                    prefix + name,
                    os.stat(name, dir_fd=fd, follow_symlinks=False),
                    lambda name=name: os.readlink(name, dir_fd=fd),  # type: ignore[misc]
                )
                for name in _names(fd)
            ]
        finally:
            os.close(fd)

    def matching(self, pattern: str, *, deep: bool = False) -> list[str]:
        """The paths that a source of COPY names: itself, or what its wildcards fit, which may be nothing.

        COPY knows no `**`, as in Docker; with `deep` it does (COPY --parents).
        """
        path = "" if pattern == "." else pattern
        if not has_wildcard(path):
            return [path] if self._is_there(path) else []
        if deep and "**" in pattern:
            fits = _compiled(pattern)
            return [entry.path for entry in self.walk() if fits(entry.path)]
        fits = _compiled(pattern.replace("**", "*"))
        depth = path.count("/")
        return [entry.path for entry in self._shallow("", depth) if fits(entry.path)]

    def _is_there(self, path: str) -> bool:
        if not self.ignore(path) or not path:
            return self.entry(path) is not None
        # An ignored folder with an exception below it is still there.
        entry = self.entry(path)
        return entry is not None and entry.kind == "folder" and any(True for _ in self.walk(path))

    def _shallow(self, folder: str, depth: int) -> Iterator[Entry]:
        for entry in self._list(folder):
            if entry.path.count("/") == depth and self._is_there(entry.path):
                yield entry
            elif entry.kind == "folder" and entry.path.count("/") < depth:
                yield from self._shallow(entry.path, depth)

    # --- content
    def open(self, entry: Entry) -> int:
        """A descriptor to read a file that `walk` or `entry` gave."""
        return open_in_root(self.fd, entry.path, os.O_RDONLY | os.O_NONBLOCK)

    def digest(self, entry: Entry) -> str:
        """SHA-256 of a file's content, in hexadecimal."""
        if entry.path not in self._digests:
            with os.fdopen(self.open(entry), "rb", buffering=0) as file:
                self._digests[entry.path] = _digest(file)
        return self._digests[entry.path]


def _digest(file: io.FileIO) -> str:
    """One read for most files: a source has many, and `hashlib.file_digest` clears 256 KiB for each."""
    digest = hashlib.sha256()
    while data := file.read(_CHUNK):
        digest.update(data)
    return digest.hexdigest()


def _names(fd: int) -> list[str]:
    with os.scandir(fd) as found:
        return sorted(entry.name for entry in found)


def _verdict_on(ignore: Ignore, path: str) -> Verdict | None:
    verdict = None
    parts = path.split("/") if path else []
    for depth in range(1, len(parts) + 1):
        verdict = ignore.judge("/".join(parts[:depth]), verdict)
    return verdict


def _compiled(pattern: str) -> Callable[[str], bool]:
    try:
        return compile_glob(pattern)
    except ValueError as error:
        raise BadInput(f"COPY: {pattern[:80]!r} is not a pattern: {error}") from error


def _entry(path: str, status: os.stat_result, target: Callable[[], str]) -> Entry:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "special")
    return Entry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        size=status.st_size,
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        target=target() if kind == "link" else "",
        inode=(status.st_dev, status.st_ino) if kind == "file" and status.st_nlink > 1 else None,
    )
