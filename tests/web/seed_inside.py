"""Answers about the inside of the seeded shop, as a worker would give them."""

from __future__ import annotations

from typing import Any

from tenants.apps.models import App
from tenants.inspections.models import Inspection

FILE = {"kind": "file", "mode": "0644", "owner": "1000:1000", "size": 2480, "target": ""}
LONG = "app/" + "a-folder-with-a-long-name/" * 6 + "file.py"
TEXT = "@@ -1,3 +1,3 @@\n import os\n-print('<b>old</b>')\n+print('new', " + "'x' * 80, " * 12 + ")\n"
PACKAGES = [
    {
        "ecosystem": "deb",
        "name": f"lib{name}",
        "version": "1:2.36-9+deb12u9",
        "architecture": "amd64",
        "place": "",
    }
    for name in ("c6", "ssl3", "sqlite3-0", "an-uncommonly-long-name-for-a-package-of-debian")
] + [
    {"ecosystem": "pypi", "name": "Flask", "version": "3.1.2", "architecture": "", "place": "app/.venv"},
    {"ecosystem": "npm", "name": "@scope/tool", "version": "1.0.0-rc.1", "architecture": "", "place": "app"},
]
DIFFERENCE = {
    "files": [
        {"path": LONG, "what": "changed", "aspects": ["content", "mode"], "before": {**FILE, "mode": "0755"},
         "after": FILE, "text": TEXT},
        {"path": "app/current", "what": "added", "aspects": [], "before": None,
         "after": {**FILE, "kind": "link", "size": 0, "target": "releases/7"}, "text": ""},
        {"path": "app/table.css", "what": "changed", "aspects": ["content"], "before": {**FILE, "size": 2481},
         "after": FILE, "text": ""},
        {"path": "app/new.css", "what": "added", "aspects": [], "before": None, "after": FILE, "text": ""},
        {"path": "app/old.py", "what": "removed", "aspects": [], "before": FILE, "after": None, "text": ""},
    ],
    "more": 12,
    "packages": [
        {"ecosystem": "pypi", "name": "Flask", "place": "app/.venv", "before": "3.1.1", "after": "3.1.2"},
        {"ecosystem": "npm", "name": "left-pad", "place": "app", "before": None, "after": "1.3.0"},
    ],
}  # fmt: skip
BUILT = "sha256:" + "2" * 64
LAYERS = [
    {"diff_id": "sha256:" + "1" * 64, "instruction": "mmdebstrap bookworm ca-certificates python3 nginx",
     "size": 143 << 20, "files": 8398, "others": 11},
    {"diff_id": BUILT, "instruction": "RUN uv pip install -r requirements.txt", "size": 18 << 20,
     "files": 1204, "others": 0},
]  # fmt: skip
CONFIG = {
    "env": [["PATH", "/usr/local/bin:/usr/bin:/bin"], ["DATABASE_URL", "postgresql://shop:••••••@db/shop"]],
    "entrypoint": [], "cmd": ["gunicorn", "app:app"], "shell": ["/bin/bash", "-o", "pipefail", "-c"],
    "workdir": "/app", "user": "1000:1000",
    "exposed_ports": ["8000/tcp", "9000/udp"], "volumes": ["/var/lib/shop"], "stop_signal": "SIGTERM",
    "labels": [["org.opencontainers.image.source", "https://example.org/<b>shop</b>"]],
    "healthcheck": {"test": ["CMD-SHELL", "curl -f http://127.0.0.1:8000/"], "interval": 30.0},
}  # fmt: skip
PROVENANCE: dict[str, Any] = {
    "source": "sha256:" + "3" * 64, "base": "sha256:" + "4" * 64, "builder": "python", "version": "0.1.0",
    "steps": [[layer["instruction"], layer["diff_id"]] for layer in LAYERS],
    "built_at": "2026-11-26T20:00:00+00:00",
    "images": [["berth/python:3.11", "sha256:" + "4" * 64], ["debian:12", "sha256:" + "5" * 64]],
    "changes_of": "",
    "recipe": {
        "stages": [
            {"name": "build", "base": "debian:12", "digest": "sha256:" + "5" * 64, "steps": ["RUN make"]},
            {"name": "1", "base": "berth/python:3.11", "digest": "sha256:" + "4" * 64,
             "steps": ["ENV A=b", "COPY --from=build /out /app", "RUN uv pip install -r requirements.txt"]},
        ],
        "args": [["VERSION", "7"]], "target": "final",
    },
}  # fmt: skip
ANSWERS: dict[str, dict[str, Any] | None] = {
    "image": {"layers": LAYERS, "packages": PACKAGES, "provenance": PROVENANCE, "config": CONFIG,
              "bill": {"bomFormat": "CycloneDX"}},
    "layer": {
        "files": [{"path": "app", **FILE, "kind": "folder"}, {"path": LONG, **FILE},
                  {"path": "etc/motd", "kind": "removed"}],
        "more": 0,
    },
    "releases": {**DIFFERENCE, "configs": [{**CONFIG, "labels": [], "volumes": []}, CONFIG]},
    "container": {"files": [], "more": 0, "packages": []},
}  # fmt: skip
QUEUED, FAILED = "feed00000001", "feed00000002"
PATHS = [f"/t/acme/shop/inspections/{kind:0>12}/" for kind in (*ANSWERS, QUEUED, FAILED)]


def fill() -> None:
    app = App.objects.get(tenant__slug="acme", name="shop")
    after, before = app.releases.all()[:2]
    before.config, after.config = {"TOKEN": "one"}, {"TOKEN": "two", "COLOUR": "blue"}
    before.save()
    after.save()
    container = app.containers.filter(status="running").first()
    error = {"summary": "layer sha256:1 is not in the image store any more", "hint": "build it again: deploy"}
    for kind, answer in ANSWERS.items():
        Inspection.objects.create(
            id=f"{kind:0>12}",
            app=app,
            kind=kind,
            release=after,
            before=before if kind == "releases" else None,
            container=container if kind == "container" else None,
            layer=BUILT if kind == "layer" else "",
            status="answered",
            answer=answer,
        )
    Inspection.objects.create(id=QUEUED, app=app, kind="image", release=before)
    Inspection.objects.create(id=FAILED, app=app, kind="image", release=before, status="failed", error=error)
