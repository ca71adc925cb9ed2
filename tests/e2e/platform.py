"""A second copy of Berth on this machine, brought up by bin/up itself, with names and ports of its own."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PORT = 8391
UP_SECONDS = 600
MAKE_TOKEN = """
from tenants.accounts import actions
from tenants.accounts.models import User
print(actions.create_token(actor=User.objects.get(is_admin=True), name="e2e", scope="deploy")[1])
"""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Platform:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "BERTH_STATE": str(folder / "state"),
            "BERTH_RUN": "/run/berth-e2e",
            "BERTH_PORT": str(PORT),
            "BERTH_DOMAIN": "localhost",
            "BERTH_PREFIX": "be",
            "BERTH_CGROUP_ROOT": "/berth-e2e",
            "BERTH_CONTAINER_PREFIX": "10.206.0.0/16",
            "BERTH_UID_BASE": "2000000000",
            "BERTH_SOURCE_MAX_UNPACKED": "128",  # what bombs fill is filled soon
            "BERTH_SOURCE_MAX_FILES": "5000",
            "BERTH_INSECURE_REGISTRIES": "203.0.113.2:5002",  # tests/e2e/hostile/test_fetching.py
            **_ca_bundle(),
        }
        self.dashboard = f"http://berth.localhost:{PORT}"
        self.token = ""

    def up(self, *options: str) -> str:
        return self._script("up", "--detach", *options)

    def down(self, *options: str) -> str:
        return self._script("down", *options)

    def documented(self, line: str) -> str:
        """`NAME=value … bin/up OPTION …`, as a document has it after `sudo`."""
        given, _, command = line.partition("bin/")
        return self._script(*command.split(), **dict(word.split("=", 1) for word in given.split()))

    def _script(self, name: str, *options: str, **settings: str) -> str:
        done = subprocess.run(
            [ROOT / "bin" / name, *options], env={**self.environment, **settings}, capture_output=True,
            text=True, stdin=subprocess.DEVNULL, timeout=UP_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"bin/{name}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def pid(self, program: str) -> int:
        """Of what supervisord runs."""
        ctl = str(Path(self.environment["BERTH_STATE"], "venv/bin/supervisorctl"))
        socket = f"unix://{self.environment['BERTH_RUN']}/supervisor/socket"
        done = subprocess.run([ctl, "-s", socket, "pid", program], capture_output=True, text=True, check=True)
        return int(done.stdout)

    def manage(self, *args: str, within: Sequence[str] = ()) -> str:
        """`manage.py` of the installed code, as root; `within` is a program that runs it, and its arguments."""
        state = Path(self.environment["BERTH_STATE"])
        settings = dict(line.split("=", 1) for line in (state / "environment").read_text().splitlines()[1:])
        done = subprocess.run(
            [*within, state / "venv/bin/python", state / "code/manage.py", *args],
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
            cwd=state / "code",
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def make_token(self) -> None:
        """From now on `api` is the first administrator."""
        self.token = self.manage("shell", "-v", "0", "-c", MAKE_TOKEN).strip().splitlines()[-1]

    def sign_in_link(self) -> str:
        link = re.search(r"http\S+/sign-in/link/\S+", self.up("--link", "--no-example"))
        assert link
        return link[0]

    def is_up(self) -> bool:
        """Whether the dashboard answers, where it did at first."""
        try:
            return self.request("berth.localhost", "/healthz/").status == 200
        except ConnectionError:
            return False

    def request(
        self,
        host: str,
        path: str = "/",
        method: str = "GET",
        body: bytes = b"",
        *,
        port: int = PORT,
        **headers: str,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request(method, path, body or None, {"Host": f"{host}:{port}", **named})
        response = connection.getresponse()
        answer = Answer(response.status, response.read(), dict(response.getheaders()))
        connection.close()
        return answer

    def app(self, name: str, path: str = "/") -> Answer:
        return self.request(f"{name}-demo.localhost", path)

    def api(self, path: str, method: str = "GET", body: Any = None, kind: str = "application/json") -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        return self.request(
            "berth.localhost", f"/api/v1{path}", method, data,
            Authorization=f"Bearer {self.token}", Content_Type=kind,
        )  # fmt: skip

    def create(self, name: str) -> None:
        answer = self.api("/apps", "POST", {"tenant": "demo", "name": name})
        assert answer.status in (200, 201), answer.body

    def deploy(self, name: str, source: bytes, seconds: float = 180) -> dict[str, Any]:
        """Upload, wait `seconds` for the build, then for its release; the release, or the failed build."""
        answer = self.api(f"/apps/demo/{name}/deploys", "POST", source, "application/gzip")
        assert answer.status in (200, 201, 202), answer.body
        build = answer.json
        end = time.monotonic() + seconds
        while build["status"] in ("queued", "running"):
            assert time.monotonic() < end, build
            time.sleep(0.1)
            build = self.api(f"/apps/demo/{name}/builds/{build['id']}").json
        return build if build["status"] != "succeeded" else self.settled(name)

    def settled(self, name: str) -> dict[str, Any]:
        """The newest release once it is no longer under way."""
        end = time.monotonic() + 120
        while True:
            found = self.releases(name)  # none yet while the first build runs
            if found and found[0]["status"] not in ("pending", "starting"):
                return found[0]
            assert time.monotonic() < end, found
            time.sleep(0.1)

    def build_log(self, name: str) -> str:
        """Of the app's newest build."""
        newest = self.api(f"/apps/demo/{name}/builds").json[0]["id"]
        return (Path(self.environment["BERTH_STATE"]) / "logs/builds" / f"{newest}.log").read_text()

    def releases(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.api(f"/apps/demo/{name}/releases").json
        return rows

    def containers(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.api(f"/apps/demo/{name}/containers").json
        return rows

    def cli(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, "XDG_CONFIG_HOME": str(self.folder / "cli"), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", "berth_cli.main", *args], env=environment, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=180, check=False,
            cwd=self.folder,  # it links the folder that it is in
        )  # fmt: skip
        assert not check or done.returncode == 0, f"berth {args}: {done.stdout}\n{done.stderr}"
        return done


def packed(folder: Path, **changes: str) -> bytes:
    """The folder as .tar.gz, with files replaced or added."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_file() and name not in changes and "__pycache__" not in name:
                tar.add(path, name)
        for name, text in changes.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def _ca_bundle() -> dict[str, str]:
    """Behind a proxy that signs for itself, builds need the host's certificates (docs/how-to)."""
    bundle = os.environ.get("SSL_CERT_FILE", "")
    return {"BERTH_BUILD_CA_BUNDLE": bundle} if bundle else {}
