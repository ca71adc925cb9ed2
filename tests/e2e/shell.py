"""A person's terminal: a home, a clone of Berth in it, and one shell after the other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.platform import ROOT, Platform

SECONDS = 180.0  # for one command
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROGRAMS = {
    # As sudo does: with a PATH of its own, and NAME=value in front of the command.
    "sudo": f'#!/bin/sh\nPATH={PATH} exec env "$@"\n',
    # The browser, which looks at the page and keeps its address.
    "xdg-open": '#!/bin/sh\ncurl -fsS -o /dev/null "$1" && printf %s "$1" >"$HOME/opened"\n',
}
OF_THE_TESTS = ("BERTH_", "DJANGO_", "PYTEST_", "PYTHON", "VIRTUAL_ENV", "XDG_")
# Goes on where the command before has stopped: its folder and its exported variables.
RESUME = '[ ! -s "$0" ] || . "$0"; cd "$PWD"; eval "$1"; status=$?; export -p >"$0"; exit $status'
NOT_CLONED = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build", "*.egg-info"
)


@dataclass(frozen=True, slots=True)
class Done:
    status: int
    output: str  # both streams, as in a terminal


@dataclass
class Terminal:
    home: Path
    environment: Mapping[str, str]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def made_in(cls, home: Path, platform: Platform) -> Terminal:
        """What was once said to bin/up is remembered, but for the two that say where."""
        environment = {
            name: value
            for name, value in platform.environment.items()
            if name in ("BERTH_STATE", "BERTH_RUN") or not name.startswith(OF_THE_TESTS)
        }
        shutil.copytree(ROOT, home / "berth", ignore=NOT_CLONED, symlinks=True)
        (home / "bin").mkdir()
        for name, text in PROGRAMS.items():
            (home / "bin" / name).write_text(text)
            (home / "bin" / name).chmod(0o755)
        fetched = os.environ.get("XDG_CACHE_HOME") or f"{Path.home()}/.cache"
        return cls(home, {**environment, "XDG_CACHE_HOME": fetched})

    @property
    def clone(self) -> Path:
        return self.home / "berth"

    def open(self) -> None:
        """A new shell, in the clone. What the one before has left running ends."""
        self.close()
        self._state.write_text(f"declare -x PWD={str(self.clone)!r}\n")

    @property
    def folder(self) -> Path:
        """Where the shell is."""
        line = next(line for line in self._state.read_text().splitlines() if line.startswith("declare -x PWD="))
        return Path(line.partition("=")[2].strip("'\""))

    @property
    def output(self) -> Path:
        """What the last command has printed."""
        return self.home / "output"

    def run(self, command: str, typed: str = "") -> Done:
        """To its end. `typed` is what the person types when it asks."""
        process = self._start(command, typed)
        try:
            status = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise AssertionError(f"no end within {SECONDS:g} s:\n{self.output.read_text()}") from None
        return Done(status, self.output.read_text(errors="replace"))

    def start(self, command: str, until: str) -> Done:
        """Until it has printed `until`; it goes on."""
        process = self._start(command, "")
        self.running.append(process)
        end = time.monotonic() + SECONDS
        while until not in (text := self.output.read_text(errors="replace")):
            assert process.poll() is None and time.monotonic() < end, text
            time.sleep(0.1)
        return Done(0, text)

    def ends(self) -> list[int]:
        """How what was started has ended: by itself, as others made it."""
        return [process.wait(SECONDS) for process in self.running]

    def close(self) -> None:
        for process in self.running:
            _kill(process)
        self.running.clear()

    @property
    def _state(self) -> Path:
        return self.home / "shell"

    def _start(self, command: str, typed: str) -> subprocess.Popen[bytes]:
        """In a session of its own, so without a terminal: what asks for a secret reads its standard input."""
        (self.home / "typed").write_text(typed)
        env = {**self.environment, "HOME": str(self.home), "PATH": f"{self.home}/bin:{PATH}"}
        self.output.unlink(missing_ok=True)  # what goes on writes to its own
        with (self.home / "typed").open("rb") as stdin, self.output.open("wb") as out:
            argv = ["/bin/bash", "-c", RESUME, str(self._state), command]
            return subprocess.Popen(argv, stdin=stdin, stdout=out, stderr=out, env=env, start_new_session=True)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
