"""The operations of a FilesStep, carried out. Reads a Tree, writes a Destination; nothing is executed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

from paas.builder.destination import Destination, Owner, ensure_folder, put_file, put_link
from paas.builder.plan import ROOT_OWNER, Copy, Folder, Write
from paas.builder.tree import Entry, Tree
from paas.errors import BadInput

# Files that are put into an image get one time, so that equal content makes equal layers.
_WRITTEN_AT = 0
Check = Callable[[], None]


def write(operation: Write, destination: Destination) -> None:
    owner = destination.owner(operation.owner)
    folder, _, name = operation.path.rpartition("/")
    with destination.folder(folder, owner) as parent:
        put_file(parent, name, owner, operation.mode, lambda fd: _write_all(fd, operation.content.encode()))


def _write_all(fd: int, content: bytes) -> None:
    while content:
        content = content[os.write(fd, content) :]
    os.utime(fd, (_WRITTEN_AT, _WRITTEN_AT))


def folder(operation: Folder, destination: Destination) -> None:
    owner = destination.owner(operation.owner)
    with destination.folder(operation.path, owner, operation.mode) as fd:
        if operation.adopt:
            os.fchown(fd, *owner)
            os.fchmod(fd, operation.mode)


def copy(operation: Copy, origin: Tree, destination: Destination, check: Check) -> int:
    """Gives the time of the newest file, in seconds. `check` is called for each entry and may raise."""
    sources = named_sources(operation, origin)
    into = operation.dest.endswith("/") or len(sources) > 1 or destination.is_folder(operation.dest)
    copier = _Copier(operation, origin, destination, check)
    for source in sources:
        if source.kind == "folder":
            copier.content(source)
        elif into:
            copier.one(source, operation.dest, source.name)
        else:
            parent, _, name = operation.dest.rpartition("/")
            copier.one(source, parent, name)
    return copier.newest


def named_sources(operation: Copy, origin: Tree) -> list[Entry]:
    """What the operation's patterns name, in their order; BadInput for one that names nothing."""
    found = []
    for pattern in operation.sources:
        paths = origin.matching(pattern)
        if not paths:
            raise _nothing(pattern, origin)
        found += [entry for path in paths if (entry := origin.entry(path))]
    return found


def _nothing(pattern: str, origin: Tree) -> BadInput:
    if origin.ignore(pattern) and origin.entry(pattern):
        return BadInput(f"{pattern!r} is left out by .dockerignore", hint=f"add `!{pattern}` to .dockerignore")
    near = ", ".join(entry.name for entry in origin.top()[:12])
    return BadInput(f"{pattern!r} is not there", hint=f"at the top there are: {near or 'no files'}")


class _Copier:
    def __init__(self, operation: Copy, origin: Tree, destination: Destination, check: Check) -> None:
        self.mode, self.origin, self.destination, self.check = operation.mode, origin, destination, check
        self.dest = operation.dest
        self.newest = 0
        self.owner = destination.owner(operation.owner) if operation.owner else None

    def one(self, entry: Entry, folder: str, name: str) -> None:
        made_by = self.owner or self.destination.owner(ROOT_OWNER)
        with self.destination.folder(folder, made_by) as parent:
            self._put(entry, parent, name)

    def content(self, source: Entry) -> None:
        """What is in a folder goes into the destination, which becomes a folder like it where it is missing."""
        start = self.origin.real_path(source.path)
        own = source.mode if start else 0o755  # the root's mode is that of the folder it was unpacked in
        mode = own if self.mode is None else self.mode
        with self.destination.folder(self.dest, self._owner(source), mode) as top:
            for parent, entry in self._parents(top, start):
                self._put(entry, parent, entry.name)

    def _parents(self, top: int, start: str) -> Iterator[tuple[int, Entry]]:
        """Each entry below `start` with the open folder that it goes into; folders come first."""
        stack: list[tuple[str, int]] = [(start, top)]
        try:
            for entry in self.origin.walk(start):
                above = entry.path.rpartition("/")[0]
                while stack[-1][0] != above:
                    os.close(stack.pop()[1])
                if entry.kind == "folder":
                    stack.append((entry.path, self._enter(stack[-1][1], entry)))
                else:
                    yield stack[-1][1], entry
        finally:
            for _, fd in stack[1:]:
                os.close(fd)

    def _enter(self, parent: int, entry: Entry) -> int:
        self.check()
        return ensure_folder(
            parent, entry.name, self._owner(entry), entry.mode if self.mode is None else self.mode
        )

    def _put(self, entry: Entry, parent: int, name: str) -> None:
        self.check()
        self.newest = max(self.newest, entry.mtime_ns // 1_000_000_000)
        if entry.kind == "link":
            put_link(parent, name, self._owner(entry), entry)
        elif entry.kind == "file":
            mode = entry.mode if self.mode is None else self.mode
            put_file(parent, name, self._owner(entry), mode, lambda fd: self._fill(entry, fd))
        else:
            raise BadInput(
                f"{entry.path[:200]!r} is a device, socket or pipe", hint="copy files, folders and links only"
            )

    def _owner(self, entry: Entry) -> Owner:
        return self.owner or (entry.uid, entry.gid)

    def _fill(self, entry: Entry, target: int) -> None:
        source = self.origin.open(entry)
        try:
            _copy_data(source, target, entry.size)
        finally:
            os.close(source)
        os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))


def _copy_data(source: int, target: int, size: int) -> None:
    """Content alone: holes stay holes, so that a sparse file takes no more room than before."""
    os.ftruncate(target, size)
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        end = os.lseek(source, at, os.SEEK_HOLE)
        os.lseek(target, at, os.SEEK_SET)
        while at < end:
            sent = os.sendfile(target, source, at, end - at)
            if not sent:
                return
            at += sent
