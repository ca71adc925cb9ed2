"""The one door to subprocess: clean environment, closed stdin, a time limit, a failure line to run again."""

from __future__ import annotations

import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from paas.errors import CommandFailed, HostProblem

_PIECE = 65_536
_SLOWLY = 0.001  # seconds for each piece
CLEAN_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Completed:
    stdout: str
    stderr: str
    status: int  # exit status, or minus the signal that ended it


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float = 60,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    cwd: Path | None = None,
    keep: int | None = None,
    begun: Callable[[int], None] = lambda pid: None,
) -> Completed:
    """Run a host program to its end. `env` is added to a minimal environment; ours is never passed on. For one
    that says what a tenant likes: `keep` bytes of each output are kept, the rest is read slowly and dropped.
    `begun` is called with its id before it gets its `input`.

    Raises CommandFailed on a non-zero exit (with `check`) and when the time limit of `timeout` seconds
    passes (always; the whole process group is killed), HostProblem when there is no such program.
    """
    words = [str(word) for word in argv]
    process = _spawn(words, has_input=input is not None, env=env, cwd=cwd)
    data = None if input is None else input.encode()
    try:
        begun(process.pid)
        if keep is None:
            out, err = process.communicate(data, timeout=timeout)
        else:
            out, err = _communicate_some(process, data or b"", keep, timeout)
    except BaseException as error:
        _kill_group(process)
        if isinstance(error, subprocess.TimeoutExpired):
            late = f"no end within {timeout:g} s"
            raise CommandFailed(replay(words, env, cwd), -signal.SIGKILL, late) from None
        raise
    done = Completed(_text(out), _text(err), process.returncode)
    if check and done.status != 0:
        raise CommandFailed(replay(words, env, cwd), done.status, done.stderr)
    return done


def replay(argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """A line to paste into a shell and run the same again, less the values of `env`: they may be secret."""
    line = shlex.join(argv)
    if env:
        line = f"env {' '.join(f'{name}=…' for name in sorted(env))} {line}"
    return f"cd {shlex.quote(str(cwd))} && {line}" if cwd else line


def _spawn(
    argv: Sequence[str], *, has_input: bool, env: Mapping[str, str] | None, cwd: Path | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**CLEAN_ENV, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise HostProblem(
            f"cannot run {argv[0]}: {error.strerror}: {error.filename}",
            hint="install it (bin/up does), or see what is missing with bin/up --check",
        ) from error


def _communicate_some(
    process: subprocess.Popen[bytes], given: bytes, keep: int, timeout: float
) -> tuple[bytes, bytes]:
    assert process.stdout is not None and process.stderr is not None, "both are pipes"
    end = time.monotonic() + timeout
    kept = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
    with process.stdout, process.stderr, selectors.DefaultSelector() as selector:
        for descriptor in kept:
            selector.register(descriptor, selectors.EVENT_READ)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(process.args, timeout)
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    given = _give(process.stdin, given)
                    if not given:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                    continue
                data = os.read(key.fd, _PIECE)
                if not data:
                    selector.unregister(key.fd)
                elif len(kept[key.fd]) < keep:
                    kept[key.fd] += data[: keep - len(kept[key.fd])]
                else:
                    time.sleep(_SLOWLY)  # so its writer waits for us, and the machine for neither
        process.wait(max(0.0, end - time.monotonic()))
        out, err = kept.values()
        return out, err


def _give(pipe: IO[bytes], data: bytes) -> bytes:
    """What is left to give; nothing to one that takes no more."""
    try:
        return data[os.write(pipe.fileno(), data[:_PIECE]) :]
    except BrokenPipeError:
        return b""


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with process, suppress(ProcessLookupError):  # its pipes are closed, and its end is waited for
        os.killpg(process.pid, signal.SIGKILL)


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
