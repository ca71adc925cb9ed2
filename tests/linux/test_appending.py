from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from paas.linux.appending import let_append

WRITES = """
import sys
with open(sys.argv[1], "wb", 0) as file:
    for line in sys.stdin:
        file.write(line.encode())
        print()
"""


@pytest.mark.kernel
def test_a_file_that_is_cut_has_no_hole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    argv = [sys.executable, "-u", "-c", WRITES, str(log)]
    with subprocess.Popen(argv, stdin=PIPE, stdout=PIPE, text=True, bufsize=1) as process:
        assert process.stdin and process.stdout

        def write(line: str) -> None:
            print(line, end="", file=process.stdin, flush=True)
            assert process.stdout and process.stdout.readline()

        write("before\n")
        log.write_bytes(b"")
        write("a hole\n")
        assert log.read_bytes() == bytes(7) + b"a hole\n"
        let_append(process.pid, log)
        log.write_bytes(b"")
        write("none\n")
        assert log.read_bytes() == b"none\n"
        process.stdin.close()
    let_append(process.pid, log)  # it has ended
