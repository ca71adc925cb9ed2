"""Berth's side of `bin/bench deploy`: a tenant on the platform that is up, with an app and a developer."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from berth_cli.client import Client
from berth_cli.deploy import build_known
from berth_cli.login import Login
from berth_cli.pack import pack
from berth_cli.target import Target
from paas.worker import engine
from tenants.accounts.actions import add_member, create_tenant, create_token
from tenants.accounts.models import Role, Tenant, User
from tenants.apps.actions import destroy_app
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.releases.models import Build, Release

SLUG, APP, EMAIL = "bench", "guestbook", "bench@berth.localhost"
PATIENCE_SECONDS = 60.0
_BUILDING = (Build.Status.QUEUED, Build.Status.RUNNING)
_STARTING = (Release.Status.PENDING, Release.Status.STARTING)


@dataclass(frozen=True, slots=True)
class Deployer:
    """What a developer of the tenant can do: talk to the API with a token, or run `berth deploy`."""

    app: App
    token: str
    client: Client

    @property
    def target(self) -> Target:
        return Target(self.app.tenant.slug, self.app.name)

    def with_app(self, name: str) -> Deployer:
        """The same developer, with another app of the tenant."""
        return replace(self, app=_app(self.client, name))

    def upload(self, folder: Path) -> dict[str, Any]:
        """Pack the folder, ask for a build of it and send it where it is not known, as `berth deploy` does, in
        this process. The build, as the API tells of it."""
        with tempfile.TemporaryFile() as archive:
            packed = pack(folder, archive)
            build = build_known(self.client, self.target, packed.archive)
            if build is None:
                sent = self.client.send(
                    "POST",
                    self.target.path("deploys"),
                    params={"name": folder.name},
                    content=archive.read(),
                    headers={"Content-Type": "application/gzip"},
                )
                build = sent.json()
            return build

    def command(self, folder: Path) -> subprocess.Popen[str]:
        """`berth deploy`, started; it ends when the release is live. Run where its code lies compiled."""
        return subprocess.Popen(
            [sys.executable, "-m", "berth_cli", "deploy", str(folder), "--app", str(self.target)],
            cwd=settings.PATHS.state / "code",
            env={**os.environ, "BERTH_URL": settings.ORIGIN, "BERTH_TOKEN": self.token},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def version(self) -> int:
        """Of the newest release; 0 before the first."""
        newest = self.app.releases.first()
        return newest.version if newest else 0

    def settle(self) -> None:
        """Wait until the newest release alone runs: the one before is being stopped for a while yet."""
        going = (Container.Status.CREATING, Container.Status.CREATED, Container.Status.RUNNING)

        def settled() -> bool:
            running = self.app.containers.filter(status__in=going)
            return running.count() == 1 and running.filter(release__status=Release.Status.LIVE).exists()

        wait_for(settled, f"{self.target} is at rest")

    def is_under_way(self) -> bool:
        build, release = self.app.builds.first(), self.app.releases.first()
        statuses = {build and build.status, release and release.status}
        return bool(statuses & {*_BUILDING, *_STARTING})

    def why_not(self) -> str:
        """What the rows say of the newest deploy, for a time that was never measured."""
        build, release = self.app.builds.first(), self.app.releases.first()
        parts = [f"build {build.status} {build.error or ''}" if build else "no build"]
        parts += [f"{release} {release.status} {release.error or ''}" if release else "no release"]
        return "; ".join(parts)


def marks_of(app: App, answered: float) -> list[tuple[str, float]]:
    """The parts of the newest deploy and when each ended, by the times in its rows (time.time())."""
    build: Build = app.builds.latest("created_at")
    # One that had to be started again has had more than one.
    web = build.releases.get().containers.filter(process_type="web").latest("created_at")
    assert build.started_at and build.finished_at and web.started_at
    return [
        ("pack and upload", build.created_at.timestamp()),
        ("wait for a build worker", build.started_at.timestamp()),
        ("build", build.finished_at.timestamp()),
        ("release, wait for a worker", web.created_at.timestamp()),
        ("create and start", web.started_at.timestamp()),
        ("app starts, ready, switch", answered),
    ]


def wait_for(question: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not question():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE_SECONDS:g} s in vain until {what}")
        time.sleep(0.02)


@contextmanager
def deployer() -> Iterator[Deployer]:
    """A tenant, a developer in it and an app, until the block ends."""
    administrator = User.objects.filter(is_admin=True, is_active=True).order_by("pk").first()
    if administrator is None:
        raise RuntimeError("this Berth has no administrator yet; run bin/up first")
    with ExitStack() as undo:
        undo.callback(remove)
        remove()  # what a run that was killed has left
        tenant = create_tenant(actor=administrator, slug=SLUG, name="Bench")
        member, _ = add_member(actor=administrator, tenant=tenant, email=EMAIL, role=Role.DEVELOPER)
        _, token = create_token(actor=member.user, name="bin/bench")
        client = Client(Login(settings.ORIGIN, token))
        yield Deployer(_app(client, APP), token, client)


def _app(client: Client, name: str) -> App:
    client.post("apps", {"tenant": SLUG, "name": name})
    return App.objects.select_related("tenant").get(tenant__slug=SLUG, name=name)


def remove() -> None:
    """The app by its own way, then the tenant with all that the host has of it. Again is fine."""
    tenant = Tenant.objects.filter(slug=SLUG, members__user__email=EMAIL).first()
    if tenant is not None:
        for app in tenant.apps.all():
            _destroy(app)
        engine.runtime().remove_tenant(tenant.pk)
        tenant.delete()
    User.objects.filter(email=EMAIL).delete()


def _destroy(app: App) -> None:
    if app.destroyed_at is None:
        destroy_app(actor=app.tenant.members.get(user__email=EMAIL).user, app=app, confirm=app.name)
    wait_for(lambda: not App.objects.filter(pk=app.pk).exists(), f"{app} is destroyed")
