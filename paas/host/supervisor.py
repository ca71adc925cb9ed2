"""The door to supervisord: start it, ask it, stop what it runs."""

from __future__ import annotations

import http.client
import os
import signal
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from typing import Any

from paas.errors import HostProblem
from paas.host import files, programs
from paas.host.installation import Installation
from paas.host.programs import BROKER, INGRESS
from paas.host.unix_http import UnixTransport
from paas.linux import processes
from paas.linux.command import run

ALREADY_STARTED, NOT_RUNNING = 60, 70  # supervisor/xmlrpc.py, class Faults
LAUNCH_SECONDS = 240.0  # it imports everything first: a busy machine without hardware help needs a minute
_GONE = (OSError, http.client.HTTPException)


class Supervisor:
    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        # Stopping waits for the process, a worker's 20 seconds included.
        transport = UnixTransport(installation.supervisor_socket, timeout=60)
        self._rpc = xmlrpc.client.ServerProxy("http://localhost", transport=transport)

    def is_running(self) -> bool:
        try:
            return bool(self._call("getState"))
        except _GONE:
            return False

    def pid(self) -> int:
        return int(self._call("getPID"))

    def keep_pid_file(self) -> None:
        """systemd deletes it when a start of its unit fails, and waits for it in the next one."""
        if not self._installation.supervisor_pid.exists():
            files.write(self._installation.supervisor_pid, f"{self.pid()}\n", mode=0o644)

    def states(self) -> dict[str, str]:
        """Program -> STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN."""
        return {info["name"]: info["statename"] for info in self._call("getAllProcessInfo")}

    def started_at(self, name: str) -> float:
        """When the program last started, in seconds since the epoch."""
        return float(self._call("getProcessInfo", name)["start"])

    def launch(self, environment: Mapping[str, str]) -> None:
        """Start supervisord, which starts every program. It leaves the caller's session by itself."""
        run(
            programs.supervisord(self._installation),
            env={**environment, **processes.room_for_a_name()},
            cwd=self._installation.code,  # whose modules it imports
            timeout=LAUNCH_SECONDS,
        )
        self._until(self.is_running, "supervisord did not answer within 10 seconds")

    def start(self, names: Iterable[str]) -> None:
        for name in names:
            self._call_unless(ALREADY_STARTED, "startProcess", name, False)

    def stop(self, names: Iterable[str]) -> None:
        """Stop programs side by side, the broker after those who still talk to it; wait for their ends."""
        wanted = set(names)
        for wave in (wanted - {BROKER}, wanted & {BROKER}):
            self._stop_together(wave)

    def _stop_together(self, names: Iterable[str]) -> None:
        asked = [name for name in names if self._call_unless(NOT_RUNNING, "stopProcess", name, False)]
        ended = {"STOPPED", "EXITED", "FATAL"}
        self._until(
            lambda: all(self.states()[name] in ended for name in asked), "a process did not stop", seconds=60
        )

    def shut_down(self) -> None:
        """Stop every program and supervisord itself."""
        pid = self.pid()
        self.stop(self.states())  # supervisord itself would stop one after the other
        self._call("shutdown")
        self._until(lambda: not _alive(pid), "supervisord did not end", seconds=60)

    def leave_ingress(self) -> None:
        """Stop all but the ingress, and supervisord, which would end the ingress as well if it were asked."""
        pid = self.pid()
        self.stop(name for name in self.states() if name != INGRESS)
        os.kill(pid, signal.SIGKILL)
        self._until(lambda: not _alive(pid), "supervisord did not end", seconds=60)

    def _call(self, method: str, *args: object) -> Any:
        return getattr(self._rpc.supervisor, method)(*args)

    def _call_unless(self, fault: int, method: str, *args: object) -> bool:
        try:
            self._call(method, *args)
        except xmlrpc.client.Fault as error:
            if error.faultCode != fault:
                raise HostProblem(f"supervisord: {error.faultString}") from error
            return False
        return True

    def _until(self, done: Any, complaint: str, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                log = self._installation.process_logs / "supervisord.log"
                raise HostProblem(complaint, hint=f"Read {log}.")
            time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
