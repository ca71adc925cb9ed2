from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.linux import cgroup_use
from paas.linux.cgroups import Cgroup, Tree, host_tree
from paas.specs import MIB, Limits, Reading

V2 = {
    "memory.current": "9000000\n",
    "memory.swap.current": "4096\n",
    "memory.stat": "anon 5000000\nfile 3000000\nshmem 1000000\nfile_mapped 700000\ninactive_file 1500000\n",
    "memory.events": "low 0\nhigh 0\nmax 9\noom 6\noom_kill 4\noom_group_kill 0\n",
    "cpu.stat": "usage_usec 77\nuser_usec 70\nsystem_usec 7\nnr_throttled 2\nthrottled_usec 9\n",
    "pids.current": "3\n",
    "io.stat": "7:3 rbytes=500 wbytes=500 rios=1 wios=1 dbytes=0 dios=0\n"
    "8:0 rbytes=10 wbytes=20 rios=1 wios=1 dbytes=99 dios=0\n8:16 rbytes=1 wbytes=2 rios=1 wios=1\n",
    "cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=11\nfull avg10=0.00 total=1\n",
    "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=22\n",
    "io.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=33\n",
}


@pytest.fixture
def v2(tmp_path: Path) -> Cgroup:
    (tmp_path / "b").mkdir()
    for name, text in V2.items():
        (tmp_path / "b" / name).write_text(text)
    return Cgroup("/b", Tree(2, (("memory", tmp_path), ("cpu", tmp_path))))


def test_v2_is_read_from_its_files(v2: Cgroup) -> None:
    assert cgroup_use.read(v2) == Reading(
        working_set=7_500_000,
        anonymous=5_000_000,
        file=2_000_000,
        mapped=700_000,
        shared_memory=1_000_000,
        swap=4096,
        pids=3,
        cpu_usec=77,
        throttled_usec=9,
        io_bytes=33,
        stalled_usec=(11, 22, 33),
        oom_kills=4,
    )


def test_what_lies_on_swap_is_told_where_the_kernel_counts_it(v2: Cgroup, tmp_path: Path) -> None:
    assert cgroup_use.swap_used(v2) == 4096
    (v2.folders[0] / "memory.swap.current").unlink()
    assert cgroup_use.swap_used(v2) is None
    v1 = Cgroup("/b", Tree(1, (("memory", tmp_path),)))
    stat = tmp_path / "b" / "memory.stat"
    stat.write_text("swap 0\ntotal_rss 5\ntotal_swap 8192\n")
    assert cgroup_use.swap_used(v1) == 8192
    stat.write_text("total_rss 5\n")
    assert cgroup_use.swap_used(v1) is None


def test_v1_tells_of_kills_beside_whether_it_may() -> None:
    assert cgroup_use.oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n") == 2
    assert cgroup_use.oom_kills("oom_kill_disable 0\nunder_oom 0\n") == 0, "before Linux 4.13"


def test_a_kernel_without_pressure_says_how_long_threads_waited_for_a_processor(v2: Cgroup) -> None:
    for name in ("cpu.pressure", "io.pressure"):
        (v2.folders[0] / name).unlink()
    threads = v2.folders[0] / "cgroup.threads"
    threads.write_text(f"{os.getpid()}\n999999999\n")
    waited, memory, io = cgroup_use.read(v2).stalled_usec
    assert waited is not None and waited > 0 and memory == 22
    assert (io is not None) == cgroup_use.delays_are_counted()
    threads.write_text("999999999\n")
    assert cgroup_use.read(v2).stalled_usec[0] is None


def test_the_machine_tells_of_the_last_minute(tmp_path: Path) -> None:
    (tmp_path / "cpu").write_text(
        "some avg10=2.00 avg60=1.26 avg300=0.00 total=5\nfull avg10=9 avg60=9.00 total=9\n"
    )
    assert cgroup_use.machine_stalled(tmp_path) == (13, None, None)


def test_v1_tells_reads_and_writes_by_name() -> None:
    text = "7:3 Write 40\n7:3 Total 40\n"
    text += "8:0 Read 10\n8:0 Write 20\n8:0 Sync 30\n8:0 Discard 5\n8:0 Total 35\nTotal 35\n"
    assert cgroup_use.io_total_v1(text) == 30


@pytest.fixture
def hungry() -> Iterator[tuple[Cgroup, subprocess.Popen[bytes]]]:
    """A process that has taken 20 MiB inside the cgroup."""
    cgroup = Cgroup(f"/bru{os.getpid()}")
    cgroup.create(Limits())
    if "cpuacct" in cgroup.tree.controllers:  # as the runtime does
        cgroup.folder("cpuacct").mkdir(exist_ok=True)
    program = "import sys; sys.stdin.readline(); kept = b'x' * (20 << 20); print('has it', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout
        cgroup.attach(process.pid)
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"has it\n"
        yield cgroup, process
        process.kill()
        process.wait()
    cgroup.remove()


@pytest.mark.kernel
def test_this_kernel_is_read(hungry: tuple[Cgroup, subprocess.Popen[bytes]]) -> None:
    cgroup, _ = hungry
    found = cgroup_use.read(cgroup)
    assert 20 * MIB <= found.anonymous <= 40 * MIB
    assert found.anonymous <= found.working_set <= found.anonymous + found.file + 8 * MIB
    assert (found.pids, found.swap) == (1, 0) and found.cpu_usec > 0
    assert found.stalled_usec[0] is not None
    tells = host_tree().version == 2 or cgroup_use.delays_are_counted()
    assert (found.stalled_usec[2] is not None) == tells


@pytest.fixture
def counted_delays() -> Iterator[None]:
    former = cgroup_use.DELAYS.read_text()
    cgroup_use.DELAYS.write_text("1")
    yield
    cgroup_use.DELAYS.write_text(former)


@pytest.mark.kernel
def test_where_delays_are_counted_a_thread_tells_how_long_it_waited_for_a_disk(
    counted_delays: None, tmp_path: Path, v2: Cgroup
) -> None:
    (tmp_path / "file").write_bytes(os.urandom(8 * MIB))
    program = (
        "import mmap, os, sys; fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT); page = mmap.mmap(-1, 4096)"
    )
    program += "; print(*(os.preadv(fd, [page], at) and '' for at in range(0, 8 << 20, 4096))); input()"
    reader = [sys.executable, "-c", program, str(tmp_path / "file")]
    for name in ("cpu.pressure", "io.pressure"):  # as on v1, and on v2 with psi=0
        (v2.folders[0] / name).unlink()
    with subprocess.Popen(reader, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stdout.readline()
        (v2.folders[0] / "cgroup.threads").write_text(f"{process.pid}\n999999999\n")
        cpu, memory, disk = cgroup_use.read(v2).stalled_usec
        process.stdin.write(b"\n")
    assert cpu is not None and memory == 22
    assert disk is not None and 10_000 <= disk < 60_000_000


def test_one_that_is_gone_is_told_so() -> None:
    with pytest.raises(FileNotFoundError):
        cgroup_use.read(Cgroup("/bru-never"))
