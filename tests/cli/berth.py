"""`berth` as a person runs it: its own process, its own home, a real server; and who plays the worker."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections

from paas.errors import StepFailed
from paas.specs import ProcessSpec
from tenants.accounts.actions import create_token
from tenants.accounts.models import User
from tenants.releases import observations
from tenants.releases.models import Build, Release
from tests.web.cast import Cast, go_live, make_cast, report

ROOT = Path(__file__).parents[2]


@dataclass
class Berth:
    home: Path
    url: str
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *args: str, cwd: Path | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        argv = [sys.executable, "-P", "-m", "berth_cli", *args]
        return subprocess.run(
            argv,
            cwd=cwd or self.home,
            env={**env, **self.env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def sign_in(self, user: User, *, scope: str = "deploy") -> None:
        _, secret = create_token(actor=user, name="laptop", scope=scope)
        done = self.run("login", self.url, "--token", secret)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return make_cast()


@pytest.fixture
def berth(tmp_path: Path, live_server: Any, cast: Cast) -> Berth:
    """The server is asked for by a name below .localhost, which no resolver here needs to know."""
    home = tmp_path / "home"
    home.mkdir()
    port = live_server.url.rsplit(":", 1)[1]
    return Berth(home, f"http://{settings.DASHBOARD_HOST}:{port}")


class Worker(threading.Thread):
    """Writes what the worker would observe. A source named "broken" does not build, "silent" is never ready,
    the release command of "undone" fails, the web process of "hidden" is private."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.05):
            for pk in Build.objects.filter(status=Build.Status.QUEUED).values_list("pk", flat=True):
                self._build(pk)
            for release in Release.objects.filter(status=Release.Status.PENDING).select_related(
                "build__source"
            ):
                self._release(release)
        connections.close_all()

    def _build(self, pk: str) -> None:
        build = observations.claim_build(pk, "w1")
        assert build is not None
        log = settings.PATHS.build_log(pk)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab", buffering=0) as file:
            file.write(b"Detected Python.\n")
            self.ended.wait(0.6)  # the follower asks in between
            file.write("Größe: \x1b]0;gotcha\x07\x1b[31mred\x1b[0m\n".encode())
        if build.source.name == "broken":
            error = StepFailed("pip failed", hint="read the log")
            with log.open("ab", buffering=0) as file:
                file.write(b"Error: of a step\nHint: of a step\ngoes on\n")
                file.write(b"\nError: pip failed\nHint: read the log\n")
            observations.build_failed(build, error.as_dict())
        else:
            private = ProcessSpec(name="web", args=("python", "app.py"), private=True)
            observations.build_succeeded(
                build, report(processes=[private] if build.source.name == "hidden" else ())
            )

    def _release(self, release: Release) -> None:
        name = release.build.source.name if release.build else ""
        if name == "undone":
            details = {"command": "python migrate.py", "output": ["no such table: notes"], "log": []}
            error = {"summary": "the release command failed", "hint": "correct it", "details": details}
            observations.release_failed(release, error)
        elif name == "silent":
            details = {"log": ["Traceback: KeyError"]}
            error = {
                "summary": "web.1 was not ready within 60 s",
                "hint": "listen on $PORT",
                "details": details,
            }
            observations.release_failed(release, error)
        else:
            go_live(release)


@pytest.fixture
def worker(cast: Cast) -> Iterator[Worker]:
    thread = Worker()
    thread.start()
    yield thread
    thread.ended.set()
    thread.join(10)
    assert not thread.is_alive()
