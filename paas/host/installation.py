"""Where one copy of Berth lives on this host. Two copies differ in state and run folder, never share one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paas.paths import Paths

ACCOUNT = "berth"  # the system user of everything that need not be root


@dataclass(frozen=True, slots=True)
class Installation:
    clone: Path
    paths: Paths

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Installation:
        return cls(
            clone=Path(__file__).resolve().parents[2],
            paths=Paths(
                state=Path(environ.get("BERTH_STATE") or "/var/lib/berth"),
                run=Path(environ.get("BERTH_RUN") or "/run/berth"),
            ),
        )

    @property
    def venv(self) -> Path:
        return self.paths.state / "venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def code(self) -> Path:
        """What the processes run: a copy of the clone, because `berth` may not read /root, say."""
        return self.paths.state / "code"

    @property
    def environment(self) -> Path:
        """NAME=value lines that every process of this copy gets."""
        return self.paths.state / "environment"

    @property
    def secret_key(self) -> Path:
        return self.paths.secrets / "secret-key"

    @property
    def field_keys(self) -> Path:
        return self.paths.secrets / "field-keys"

    @property
    def swap(self) -> Path:
        return self.paths.state / "swap"

    @property
    def process_logs(self) -> Path:
        return self.paths.state / "logs" / "processes"

    @property
    def supervisor_config(self) -> Path:
        return self.paths.state / "supervisord.conf"

    @property
    def supervisor_socket(self) -> Path:
        """In a folder of root's own: whoever talks to it can start programs as root."""
        return self.paths.run / "supervisor" / "socket"

    @property
    def supervisor_pid(self) -> Path:
        return self.paths.run / "supervisor" / "pid"

    @property
    def caddy_config(self) -> Path:
        return self.paths.state / "caddy" / "boot.json"
