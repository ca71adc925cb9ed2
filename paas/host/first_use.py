"""What the person at the keyboard gets: a way in, an app that runs, and the addresses of both."""

from __future__ import annotations

from paas.errors import CommandFailed
from paas.host import manage
from paas.host.installation import Installation
from paas.host.prepare import Prepared
from paas.host.progress import Progress

EXAMPLE_TENANT, EXAMPLE_APP = "demo", "hello"


def sign_in_link(installation: Installation, prepared: Prepared, link: bool) -> str:
    """A one-time link when asked for, and as long as no administrator has ever signed in; else nothing."""
    from tenants.accounts.models import User  # noqa: PLC0415 - needs Django

    wanted = link or not User.objects.filter(is_admin=True, last_login__isnull=False).exists()
    return manage.output(installation, prepared.environment, "bootstrap", *(["--print-link"] if wanted else []))


def example_app(installation: Installation, prepared: Prepared, progress: Progress) -> str:
    """Deploy the example, once in an installation's life. Returns why it failed: Berth is up all the same."""
    marker = installation.paths.state / "example-deployed"
    if marker.exists():
        return ""
    folder = str(installation.code / "examples" / "hello-python")
    args = ("deploy_example", folder, "--tenant", EXAMPLE_TENANT, "--app", EXAMPLE_APP)
    try:
        with progress.step("Building and starting the example app"):
            manage.output(installation, prepared.environment, *args, timeout=900)
    except CommandFailed as error:
        return error.stderr.strip().removeprefix("CommandError: ")
    marker.touch()
    return ""


def summary(sign_in: str, trouble: str) -> str:
    from paas import settings  # noqa: PLC0415 - reads the environment that `prepare` made
    from tenants.apps.models import App  # noqa: PLC0415 - needs Django

    app = App.objects.filter(tenant__slug=EXAMPLE_TENANT, name=EXAMPLE_APP, destroyed_at=None).first()
    lines = ["", "Berth is up.", "", f"  Dashboard  {settings.ORIGIN}"]
    if sign_in:
        lines.append(f"  Sign in    {sign_in}")
        lines.append("             (works once, within 24 hours, for the first administrator)")
    if trouble:
        lines.append(f"  Example    not running: {trouble}")
    elif app:
        lines.append(f"  Example    {app.address}")
    return "\n".join(lines)
