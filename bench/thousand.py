"""`bin/bench thousand`: a thousand small Flask apps over twenty tenants on the Berth that is up, most asleep.

They are deployed as developers would, by the API; then left alone until they sleep; then some of them, drawn by
lot, are asked for a page at times that nobody's slowness moves (open loop), and the dashboard meanwhile;
then the control plane is stopped and started.
"""

from __future__ import annotations

import itertools
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO

from django.conf import settings
from django.utils import timezone

from bench import machine
from bench.answers import body, tcp
from bench.dashboard import PAGES, Dashboard, signed_in
from bench.deploy import demand_same_code
from berth_cli.client import Client
from berth_cli.errors import CliError
from berth_cli.login import Login
from berth_cli.pack import pack
from paas.specs import MIB
from paas.worker import engine, lock
from tenants.accounts.actions import create_tenant, create_token
from tenants.accounts.models import ApiToken, Tenant, User
from tenants.apps.actions import destroy_app
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.fleet.actions import set_quota
from tenants.releases.models import Build, Release

SLUG, TOKEN = "thousand", "bin/bench thousand"
TENANTS = 20
MEMORY = 96 * MIB  # each app's limit
AT_ONCE = 6  # uploads under way
PATIENCE_SECONDS = 180.0
REST_SECONDS = 60.0  # how long the control plane is watched while nothing is asked
DASHBOARD_SECONDS = 1.0  # between two looks at the dashboard
APP = """\
from flask import Flask

app = Flask(__name__)
seen = 0


@app.get("/")
def front() -> str:
    global seen
    seen += 1
    return "app {number}: {{}} times".format(seen)
"""
FILES = {
    "requirements.txt": "flask==3.1.2\ngunicorn==23.0.0\n",
    "Procfile": "web: gunicorn --bind=0.0.0.0:$PORT --threads=4 app:app\n",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: seconds from when it was due to its answer, and whether the app slept then."""

    took: float
    slept: bool


@dataclass(frozen=True, slots=True)
class Effort:
    """Of the control plane: bytes that are not shared, and the part of one core."""

    memory: int
    cpu: float


def run(*, apps: int, minutes: float, a_second: float) -> None:
    """Print the figures. All that it made is gone in the end."""
    rest = min(REST_SECONDS, minutes * 60)
    demand_same_code()
    administrator = User.objects.filter(is_admin=True, is_active=True).order_by("pk").first()
    if administrator is None:
        raise SystemExit("bin/bench: this Berth has no administrator yet; run bin/up first")
    with ExitStack() as undo:
        if not undo.enter_context(lock.held("bench")):
            raise SystemExit("bin/bench: another run measures this Berth; wait for it to end")
        undo.callback(_remove, administrator)
        _remove(administrator)
        client = _client(administrator)
        dashboard = undo.enter_context(signed_in(administrator))
        before, swapped_before = machine.held(), machine.swapped()
        made = _deploy(administrator, client, apps)
        _say(f"{_each(before, made):.1f} MiB held for each, awake or asleep as they are now")
        asleep = _until_asleep(made, rest)
        swapped = (machine.swapped() - swapped_before) / len(made) / MIB
        _say(f"{asleep} asleep; {_each(before, made):.2f} MiB held for each, {swapped:.1f} MiB swapped")
        _tell("control plane at rest", _effort(rest))
        with _effort_meanwhile("control plane meanwhile"):
            failures = _load(made, client, dashboard, minutes * 60, a_second)
        _tell("control plane after that", _effort(rest))
        _recover(made)
    if failures:
        raise SystemExit(f"bin/bench: {failures} requests failed, and none should")


def _each(before: int, apps: Sequence[App]) -> float:
    """MiB more than before, for each app."""
    return (machine.held() - before) / len(apps) / MIB


# --- deploying


def _client(administrator: User) -> Client:
    _, token = create_token(actor=administrator, name=TOKEN)
    return Client(Login(settings.ORIGIN, token))


def _deploy(administrator: User, client: Client, count: int) -> list[App]:
    begin = time.monotonic()
    for number in range(TENANTS):
        tenant = create_tenant(actor=administrator, slug=f"{SLUG}{number}", name=f"Tenant {number}")
        each = -(-count // TENANTS) + 1
        changes = {"memory": each * MEMORY, "swap": each * MEMORY, "containers": 2 * each, "pids": 64 * each}
        set_quota(actor=administrator, tenant=tenant, changes=changes)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: _deploy_one(client, number), range(count)))
    _say(f"{count} apps deployed in {time.monotonic() - begin:.0f} s")
    return list(App.objects.filter(tenant__slug__startswith=SLUG).select_related("tenant"))


def _deploy_one(client: Client, number: int) -> None:
    """One that is not live in time is an error: it would be missing in every figure."""
    slug, name = f"{SLUG}{number % TENANTS}", f"app-{number}"
    client.post("apps", {"tenant": slug, "name": name})
    with _archive(number) as archive:
        build = client.send("POST", f"apps/{slug}/{name}/deploys", content=archive.read(),
                            headers={"Content-Type": "application/gzip"}).json()  # fmt: skip
    app = App.objects.get(tenant__slug=slug, name=name)
    end = time.monotonic() + PATIENCE_SECONDS
    while not app.releases.filter(status=Release.Status.LIVE).exists():
        failed = (
            app.builds.filter(status=Build.Status.FAILED).first()
            or app.releases.filter(status=Release.Status.FAILED).first()
        )
        if failed or time.monotonic() > end:
            raise RuntimeError(f"{app} is not live: {failed.error if failed else build}")
        time.sleep(0.1)


@contextmanager
def _archive(number: int) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as file:
        for name, text in {**FILES, "app.py": APP.format(number=number)}.items():
            Path(folder, name).write_text(text)
        Path(folder, "berth.toml").write_text(f'[processes.web]\nmemory = "{MEMORY // MIB}M"\n')
        pack(Path(folder), file)
        yield file


# --- resting


def _asleep(apps: Sequence[App]) -> set[str]:
    rows = Container.objects.filter(app__in=[app.pk for app in apps], status=Container.Status.SLEEPING)
    return set(rows.values_list("app_id", flat=True))


def _until_asleep(apps: Sequence[App], patience: float) -> int:
    """How many sleep when no more fall asleep."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < patience and last < len(apps):
        now = len(_asleep(apps))
        if now > last:
            last, since = now, time.monotonic()
        time.sleep(1.0)
    return last


def _effort(seconds: float) -> Effort:
    with _watched() as watched:
        time.sleep(seconds)
    return watched[0]


@contextmanager
def _effort_meanwhile(what: str) -> Iterator[None]:
    with _watched() as watched:
        yield
    _tell(what, watched[0])


@contextmanager
def _watched() -> Iterator[list[Effort]]:
    """Its one element is there when the block has ended."""
    found: list[Effort] = []
    pids = machine.of_control_plane(settings.PATHS.state)
    before, begin = machine.cpu_seconds(pids), time.monotonic()
    yield found
    used = machine.cpu_seconds(pids) - before
    pids = machine.of_control_plane(settings.PATHS.state)
    found.append(Effort(machine.private(pids), used / (time.monotonic() - begin)))


def _tell(what: str, effort: Effort) -> None:
    _say(
        f"{what}: {effort.memory / MIB:.0f} MiB that it shares with nobody, {effort.cpu * 100:.1f} % of a core"
    )


# --- asking


def _load(apps: Sequence[App], client: Client, dashboard: Dashboard, seconds: float, a_second: float) -> int:
    """How many requests failed, of visitors or of who looks at the dashboard."""
    asked: list[Asked] = []
    failures: list[str] = []
    pages: list[float] = []
    answers: list[float] = []
    begin, now = time.monotonic(), timezone.now()

    def ask(app: App, due: float, slept: bool) -> None:
        try:
            answer = body(tcp("127.0.0.1", settings.PORT, timeout=30), "/", app.host)
        except (OSError, HTTPException) as error:
            failures.append(f"{app}: {error}")
            return
        if answer.startswith(_said_by(app)):
            asked.append(Asked(time.monotonic() - due, slept))
        else:
            failures.append(f"{app}: {answer[:80]!r}")

    def look() -> None:
        paths = itertools.cycle((*PAGES, f"/t/{apps[0].tenant.slug}/{apps[0].name}/"))
        while time.monotonic() - begin < seconds:
            start = time.monotonic()
            try:
                dashboard.load(next(paths))
                pages.append(time.monotonic() - start)
                start = time.monotonic()
                client.get("apps", tenant=f"{SLUG}{random.randrange(TENANTS)}")  # noqa: S311
                answers.append(time.monotonic() - start)
            except (CliError, OSError, HTTPException) as error:
                failures.append(f"dashboard: {error}")
            time.sleep(DASHBOARD_SECONDS)

    with ThreadPoolExecutor(64) as pool:
        pool.submit(look)
        due, asleep = begin, _asleep(apps)
        while due - begin < seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            app = random.choice(apps)  # noqa: S311
            pool.submit(ask, app, due, app.pk in asleep)
            due += random.expovariate(a_second)
            asleep = _asleep(apps)
    _say(_quantiles("that slept", [one.took for one in asked if one.slept]))
    woken = Container.objects.filter(app__in=[app.pk for app in apps], woken_at__gte=now)
    wakes = [usec / 1_000_000 for usec in woken.values_list("wake_usec", flat=True)]
    _say(_quantiles("  of which until it ran, its last time", wakes))
    _say(_quantiles("awake", [one.took for one in asked if not one.slept]))
    _say(_quantiles("dashboard's pages", pages))
    _say(_quantiles("dashboard's API", answers))
    total = len(asked) + len(pages) + len(answers) + len(failures)
    _say(f"failed requests: {len(failures)} of {total} {failures[:3] or ''}")
    return len(failures)


def _said_by(app: App) -> bytes:
    """What each of its answers begins with."""
    return f"app {app.name.removeprefix('app-')}:".encode()


def _quantiles(name: str, seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return f"{name}: {len(seconds)} requests"
    marks = statistics.quantiles(seconds, n=100)
    p50, p95, p99 = (marks[at - 1] * 1000 for at in (50, 95, 99))
    return f"{name}: n {len(seconds)}, p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms"


# --- stopping and starting


def _recover(apps: Sequence[App]) -> None:
    """Until an app that slept before answers, and how many sleep on as if nothing had been."""
    clone, before = settings.BASE_DIR, _asleep(apps)
    app = next((app for app in apps if app.pk in before), apps[0])
    took = []
    for command in (["bin/down"], ["bin/up", "--detach", "--no-example"]):
        begin = time.monotonic()
        subprocess.run(command, cwd=clone, check=True, stdout=subprocess.DEVNULL)
        took.append(time.monotonic() - begin)
    still = len(before & _asleep(apps))
    begin = time.monotonic()
    answer = body(tcp("127.0.0.1", settings.PORT, timeout=30), "/", app.host)
    if not answer.startswith(_said_by(app)):
        raise RuntimeError(f"{app} answers {answer[:80]!r} after bin/up")
    woken = (time.monotonic() - begin) * 1000
    _say(
        f"bin/down {took[0]:.1f} s, bin/up {took[1]:.1f} s; {still} of {len(before)} sleep on; "
        f"one of them answers after {woken:.0f} ms"
    )


def _remove(administrator: User) -> None:
    """Apps by their own way, then the tenants with all that the host has of them. Again is fine."""
    apps = App.objects.filter(tenant__slug__startswith=SLUG)
    for app in apps.filter(destroyed_at=None).select_related("tenant"):
        destroy_app(actor=administrator, app=app, confirm=app.name)
    end = time.monotonic() + 10 * PATIENCE_SECONDS
    while apps.exists() and time.monotonic() < end:
        time.sleep(0.5)
    for tenant in Tenant.objects.filter(slug__startswith=SLUG):
        engine.runtime().remove_tenant(tenant.pk)
        tenant.delete()
    ApiToken.objects.filter(user=administrator, name=TOKEN).delete()


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)
