"""Write what a log should not be troubled by: `python3 output.py ATTACK NUMBER`."""

from __future__ import annotations

import os
import sys
import time

MIB = 1024 * 1024
# Colours, a title, a link, the cursor, the clipboard, eight-bit controls, and what turns text around.
TRICKS = (
    "\x1b[31mred\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07", "\x9b31m", "\u202etxt.exe\u202c", "\u2066\u2069", "\x00\x08\x7f",
    "<script>alert(1)</script>",
)  # fmt: skip


def flood(seconds: float) -> None:
    end, piece = time.monotonic() + seconds, b"a flood of output\n" * 4096
    while time.monotonic() < end:
        os.write(1, piece)


def one_line(mebibytes: float) -> None:
    piece = b"x" * MIB
    for _ in range(int(mebibytes)):
        os.write(1, piece)
    os.write(1, b"\nafter\n")


def tricks(_: float) -> None:
    for line in TRICKS:
        print(line, flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](float(sys.argv[2]))
