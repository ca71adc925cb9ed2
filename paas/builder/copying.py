"""The operations of a FilesStep, carried out. Reads a Tree, writes a Destination; nothing is executed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from paas.builder import archives
from paas.builder.destination import (
    Destination,
    Owner,
    ensure_folder,
    put_file,
    put_hard_link,
    put_link,
    put_pipe,
)
from paas.builder.modes import changed
from paas.builder.plan import ROOT_OWNER, Copy, Fetch, Folder, Write
from paas.builder.sources import Source, below, named_sources
from paas.builder.tree import Entry, Tree
from paas.errors import BadInput
from paas.images.budget import Budget
from paas.images.walk import CAPABILITY

MAX_LAYER_BYTES = 8 * 1024**3
MAX_LAYER_FILES = 500_000
# Files that are put into an image get one time, so that equal content makes equal layers.
_WRITTEN_AT = 0
_FETCHED_MODE = 0o600
Check = Callable[[], object]


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
        copier.copy(source, into)
    return copier.newest


def fetched(operation: Fetch, path: Path, destination: Destination, check: Check) -> int:
    """Put a file that was fetched, and checked, in its place."""
    owner = destination.owner(operation.owner)
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if operation.unpack and archives.is_archive(fd):
            return _unpack(fd, operation.dest, owner, destination, check)
        into = operation.dest.endswith("/") or destination.is_folder(operation.dest)
        folder, _, name = (operation.dest, "", operation.name) if into else operation.dest.rpartition("/")
        mode = changed(_FETCHED_MODE, operation.mode)
        with destination.folder(folder, owner) as parent:
            put_file(parent, name, owner, mode, lambda target: _fill_fetched(fd, target))
    finally:
        os.close(fd)
    return _WRITTEN_AT


def _fill_fetched(fd: int, target: int) -> None:
    copy_data(fd, target, os.fstat(fd).st_size)
    os.utime(target, (_WRITTEN_AT, _WRITTEN_AT))


def _unpack(fd: int, folder: str, owner: Owner, destination: Destination, check: Check) -> int:
    budget = Budget(MAX_LAYER_BYTES, MAX_LAYER_FILES)
    with destination.folder(folder, owner) as target:
        return archives.unpack(fd, target, owner, budget, check)


class _Copier:
    def __init__(self, operation: Copy, origin: Tree, destination: Destination, check: Check) -> None:
        self.operation, self.origin, self.destination, self.check = operation, origin, destination, check
        self.newest = 0
        self.owner = destination.owner(operation.owner) if operation.owner else None
        # Who owns folders that no source has.
        self.maker = self.owner or destination.owner(ROOT_OWNER)

    def copy(self, source: Source, into: bool) -> None:
        dest = self.operation.dest
        if self.operation.parents:
            kept = f"{source.kept.rpartition('/')[0]}/" if source.entry.kind != "folder" else source.kept
            dest, into = f"{dest.rstrip('/')}/{kept}", True
        if source.entry.kind == "folder":
            self._content(source, dest)
        elif self.operation.unpack and source.entry.kind == "file" and self._is_unpacked(source.entry, dest):
            return
        elif into:
            self._one(source.entry, dest, source.entry.name)
        else:
            folder, _, name = dest.rpartition("/")
            self._one(source.entry, folder, name)

    def _one(self, entry: Entry, folder: str, name: str) -> None:
        with self.destination.folder(folder, self.maker) as parent:
            self._put(entry, parent, name)

    def _is_unpacked(self, entry: Entry, folder: str) -> bool:
        fd = self.origin.open(entry)
        try:
            if not archives.is_archive(fd):
                return False
            self.newest = max(self.newest, _unpack(fd, folder, self.maker, self.destination, self.check))
            return True
        finally:
            os.close(fd)

    def _content(self, source: Source, dest: str) -> None:
        """What is in a folder goes into the destination, which is made where it is missing, like any parent."""
        with self.destination.folder(dest, self.maker) as top:
            for parent, entry in self._parents(top, source):
                if entry.first:
                    self.check()
                    put_hard_link(parent, entry.name, top, entry.first)
                else:
                    self._put(entry, parent, entry.name)

    def _parents(self, top: int, source: Source) -> Iterator[tuple[int, Entry]]:
        """Each entry below the source with the open folder that it goes into; folders come first."""
        stack: list[tuple[str, int]] = [(source.start, top)]
        try:
            for entry in below(source, self.origin):
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
        mode = changed(entry.mode, self.operation.mode, is_folder=True)
        return ensure_folder(parent, entry.name, self._owner(entry), mode)

    def _put(self, entry: Entry, parent: int, name: str) -> None:
        self.check()
        self.newest = max(self.newest, entry.mtime_ns // 1_000_000_000)
        owner, mode = self._owner(entry), changed(entry.mode, self.operation.mode)
        match entry.kind:
            case "link":
                put_link(parent, name, owner, entry)
            case "file":
                put_file(parent, name, owner, mode, lambda fd: self._fill(entry, fd))
            case "pipe":
                put_pipe(parent, name, owner, mode, entry.mtime_ns)
            case _:
                raise BadInput(
                    f"{entry.path[:200]!r} is a device or a socket", hint="copy files, folders, links and pipes"
                )

    def _owner(self, entry: Entry) -> Owner:
        return self.owner or (entry.uid, entry.gid)

    def _fill(self, entry: Entry, target: int) -> None:
        source = self.origin.open(entry)
        try:
            copy_data(source, target, entry.size)
            _copy_capabilities(source, target)
        finally:
            os.close(source)
        os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))


def _copy_capabilities(source: int, target: int) -> None:
    """What setcap(8) gave a program, put after its content, which takes that away. Layers hold nothing else."""
    try:
        capabilities = os.getxattr(source, CAPABILITY)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
            raise
        return
    os.setxattr(target, CAPABILITY, capabilities)


def copy_data(source: int, target: int, size: int) -> None:
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
