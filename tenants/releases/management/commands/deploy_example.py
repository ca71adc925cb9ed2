from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from berth_cli.errors import CliError
from berth_cli.pack import pack
from paas.errors import BerthError
from tenants.accounts.bootstrap import owner_of
from tenants.accounts.models import Tenant, User
from tenants.apps.actions import create_app
from tenants.apps.models import App
from tenants.releases.actions import deploy
from tenants.releases.models import Build, Release, Source
from tenants.releases.selectors import current_builds, latest_build, latest_release

POLL_SECONDS = 0.5
_GOING = (Release.Status.PENDING, Release.Status.STARTING)
_NOT_BUILT = (Build.Status.FAILED, Build.Status.CANCELLED)


class Command(BaseCommand):
    help = (
        "Deploy a folder as an app, unless the app has a release; wait until it is live and print its address."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--tenant", default="demo")
        parser.add_argument("--app", required=True)
        parser.add_argument("--timeout", type=float, default=600.0, help="seconds")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            app = self._app(options["tenant"], options["app"])
            if not app.releases.exists() and not current_builds(app).exists():
                self._deploy(app, options["path"])
            wait_until_live(app, time.monotonic() + options["timeout"])
        except (BerthError, CliError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(app.address)

    def _app(self, slug: str, name: str) -> App:
        tenant = Tenant.objects.filter(slug=slug).first()
        if tenant is None:
            raise CommandError(f"there is no tenant {slug}; run bootstrap first")
        found = App.objects.filter(tenant=tenant, name=name, destroyed_at=None).first()
        return found or create_app(actor=owner_of(tenant), tenant=tenant, name=name)

    def _deploy(self, app: App, path: Path) -> None:
        actor: User = owner_of(app.tenant)
        with tempfile.TemporaryFile() as archive:
            pack(path, archive)
            deploy(
                actor=actor, app=app, kind=Source.Kind.TAR_GZ, name=path.resolve().name, chunks=_chunks(archive)
            )


def wait_until_live(app: App, deadline: float) -> None:
    """CommandError with the reason if the build or the release fails, or the time is up."""
    while time.monotonic() < deadline:
        build, release = latest_build(app), latest_release(app)
        if release is not None and release.status not in _GOING and not current_builds(app).exists():
            if App.objects.get(pk=app.pk).serving_release_id:
                return
            raise CommandError(f"{release} is not live: {_reason(release.error)}")
        if release is None and build is not None and build.status in _NOT_BUILT:
            log = settings.PATHS.build_log(build.pk)
            raise CommandError(f"the build {build.status}: {_reason(build.error)}; its log is {log}")
        time.sleep(POLL_SECONDS)
    raise CommandError(f"{app} is not live yet; see its page for what it waits for")


def _reason(error: dict[str, Any] | None) -> str:
    return str(error["summary"]) if error else "no reason given"


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(256 * 1024):
        yield chunk
