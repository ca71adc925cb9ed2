"""Reading logs: parts, cuts, tails, rotation; and keeping them small while a container writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.logs import LINE_MAX, LogLine, older, parse, read_tail
from paas.runtime import LogKeeper, Together
from paas.runtime.conmon import LOG_SIZE_MAX
from paas.runtime.log_keeper import BURST, BURST_SECONDS, ROTATE_AT
from tests.runtime.conftest import Bed

AT = "2026-11-23T21:39:00.123456789+00:00"


def record(text: str, tag: str = "F", stream: str = "stdout") -> bytes:
    return f"{AT} {stream} {tag} {text}\n".encode()


def numbered(first: int, end: int) -> bytes:
    return b"".join(record(str(number)) for number in range(first, end))


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


def remarks(log: Path) -> list[str]:
    return [line.text for line in read_tail(log, 1_000_000) if line.stream == "berth"]


def test_parse() -> None:
    assert parse(record("a  b ") + record("", stream="stderr")) == [
        LogLine(AT, "stdout", "a  b "),
        LogLine(AT, "stderr", ""),
    ]


def test_parts_are_joined_for_each_stream() -> None:
    data = record("on", "P") + record("err", "P", "stderr") + record("e") + record("or", "F", "stderr")
    assert texts(parse(data)) == ["one", "error"]


def test_a_long_line_is_cut_and_counted() -> None:
    data = record("x" * 8000, "P") * 5 + record("x" * 10)
    assert [(len(line.text), line.cut) for line in parse(data)] == [(LINE_MAX, 40_010 - LINE_MAX)]


@pytest.mark.parametrize(
    "data", [b"", b"garbage\n", b"half a record", b"\n\n", record("x", "Q"), b"\xff\xfe\n"]
)
def test_what_is_no_record_is_left_out(data: bytes) -> None:
    assert parse(data) == []


def test_bytes_that_are_no_text() -> None:
    assert texts(parse(f"{AT} stdout F ".encode() + b"a\xffb\x1b[31m\n")) == ["a�b\x1b[31m"]


def test_tail(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read_tail(log, 5) == []
    older(log).write_bytes(numbered(0, 10))
    log.write_bytes(numbered(10, 13))
    assert texts(read_tail(log, 2)) == ["11", "12"]
    assert texts(read_tail(log, 5)) == ["8", "9", "10", "11", "12"]
    assert len(read_tail(log, 100)) == 13
    assert read_tail(log, 0) == []


def test_tail_of_a_large_log_with_a_large_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(numbered(0, 20_000) + record("x" * 8000, "P") * 100 + record("end"))
    assert [line.text[-3:] for line in read_tail(log, 2)] == ["999", "xxx"]


def test_a_last_line_without_an_end_is_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(numbered(0, 5) + record("the rea", "P") + record("son", "P"))
    assert texts(read_tail(log, 2)) == ["4", "the reason"]


def test_a_log_that_conmon_started_over_counts_as_lost(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(numbered(0, 100))
    size = log.stat().st_size
    keeper = LogKeeper(tmp_path)
    assert keeper.tick({"c": log}) == {}
    fresh = tmp_path / "fresh"
    fresh.write_bytes(numbered(0, 1))
    fresh.rename(log)
    assert keeper.tick({"c": log}) == {"c": size}
    assert keeper.tick({"c": log}) == {}
    size = log.stat().st_size
    log.write_bytes(numbered(0, 1)[: size // 2])  # the same inode, which the next but one has got again
    assert keeper.tick({"c": log}) == {"c": size}


def test_what_conmon_started_over_between_two_looks_is_told_of(tmp_path: Path) -> None:
    """The keeper sees nothing of what went, but who made the file. A remark begins a line of its own."""
    log, keeper = tmp_path / "log", LogKeeper(tmp_path)
    log.touch()
    assert keeper.tick({"c": log}) == {}
    log.write_bytes(numbered(0, 10) + record("half a rec")[:-1])
    log.chmod(0o600)
    assert keeper.tick({"c": log}) == {"c": LOG_SIZE_MAX}
    assert remarks(log) == ["16,777,216 bytes of output were dropped: more than 256 KiB a second"]
    assert keeper.tick({"c": log}) == {}


def test_a_cut_leaves_the_beginning_and_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(numbered(0, 1000))
    size, keeper = log.stat().st_size, LogKeeper(tmp_path)
    keeper.tick({"c": log})
    for round in (1, 2):
        with log.open("ab") as conmon:
            conmon.write(numbered(1000, 100_000) + record("torn")[:30])
        dropped = keeper.tick({"c": log})
        assert len(remarks(log)) == round and remarks(log)[-1].startswith(f"{dropped['c']:,} bytes")
        with log.open("ab") as conmon:
            conmon.write(record("torn")[30:])
        assert texts(read_tail(log, 3)) == ["99998", "99999", "torn"]
        if round == 1:
            kept = texts(read_tail(log, 100_000))
            gap = next(number for number, text in enumerate(kept) if "dropped" in text)
            assert kept[:gap] == [str(number) for number in range(gap)] and gap > 20_000
            first = int(kept[gap + 1])
            assert kept[gap + 1 : -1] == [str(number) for number in range(first, 100_000)]
            assert dropped["c"] == len(numbered(gap, first))
            assert log.stat().st_size <= size + BURST + 200


def test_what_a_new_log_begins_with_counts(tmp_path: Path) -> None:
    keeper, old, new = LogKeeper(tmp_path), tmp_path / "old", tmp_path / "new"
    for log in (old, new):
        log.write_bytes(numbered(0, 100) * 3000)
        assert log.stat().st_size > 2 * BURST
    assert keeper.tick({"old": old}) == {}
    assert keeper.tick({"old": old, "new": new}).keys() == {"new"}
    assert any("were dropped" in text for text in remarks(new))
    assert read_tail(new, 1)[0].text == "99", "why a command failed stands at the end"


def test_containers_of_one_tenant_share_its_rate(tmp_path: Path) -> None:
    """Each may have its own, and all of them together no more than the tenant's; a neighbour loses nothing."""
    logs = {name: tmp_path / name for name in ("one", "two", "next")}
    rate = Together("t", 16 * 1024)
    owners = {"one": rate, "two": rate, "next": Together("n", 1024 * 1024)}
    keeper = LogKeeper(tmp_path)
    for log in logs.values():
        log.touch()
    assert keeper.tick(logs, owners) == {}
    for log in logs.values():
        log.write_bytes(record("x" * 1000) * 100)
    most = rate.rate * BURST_SECONDS
    dropped = keeper.tick(logs, owners)
    assert dropped.keys() == {"two"}, "the first to be looked at had less than all of it"
    assert sum(logs[name].stat().st_size for name in ("one", "two")) <= most + 1000
    assert "more than 16 KiB a second of all containers of the tenant" in remarks(logs["two"])[0]
    assert logs["next"].read_bytes() == record("x" * 1000) * 100
    assert keeper.tick(logs) == {}, "who owns them may not be known yet"


@pytest.mark.kernel
def test_a_line_of_many_megabytes(bed: Bed) -> None:
    spec = bed.spec("head -c 6000000 /dev/zero | busybox tr '\\0' x; echo; echo after")
    bed.finish(spec)
    line, after = read_tail(bed.log(spec), 5)
    assert (len(line.text), line.cut, after.text) == (LINE_MAX, 6_000_000 - LINE_MAX, "after")


def test_a_log_that_is_large_is_rotated(tmp_path: Path) -> None:
    log, keeper = tmp_path / "log", LogKeeper(tmp_path)
    log.write_bytes(record("x" * 1000) * (ROTATE_AT // 1000))
    keeper.tick({"new": log})
    assert older(log).stat().st_size >= ROTATE_AT and log.stat().st_size == 0


@pytest.mark.kernel
def test_a_flood_is_cut_and_counted(bed: Bed) -> None:
    """conmon itself starts over before there is enough to rotate."""
    keeper = LogKeeper(bed.paths.bundles)
    spec = bed.launch(bed.spec("yes 'a flood of output'; echo never"))
    log = bed.log(spec)
    bed.until(log.exists)
    dropped = 0

    def kept() -> bool:
        nonlocal dropped
        dropped += keeper.tick({spec.id: log}).get(spec.id, 0)
        return dropped > LOG_SIZE_MAX + 2 * BURST

    bed.until(kept, 20)
    bed.runtime.stop(spec.id, timeout=0)
    kept()
    assert log.stat().st_size <= LOG_SIZE_MAX + 4096
    lines = read_tail(log, 1_000_000)
    assert "bytes of output were dropped" in remarks(log)[0]
    # conmon writes a line in two parts when its buffer ends in it, and a cut may come between them
    torn = [line for line in lines if line.stream == "stdout" and line.text != "a flood of output"]
    assert len(torn) < len(lines) / 100


@pytest.mark.kernel
def test_a_log_that_is_cut_after_a_rotation_has_no_hole(bed: Bed) -> None:
    """conmon, told to open its log again, does not append any more."""
    line = "yes a flood of output"
    spec = bed.launch(bed.spec(f"{line} | head -2000; sleep 1; {line} | head -200000; sleep 1; echo the last"))
    log, keeper = bed.log(spec), LogKeeper(bed.paths.bundles)
    bed.until(lambda: log.exists() and log.stat().st_size > 1000)
    keeper.tick({spec.id: log})
    keeper._rotate(spec.id, log)
    dropped = 0

    def ended() -> bool:
        nonlocal dropped
        dropped += keeper.tick({spec.id: log}).get(spec.id, 0)
        return bed.runtime.state(spec.id).status == "stopped"

    bed.until(ended, 30)
    assert dropped > 0 and b"\0" not in log.read_bytes()
    assert texts(read_tail(log, 1)) == ["the last"]
    told = [line.text for line in read_tail(log, 1_000_000) if line.stream == "berth"]
    assert told and dropped <= 200_000 * 70


@pytest.mark.kernel
def test_of_an_ordinary_rotation_nothing_is_told(bed: Bed) -> None:
    """conmon makes the new file as it does when it starts over by itself."""
    spec = bed.launch(bed.spec("yes a line | head -100000; sleep 2; echo after; sleep 60"))
    log, keeper = bed.log(spec), LogKeeper(bed.paths.bundles)
    bed.until(lambda: log.exists() and log.stat().st_size > ROTATE_AT, 30)
    dropped = [keeper.tick({spec.id: log})]
    assert older(log).stat().st_size > ROTATE_AT
    bed.until(lambda: texts(read_tail(log, 1)) == ["after"], 30)
    dropped += [keeper.tick({spec.id: log}), keeper.tick({spec.id: log})]
    assert dropped == [{}, {}, {}] and remarks(log) == []


@pytest.mark.kernel
def test_a_rotation_loses_nothing(bed: Bed) -> None:
    spec = bed.launch(bed.spec("i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done"))
    log = bed.log(spec)
    bed.until(lambda: log.exists() and log.stat().st_size > 2000)
    LogKeeper(bed.paths.bundles)._rotate(spec.id, log)
    bed.runtime.wait(spec.id, 30)
    assert bed.output(spec)[-1] == "2999"
    assert texts(read_tail(log, 5000)) == [str(number) for number in range(3000)]


@pytest.mark.kernel
def test_the_end_of_a_flood_is_kept_though_conmon_started_its_log_over(bed: Bed) -> None:
    keeper, spec = LogKeeper(bed.paths.bundles), bed.spec("yes | head -c 2000000; echo FINAL")
    log = bed.log(spec)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    log.chmod(0o640)
    keeper.tick({spec.id: log})
    bed.finish(spec, 60)
    assert log.stat().st_mode & 0o077 == 0, "by that the keeper knows"
    assert keeper.tick({spec.id: log})[spec.id] > LOG_SIZE_MAX
    assert remarks(log) and read_tail(log, 1)[0].text == "FINAL"
