"""A process that ends before it is ready: what its owner is told to do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from paas.worker.endings import hint

LINE_ENDS = "Unix line ends"


def script(folder: Path, content: bytes, mode: int = 0o755) -> str:
    path = folder / "run.sh"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def ended(*argv: str) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=30, env={"PATH": "/usr/bin:/bin"}
    )
    return hint(done.returncode, (done.stdout + done.stderr).splitlines())


@pytest.mark.parametrize("first", [b"#!/bin/sh\r\n", b"#!/usr/bin/env bash\r\n"])
@pytest.mark.parametrize("through", ["init", "sh", "bash"])
def test_windows_line_ends(tmp_path: Path, first: bytes, through: str) -> None:
    path = script(tmp_path, first + b"sleep 60\r\n")
    init = shutil.which("tini-static") or pytest.skip("needs tini-static, which containers have as their init")
    run = {
        "init": (init, "-s", "--", path),
        "sh": ("/bin/sh", "-c", f"exec {path}"),
        "bash": ("/bin/bash", "-c", f"exec {path}"),
    }
    assert LINE_ENDS in ended(*run[through])


def test_a_script_that_may_not_be_executed(tmp_path: Path) -> None:
    init = shutil.which("tini-static") or pytest.skip("needs tini-static, which containers have as their init")
    assert "chmod +x" in ended(init, "-s", "--", script(tmp_path, b"#!/bin/sh\n", mode=0o644))


def test_the_words_of_others() -> None:
    assert "very first line" in hint(1, ["OSError: [Errno 8] Exec format error: '/app/run.sh'"])
    assert LINE_ENDS in hint(1, ["ERROR (catatonit:2): failed to exec pid1: No such file or directory"])


def test_one_that_came_to_its_end_and_one_that_failed_for_reasons_of_its_own() -> None:
    assert "by CMD in the Dockerfile" in hint(0, [])
    assert hint(1, ["Traceback", "KeyError: 'X'"]) == "read the end of its log, correct it and deploy again"
    assert hint(None, []) == "read the end of its log, correct it and deploy again"
