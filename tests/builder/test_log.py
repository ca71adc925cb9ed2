from __future__ import annotations

from paas.builder.log import BuildLog, amount, files_and_folders


def test_our_lines_cannot_steer_a_terminal() -> None:
    written: list[bytes] = []
    BuildLog(written.append).line("Left out: \x1b]0;owned\x07 \u202etxt \udcff")
    assert written == ["Left out: �]0;owned� �txt �\n".encode()]


def test_a_steps_last_lines_are_kept() -> None:
    written: list[bytes] = []
    log = BuildLog(written.append)
    log.output(b"old\n")
    log.begin_step()
    for number in range(30):
        log.output(f"line {number}\nha".encode())
        log.output(b"lf\n")
    log.output(b"no end " + b"x" * 10_000)
    assert log.tail[-3:-1] == ["line 29", "half"]
    assert log.tail[-1].startswith("no end xxx")
    assert len(log.tail) == 20
    assert len(log.tail[-1]) == 500
    log.line("next")
    assert written[-2:] == [b"\n", b"next\n"]


def test_amounts() -> None:
    assert [amount(n) for n in (0, 999, 34_100_000, 999_960_000, 5 * 10**12)] == [
        "0 B", "999 B", "34.1 MB", "1.0 GB", "5.0 TB",
    ]  # fmt: skip
    assert [files_and_folders(n) for n in (0, 1, 1204)] == [
        "nothing changed", "1 file or folder", "1,204 files and folders",
    ]  # fmt: skip


def test_secrets_are_masked_whatever_pieces_they_come_in() -> None:
    out: list[bytes] = []
    log = BuildLog(out.append)
    log.begin_step()
    log.output(b"before hush-hush\n")
    log.mask("hush-hush")
    log.mask("first line\nsecond line\n---\n")
    for piece in (b"a hush", b"-hu", b"sh b\nsecond ", b"line\nfirst line and hush-", b"hush"):
        log.output(piece)
    log.end_step()
    assert log.tail[-3:] == ["a **** b", "****", "**** and ****"]
    log.line("a line of Berth's own with hush-hush")
    text = b"".join(out).decode()
    assert text.splitlines() == [
        "before hush-hush",
        "a **** b",
        "****",
        "**** and ****",
        "a line of Berth's own with ****",
    ]


def test_a_short_secret_is_not_masked_and_a_longer_one_goes_first() -> None:
    out: list[bytes] = []
    log = BuildLog(out.append)
    for secret in ("abc", "secret", "secret-and-more"):
        log.mask(secret)
    log.output(b"abc secret-and-more secret\n")
    assert b"".join(out) == b"abc **** ****\n"


def test_a_line_without_end_is_not_held_back_for_ever() -> None:
    out: list[bytes] = []
    log = BuildLog(out.append)
    log.mask("hush-hush")
    log.output(b"x" * 70_000)
    assert sum(map(len, out)) == 70_000
