"""A tenant who means harm, with what any tenant has: a token of a developer's, and the API."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.platform import Answer, Platform

SLUG, APP = "mallory", "box"
KEEPER_LOOKS = 1.2  # seconds, within which the keeper of logs has looked at all that was written to
INSIDE = Path(__file__).with_name("inside")
ENDED = ("exited", "failed", "cancelled", "timed-out")
# A small disk and a small share are soon full; the tenant's quota is still above one container's limits. With
# one of disk traffic all of its containers are one cgroup to the disk on cgroup v1.
MAKE = f"""
from tenants.accounts.actions import add_member, create_tenant, create_token
from tenants.accounts.models import Tenant, User
root = User.objects.filter(is_admin=True).first()
tenant = create_tenant(actor=root, slug="{SLUG}", name="Mallory")
less = {{"disk_bytes": 64 << 20, "memory_bytes": 768 << 20, "swap_bytes": 64 << 20}}
Tenant.objects.filter(pk=tenant.pk).update(io_bytes=200 << 20, io_operations=5000, **less)
member, _ = add_member(actor=root, tenant=tenant, email="mallory@berth.localhost", role="developer")
print(tenant.pk, create_token(actor=member.user, name="hostile", scope="deploy")[1])
"""
LEAVE = f"""
from tenants.accounts.models import Tenant, User
from tenants.apps.models import App
from tenants.apps.actions import destroy_app
for app in App.objects.filter(tenant__slug="{SLUG}", destroyed_at=None):
    destroy_app(actor=User.objects.get(email="mallory@berth.localhost"), app=app, confirm=app.name)
"""


@dataclass
class Hostile:
    """One who is a developer of the tenant, not its owner; `id` is the tenant's."""

    platform: Platform
    id: str
    token: str

    @classmethod
    def joins(cls, platform: Platform) -> Hostile:
        return cls(platform, *platform.manage("shell", "-v", "0", "-c", MAKE).split()[-2:])

    def api(self, path: str, method: str = "GET", body: Any = None, kind: str = "application/json") -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        return self.platform.request(
            "berth.localhost", f"/api/v1{path}", method, data,
            Authorization=f"Bearer {self.token}", Content_Type=kind,
        )  # fmt: skip

    # --- commands
    def start(self, *command: str, time_limit: int = 60) -> str:
        answer = self.api(f"/apps/{SLUG}/{APP}/runs", "POST", {"command": command, "time_limit": time_limit})
        assert answer.status == 202, answer.body
        return str(answer.json["id"])

    def rests(self) -> None:
        """Returns once no command of it runs, not even one that takes its ten seconds to end."""
        end = time.monotonic() + 30
        while any(run["status"] not in ENDED for run in self.api(f"/apps/{SLUG}/{APP}/runs").json):
            assert time.monotonic() < end
            time.sleep(0.2)

    def ended(self, run: str, seconds: float = 60) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while (found := self.api(f"/apps/{SLUG}/{APP}/runs/{run}").json)["status"] not in ENDED:
            assert time.monotonic() < end, found
            time.sleep(0.05)
        return dict(found)

    def lines(self, run: str) -> list[dict[str, Any]]:
        """What is kept of its output, from the beginning."""
        found, after, done = [], "", False
        while not done:
            piece = self.api(f"/apps/{SLUG}/{APP}/runs/{run}/log?after={after}").json
            found += piece["lines"]
            after, done = piece["next"], piece["done"]
        return found

    def kept(self, run: str) -> tuple[list[dict[str, Any]], int]:
        """What is kept of an ended command's flood, and how many bytes are not. The keeper of logs judges what
        came last after the end, and the count of it comes later still: these are what does not change any more.
        """
        end, before = time.monotonic() + 30, None
        while (found := (self.lines(run), self._dropped(run))) != before or not found[1]:
            assert time.monotonic() < end, f"{found[1]} bytes were dropped, {len(found[0])} lines kept"
            before = found
            time.sleep(KEEPER_LOOKS)
        return found

    def _dropped(self, run: str) -> int:
        return int(self.api(f"/apps/{SLUG}/{APP}/runs/{run}").json["output_dropped"])

    def says_something(self, run: str) -> None:
        """Returns once it has written a line."""
        end = time.monotonic() + 30
        while not self.api(f"/apps/{SLUG}/{APP}/runs/{run}/log").json["lines"]:
            assert time.monotonic() < end
            time.sleep(0.05)

    def says(self, program: str, *args: str) -> dict[str, Any]:
        """What a program of `inside` says in the end, as one object of JSON."""
        run = self.start("python3", f"/attack/{program}.py", *args)
        ended, lines = self.ended(run), [line["text"] for line in self.lines(run)]
        assert ended["exit_code"] == 0, (ended, lines)
        return dict(json.loads(lines[-1]))

    def ignores_the_end(self) -> str:
        """A command that ignores every signal that it can, and is asked to end from now on."""
        run = self.start("python3", "resources.py", "stubborn", "60")
        self.says_something(run)
        assert self.api(f"/apps/{SLUG}/{APP}/runs/{run}/cancel", "POST", {}).status == 202
        return run

    # --- builds
    def create(self, app: str) -> None:
        answer = self.api("/apps", "POST", {"tenant": SLUG, "name": app})
        assert answer.status == 201, answer.body

    def upload(self, app: str, source: bytes, kind: str = "application/gzip") -> Answer:
        return self.api(f"/apps/{SLUG}/{app}/deploys", "POST", source, kind)

    def built(self, app: str, source: bytes, kind: str = "application/gzip", seconds: float = 60) -> Built:
        answer = self.upload(app, source, kind)
        assert answer.status == 202, answer.body
        return self.build_ended(app, answer.json["id"], seconds)

    def build_ended(self, app: str, build: str, seconds: float = 60) -> Built:
        end = time.monotonic() + seconds
        while (found := self.build(app, build))["status"] in ("queued", "running"):
            assert time.monotonic() < end, found
            time.sleep(0.05)
        log = self.api(f"/apps/{SLUG}/{app}/builds/{build}/log?offset=0").body.decode(errors="replace")
        return Built(found["status"], (found["error"] or {}).get("summary", ""), log, found)

    def build(self, app: str, build: str) -> dict[str, Any]:
        return dict(self.api(f"/apps/{SLUG}/{app}/builds/{build}").json)

    def containers(self, app: str) -> list[dict[str, Any]]:
        return list(self.api(f"/apps/{SLUG}/{app}/containers").json)

    def live(self, app: str) -> dict[str, Any]:
        """The newest release, once it is no longer under way."""
        end = time.monotonic() + 60
        while True:
            found = self.api(f"/apps/{SLUG}/{app}/releases").json
            if found and found[0]["status"] not in ("pending", "starting"):
                return dict(found[0])
            assert time.monotonic() < end, found
            time.sleep(0.05)

    def leaves(self) -> None:
        self.platform.manage("shell", "-v", "0", "-c", LEAVE)


@dataclass(frozen=True, slots=True)
class Built:
    """How a build ended, and its first error."""

    status: str
    error: str
    log: str
    row: dict[str, Any]


def archive(files: Mapping[str, str | bytes], *more: tarfile.TarInfo) -> bytes:
    """A .tar.gz of these files, then of entries without content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, text in files.items():
            data = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in more:
            tar.addfile(info)
    return out.getvalue()


def entry(name: str, kind: bytes, linkname: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


def processes(hostile: Hostile) -> dict[str, int]:
    """Container id -> how many processes it has, of those of the tenant that have any."""
    root = hostile.platform.environment["BERTH_CGROUP_ROOT"]
    found: dict[str, int] = {}
    for pattern in (f"pids{root}/{hostile.id}", f"{root[1:]}/{hostile.id}"):
        for file in Path("/sys/fs/cgroup", pattern).glob("*/*/cgroup.procs"):
            with suppress(OSError):
                if count := len(file.read_text().split()):
                    found[file.parent.name] = count
    return found
