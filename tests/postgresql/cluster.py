"""A PostgreSQL server of the tests' own: Debian's programs, a data folder to throw away, a Unix socket only."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

PASSWORD = "p@ss/word: only for tests"  # with all that an address must quote
QUOTED_PASSWORD = quote(PASSWORD, safe="")
BINARIES = Path("/usr/lib/postgresql")
SECONDS = 60.0
# As Debian's own file has it, but that a password is asked for on the socket too: there is no TCP here.
ACCESS = "local all postgres peer\nlocal all all scram-sha-256\n"
# What is a host's choice is chosen so that it shows where Berth relies on it: a linguistic order of text and
# a time zone far from UTC.
INITDB = (
    "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en",
    "--auth=peer", "--no-sync", "--no-instructions",
)  # fmt: skip
SETTINGS = {
    "listen_addresses": "",
    "timezone": "Pacific/Auckland",
    "shared_buffers": "32MB",
    # Its data is thrown away: nothing waits for the disk.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class Cluster:
    """Runs as `postgres`, and ends with the thread that started it."""

    def __init__(self, folder: Path) -> None:
        self.data, self.socket_folder, self._log = folder / "data", folder / "socket", folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        self.socket_folder.mkdir(mode=0o755)
        self.data.mkdir(mode=0o700)
        for folder in (self.socket_folder, self.data):
            shutil.chown(folder, "postgres", "postgres")
        self.run(_binary("initdb"), f"--pgdata={self.data}", *INITDB)
        (self.data / "pg_hba.conf").write_text(ACCESS)

    def start(self) -> None:
        """Return once it takes connections. One that runs already is left as it is."""
        if self._process is not None:
            return
        settings = {**SETTINGS, "unix_socket_directories": str(self.socket_folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        argv = as_postgres(_binary("postgres"), "-D", str(self.data), *options)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + SECONDS
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < end, self._log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Whoever is connected is cut off, as by the "fast" shutdown of a service."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(SECONDS)
            self._process = None

    def run(self, *argv: str, input: str = "") -> str:
        """A program as `postgres`, without a terminal; the libpq ones find this server."""
        done = subprocess.run(
            as_postgres(*argv), env={**os.environ, "PGHOST": str(self.socket_folder)}, cwd="/", input=input,
            capture_output=True, text=True, timeout=SECONDS, start_new_session=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def sql(self, statement: str, database: str = "postgres") -> str:
        argv = ["psql", "--no-psqlrc", "--tuples-only", "--no-align", f"--dbname={database}", "-c", statement]
        return self.run(*argv).strip()

    @property
    def host(self) -> str:
        """Its socket's folder, as a DATABASE_URL has it."""
        return quote(str(self.socket_folder), safe="")

    def _answers(self) -> bool:
        argv = [_binary("pg_isready"), "--quiet", f"--host={self.socket_folder}"]
        return subprocess.run(argv, check=False).returncode == 0


@contextmanager
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="berth-postgresql-"))
    folder.chmod(0o711)
    made = Cluster(folder)
    try:
        made.create()
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def as_postgres(*argv: str) -> Sequence[str]:
    drop = ("--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT")
    return ["setpriv", *drop, "--", *argv]


def _binary(name: str) -> str:
    """Of the newest version that is installed; they are not in PATH."""
    found = sorted(BINARIES.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    assert found, "PostgreSQL is not installed; bin/test installs packaging/debian-packages-test.txt"
    return str(found[-1])
