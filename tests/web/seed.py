"""A believable world to look at: three tenants, twelve apps in every state, with builds, releases and usage.

    python manage.py migrate
    python manage.py shell -c "from tests.web import seed; seed.fill()"

All have PASSWORD: ada@ (administrator), olive@ (owner of acme), dev@, vic@ (viewer), out@example.org.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from paas.specs import Effective, Limits
from paas.worker import quota
from tenants.accounts.models import Role, Tenant, User
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.fleet.models import Machine, Peak, Reading
from tenants.releases.models import Build, Release, Source
from tenants.runs.models import Run
from tenants.volumes.models import Volume

PASSWORD = "a berth for every boat"
RUN = "facade5eed01"
MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True)
class Wanted:
    """An app as it shall look. `containers`: (process type, status, ready) of the release that serves."""

    tenant: str
    name: str
    builds: tuple[str, ...] = ("succeeded",)
    last_release: str = "live"
    containers: tuple[tuple[str, str, bool], ...] = (("web", "running", True),)
    stage: str = "production"
    config: tuple[str, ...] = ()


WORLD = (
    Wanted(
        "acme",
        "shop",
        ("succeeded",) * 9,
        "live",
        (("web", "running", True),) * 3 + (("worker", "running", True),),
        config=("DATABASE_URL", "SECRET_KEY", "STRIPE_KEY", "SENTRY_DSN"),
    ),
    Wanted("acme", "shop-staging", ("succeeded", "running"), stage="staging"),
    Wanted("acme", "search", ("succeeded", "succeeded"), "starting"),
    Wanted("acme", "billing", ("succeeded", "succeeded"), "failed"),
    Wanted("acme", "reports", ("succeeded", "failed")),
    Wanted("acme", "landing", ("failed",), "", ()),
    Wanted("harbor", "tides", ("succeeded",), "live", (("web", "running", True), ("web", "stopped", False))),
    Wanted("harbor", "archive", ("succeeded",), "live", ()),
    Wanted("harbor", "notebook", ("succeeded",), "live", (("web", "stopped", False),)),
    Wanted("harbor", "sandbox", (), "", ()),
    Wanted("nova", "api", ("succeeded",) * 3, "live", (("web", "running", True),) * 2),
    Wanted("nova", "docs", ("queued",), "", ()),
    Wanted("nova", "quiet", containers=(("web", "sleeping", True), ("worker", "running", True))),
)
LOG = (
    "Traceback (most recent call last):",
    '  File "/app/main.py", line 12, in <module>',
    '    app = create_app(os.environ["STRIPE_KEY"])',
    "KeyError: 'STRIPE_KEY'",
)


def fill() -> None:

    random.seed(7)
    admin = User.objects.create_user("ada@example.org", PASSWORD, name="Ada Admin", is_admin=True)
    people = {
        "owner": User.objects.create_user("olive@example.org", PASSWORD, name="Olive Owner"),
        "developer": User.objects.create_user("dev@example.org", PASSWORD, name="Devi Developer"),
        "viewer": User.objects.create_user("vic@example.org", PASSWORD, name="Vic Viewer"),
        "outsider": User.objects.create_user("out@example.org", PASSWORD, name="Otto Outsider"),
    }
    tenants = {}
    for index, (slug, name) in enumerate(
        (("acme", "Acme Shops"), ("harbor", "Harbour Office"), ("nova", "Nova Labs"))
    ):
        tenants[slug] = Tenant.objects.create(slug=slug, name=name, range_index=index + 1)
        tenants[slug].members.create(user=admin, role=Role.OWNER)
    _limits(tenants["acme"])
    for role in ("owner", "developer", "viewer"):
        tenants["acme"].members.create(user=people[role], role=role)
    tenants["nova"].members.create(user=people["outsider"], role=Role.OWNER)
    for wanted in WORLD:
        make_app(wanted, tenants[wanted.tenant], people["developer"])
    _readings()
    Machine.objects.create(
        cores=8,
        memory_bytes=16 * GIB,
        memory_available_bytes=11 * GIB,
        cpu_millis=2150,
        disk_bytes=240 * GIB,
        disk_free_bytes=171 * GIB,
        swap_bytes=0,
        sampled_at=_now(),
    )


def _readings() -> None:
    """As on cgroup v2; one was not weighed yet."""
    slept = {"slept_at": _now() - timedelta(hours=3), "awake_bytes": 70 * MIB, "memory_bytes": 1_400_000}
    woken = {"woken_at": _now() - timedelta(hours=5), "wakes": 4, "wake_usec": 13_400, "cpu_millis": 0}
    Container.objects.filter(status="sleeping").update(**slept, **woken)
    for n, row in enumerate(Container.objects.exclude(status="stopped")):
        weighed = (
            {"unshared": 30 * MIB, "shared": 9 * MIB, "files_used": 14 * MIB, "files_part": 3 * MIB}
            if n
            else {}
        )
        stalls = {"stalled_cpu": 42, "stalled_memory": 0, "stalled_io": 7}
        held = {"anonymous": 28 * MIB, "file": 11 * MIB, "mapped": 4 * MIB, "io_rate": 20_000}
        Reading.objects.create(container=row, read_at=_now(), **held, **weighed, **stalls)
        Peak.objects.get_or_create(app=row.app, process_type="web", days={"2026-11-27": 100 * MIB})


def _limits(tenant: Tenant) -> None:
    """As on a machine whose kernel limits no disk, and whose disks do not grow while they are mounted."""
    tenant.disk_bytes, tenant.io_bytes, tenant.store_used = 20 * GIB, 50 * MIB, 3 * GIB
    asked = Limits(tenant.memory_bytes, tenant.swap_bytes, tenant.cpu_millis, 100, tenant.pids, tenant.io_bytes)
    seen = Effective(tenant.memory_bytes, tenant.swap_bytes, tenant.cpu_millis, None, disk_whole=10 * GIB)
    seen = replace(seen, disk_used=4 * GIB, inodes=655_360, inodes_used=81_204)
    tenant.in_force = quota.compared(asked, tenant.disk_bytes, seen, disks_held=False)
    tenant.save()


def make_app(wanted: Wanted, tenant: Any, who: Any) -> Any:

    app = App.objects.create(tenant=tenant, name=wanted.name, stage=wanted.stage)
    for key in wanted.config:
        app.config_vars.create(key=key, value=f"value-of-{key.lower()}")
    builds = [_build(app, who, status, age=len(wanted.builds) - n) for n, status in enumerate(wanted.builds)]
    good = [build for build in builds if build.status == "succeeded"]
    releases = [_release(app, who, build, n + 1, wanted.containers) for n, build in enumerate(good)]
    _settle(app, releases, wanted)
    return app


def _build(app: Any, who: Any, status: str, age: int) -> Any:

    made = _now() - timedelta(hours=age * 7, minutes=random.randint(0, 50))
    source = Source.objects.create(
        app=app,
        kind="tar.gz",
        name=f"{app.name}.tar.gz",
        digest="sha256:" + f"{random.getrandbits(256):064x}",
        size=random.randint(20_000, 4_000_000),
        created_by=who,
    )
    build = Build.objects.create(
        app=app,
        source=source,
        created_by=who,
        status=status,
        builder="python",
        steps_total=5,
        steps_cached=3,
        started_at=made if status != "queued" else None,
        finished_at=made + timedelta(seconds=random.uniform(1, 40))
        if status in ("succeeded", "failed")
        else None,
    )
    if status == "failed":
        build.error = {
            "summary": "step 3 of 5 failed: pip could not find flsk==3.0",
            "hint": "check the name in requirements.txt; did you mean flask?",
            "details": {},
        }
        build.save()
    Build.objects.filter(pk=build.pk).update(created_at=made)
    path = settings.PATHS.build_log(build.pk)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "Source sha256:1f0c6d7be221: 14 files and folders, 20,481 bytes.\n"
        "Detected Python: requirements.txt, Procfile\n"
        "Step 1/5 base python:3.11          cached\nStep 2/5 COPY requirements.txt     cached\n"
        "Step 3/5 RUN uv pip install -r requirements.txt\n"
        "  \x1b[32m+ flask==3.0.3\x1b[0m\n  \x1b[32m+ gunicorn==23.0.0\x1b[0m\n"
        "  \x1b[1;33mwarning\x1b[0m: no lock file\n"
        + (
            "\x1b[31merror\x1b[0m: no version of flsk==3.0\n"
            if status == "failed"
            else "Step 5/5 COPY . .\nFinished in 3.1 s.\n"
        )
    )
    return build


def _release(app: Any, who: Any, build: Any, version: int, containers: Sequence[tuple[str, str, bool]]) -> Any:

    types = sorted({kind for kind, _, _ in containers}) or ["web"]
    processes = [
        {
            "name": kind,
            "args": ["gunicorn", "main:app"] if kind == "web" else ["python", "jobs.py"],
            "count": sum(1 for k, _, _ in containers if k == kind),
            "memory_bytes": 256 * MIB,
            "cpu_millis": 500,
        }
        for kind in types
    ]
    fields: dict[str, Any] = {
        "app": app,
        "version": version,
        "cause": "deploy",
        "note": "Deploy",
        "build": build,
        "image": {"digest": "sha256:" + f"{random.getrandbits(256):064x}", "layers": []},
        "processes": processes,
        "health": {"path": "/health", "timeout": 60.0, "interval": 0.2},
        "config": {},
        "defaults": {"LOG_LEVEL": "info"},
        "created_by": who,
        "status": "retired",
        "live_at": build.finished_at,
    }
    release = Release.objects.create(**fields)
    Release.objects.filter(pk=release.pk).update(created_at=build.finished_at)
    return release


def _settle(app: Any, releases: list[Any], wanted: Wanted) -> None:
    if not releases:
        return
    last, serving = releases[-1], releases[-1]
    last.status = wanted.last_release
    if wanted.last_release == "failed":
        last.error = {
            "summary": "web.1 exited with 1 before it was ready",
            "hint": "read the end of its log, correct it and deploy again",
            "details": {"log": list(LOG)},
        }
    if wanted.last_release in ("failed", "starting"):
        last.live_at, serving = None, releases[-2]
    serving.status = "live"
    for release in (last, serving):
        release.save(update_fields=["status", "error", "live_at"])
    app.serving_release_id = serving.pk
    app.save()
    if app.name == "shop":
        _runs(app, serving)
        _volumes(app, serving)
    numbers: dict[str, int] = {}
    for kind, status, ready in wanted.containers:
        numbers[kind] = numbers.get(kind, 0) + 1
        _container(app, serving, kind, numbers[kind], status, ready)


def _volumes(app: Any, release: Any) -> None:
    """One that it mounts, and one that it did once."""
    Volume.objects.create(app=app, name="uploads", path="/var/lib/uploads", size_bytes=812 * MIB)
    Volume.objects.create(app=app, name="cache", path="/srv/cache")
    release.volumes = [["uploads", "/var/lib/uploads"]]
    release.save(update_fields=["volumes"])


def _runs(app: Any, release: Any) -> None:
    """The last of them is RUN."""
    commands: tuple[tuple[Any, str, int | None], ...] = (
        ("python manage.py clearsessions", "exited", 0),
        (["python", "-c", "print('<b>bold</b>')"], "exited", 1),
        ("python manage.py rebuild_index --all", "timed-out", 143),
        ("python manage.py migrate", "running", None),
    )
    for number, (command, status, code) in enumerate(commands, start=1):
        going = status == "running"
        Run.objects.create(
            id=RUN if going else f"{number:012x}",
            app=app,
            release=release,
            command=command,
            time_limit=3600,
            created_by=release.created_by,
            status=status,
            started_at=_now() - timedelta(seconds=40),
            finished_at=None if going else _now(),
            exit_code=code,
        )


def _container(app: Any, release: Any, kind: str, index: int, status: str, ready: bool) -> None:

    ended = status == "stopped"
    row = app.containers.create(
        tenant=app.tenant,
        release=release,
        kind="process",
        process_type=kind,
        index=index,
        status=status,
        ready=ready,
        memory_limit=256 * MIB,
        memory_bytes=0 if ended else random.randint(40, 230) * MIB,
        pids=random.randint(1, 9),
        cpu_millis=0 if ended else random.randint(1, 400),
        limits={"memory_bytes": 256 * MIB, "cpu_millis": 500, "pids": 256},
        log_dropped_bytes=3 * MIB if index == 2 else 0,
        started_at=_now() - timedelta(hours=5, minutes=3),
        sampled_at=_now(),
        stopped_at=_now() if ended else None,
        exit_code=137 if ended else None,
        oom_killed=ended,
        address=None if ended else random.randint(2, 60000),
    )
    path = settings.PATHS.container_log(row.pk)
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [
        "Listening on 0.0.0.0:8000",
        "\x1b[32mINFO\x1b[0m ready in 0.4 s",
        "<script>alert(1)</script> is text",
        "title \x1b]0;owned\x07 and \u202etxt.exe\u202c",
        *(f'10.0.0.{n % 9} "GET /products/{n} HTTP/1.1" 200' for n in range(60)),
    ]
    start = _now() - timedelta(minutes=5)
    lines = []
    for n, text in enumerate(texts):
        at = (start + timedelta(seconds=n, microseconds=index)).isoformat()
        lines.append(f"{at} {'stderr' if n == 1 else 'stdout'} F {text}\n")
    path.write_text("".join(lines))


def _now() -> datetime:

    return timezone.now()
