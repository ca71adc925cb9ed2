"""What is left in memory of a container that sleeps, and what it finds when it wakes."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.linux import hot_pages, reclaim
from paas.linux.cgroup_limits import read_field, read_int
from paas.linux.cgroups import Cgroup
from paas.specs import MIB, Limits
from tests.swap import swapping

pytestmark = pytest.mark.kernel
SIZE = 24 * MIB
# Memory that a parent and its child share until one writes to it, as a web server's workers do; some of each
# one's own; and a file that this cgroup is the first to read.
PROGRAM = f"""
import mmap, os, sys
shared = bytearray(os.urandom({SIZE}))
child = os.fork()
own = bytearray(os.urandom({SIZE} // 4))
file = mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 0, prot=mmap.PROT_READ)
whole = lambda: sum(shared[::4096]) + sum(own[::4096]) + sum(file[::4096])
before = whole()
while child and sys.stdin.readline():
    print("same" if whole() == before else "other", flush=True)
if not child:
    import time
    while True:
        time.sleep(60)
"""


__all__ = ["swapping"]


class Tenant:
    def __init__(self, cgroup: Cgroup, file: Path) -> None:
        self.cgroup = cgroup
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROGRAM, file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: cgroup.attach(os.getpid()),  # noqa: PLW1509 - nothing else runs here
        )

    def looks(self, seconds: float = 20) -> str:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        ready = select.select([self._process.stdout], [], [], seconds)[0]
        return self._process.stdout.readline().strip() if ready else ""

    def end(self) -> None:
        self.cgroup.kill()
        self._process.communicate()

    def own(self) -> int:
        """Bytes in memory that are no file's."""
        name = "anon" if self.cgroup.tree.version == 2 else "rss"
        return read_field(self.cgroup.folder("memory") / "memory.stat", name)

    def charged(self) -> int:
        name = "memory.current" if self.cgroup.tree.version == 2 else "memory.usage_in_bytes"
        return read_int(self.cgroup.folder("memory") / name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(os.urandom(4 * MIB))
    with made.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return made


@pytest.fixture
def tenant(swapping: None, file: Path) -> Iterator[Tenant]:
    cgroup = Cgroup(f"/bs{os.getpid()}")
    cgroup.create(Limits(memory_bytes=128 * MIB, swap_bytes=128 * MIB, pids=16))
    if cgroup.tree.version == 1:
        cgroup.folder("freezer").mkdir(exist_ok=True)
    made = Tenant(cgroup, file)
    try:
        assert made.looks() == "same"
        yield made
    finally:
        made.end()
        cgroup.remove()


def test_its_memory_goes_to_swap_and_comes_back_as_it_was(tenant: Tenant, tmp_path: Path) -> None:
    note = tmp_path / "note"
    assert tenant.own() > SIZE
    tenant.cgroup.freeze()
    before = tenant.cgroup.effective()
    reclaim.page_out(tenant.cgroup, note, lambda: True)
    assert tenant.own() < 1 * MIB
    assert tenant.cgroup.effective() == before and not note.exists()
    tenant.cgroup.thaw()
    assert tenant.looks() == "same"
    assert tenant.own() > SIZE


def test_what_it_had_in_memory_is_fetched_ahead(
    tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is fetched is charged to it, though it has touched none of it yet."""
    pages = tmp_path / "pages"
    tenant.cgroup.freeze()
    monkeypatch.setattr(hot_pages, "MOST", SIZE)
    hot_pages.note(tenant.cgroup.pids(), pages)
    assert not pages.exists(), "too much"
    monkeypatch.setattr(hot_pages, "MOST", 4 * SIZE)
    hot_pages.note(tenant.cgroup.pids(), pages)
    reclaim.page_out(tenant.cgroup, tmp_path / "note", lambda: True)
    noted = hot_pages._read(pages)
    hot_pages.arrange(pages)
    arranged = [place for each in hot_pages._read(pages) for place, _ in hot_pages._in_swap(each)]
    assert arranged == sorted(set(arranged)), "in the disk's order, each once"
    assert set(arranged) == {place for each in noted for place, _ in hot_pages._in_swap(each)}
    hot_pages._write(pages, [hot_pages.Range(os.getpid(), 1, 2), *hot_pages._read(pages)])
    before = tenant.charged()
    with pytest.raises(OSError, match="process_madvise: Invalid argument"):
        hot_pages.fetch(pages)  # the first of it, for a range does not begin there
    assert tenant.charged() > before + SIZE
    tenant.cgroup.thaw()
    assert tenant.looks() == "same"


def test_used_memory_is_counted_where_it_is_no_files() -> None:
    smaps = "Rss: 9 kB\nReferenced: 8 kB\nAnonymous: 4 kB\nReferenced:   4 kB\nAnonymous:  12 kB\n"
    assert hot_pages._used(smaps) == 8 * 1024


def test_pages_of_who_has_ended_are_not_fetched(tmp_path: Path) -> None:
    hot_pages.fetch(tmp_path / "none")
    with subprocess.Popen(["sleep", "60"]) as process:
        hot_pages.note([process.pid], tmp_path / "pages")
        process.kill()
    hot_pages.fetch(tmp_path / "pages")


@pytest.mark.parametrize(
    ("here", "runs"),
    [("", []), ("..", []), ("x", [(0, 1)]), ("xx.x", [(0, 2), (3, 4)]), (".xf", [(1, 2)])],
)
def test_runs_of_pages(here: str, runs: list[tuple[int, int]]) -> None:
    """x is in memory, f too, but a file's."""
    bits = {"x": 1 << 63, "f": 1 << 63 | 1 << 61, ".": 1 << 62}
    found = list(hot_pages._runs(0, [bits[one] for one in here]))
    assert found == [(begin * hot_pages.PAGE, end * hot_pages.PAGE) for begin, end in runs]


def test_it_is_stopped_at_once_when_a_packet_comes(tenant: Tenant, tmp_path: Path) -> None:
    tenant.cgroup.freeze()
    before = tenant.own()
    reclaim.page_out(tenant.cgroup, tmp_path / "note", lambda: False)
    assert tenant.own() == before
    tenant.cgroup.thaw()


def test_a_limit_that_a_crash_left_low_is_mended(tenant: Tenant, tmp_path: Path) -> None:
    """On v1, where it is the way; a note is never written on v2, and its limit would be the same file's."""
    if tenant.cgroup.tree.version == 2:
        reclaim.mend(tenant.cgroup, tmp_path / "note")
        return
    limit = tenant.cgroup.folder("memory") / "memory.limit_in_bytes"
    note = tmp_path / "note"
    note.write_text(str(read_int(limit)))
    limit.write_text(str(64 * MIB))
    reclaim.mend(tenant.cgroup, note)
    assert read_int(limit) == 128 * MIB and not note.exists()


def test_private_ranges_are_those_whose_content_no_file_has() -> None:
    maps = """\
5400-5500 r-xp 00000000 08:01 42 /usr/bin/python
5500-5600 r--p 00001000 08:01 42 /usr/bin/python
5600-5700 rw-p 00002000 08:01 42 /usr/bin/python
7f00-7f10 rw-p 00000000 00:00 0 [heap]
7f10-7f20 ---p 00000000 00:00 0
7f20-7f30 rw-s 00000000 00:01 9 /dev/zero (deleted)
7ffe-7fff r-xp 00000000 00:00 0 [vdso]
"""
    relro, *written = list(reclaim._private(maps))
    assert relro == (0x5500, 0x5600), "what the dynamic linker wrote and then protected"
    assert written == [(0x5600, 0x5700), (0x7F00, 0x7F10), (0x7F10, 0x7F20)]
