"""Every kind of lock file, built for real: what it names is there, what is only for development is not."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from paas.images import Store
from tests.e2e.platform import Platform, packed

# The tools' own packages are fetched as well, and Node's image where nobody has asked for it before.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
LOCKED = Path(__file__).with_name("locked")
PYTHON = """
import http.server, importlib.util, os
import iniconfig

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{iniconfig.__name__}, {importlib.util.find_spec('pluggy')}".encode())

http.server.HTTPServer(("", int(os.environ["PORT"])), Page).serve_forever()
"""
NODE = """
const ms = require("ms"), dev = require("fs").existsSync("node_modules/isarray");
require("http").createServer((_, answer) => answer.end(`${ms("2 days")}, ${dev}`)).listen(process.env.PORT);
"""
# Folder -> the lock file, and how the log names what installs by it.
KINDS = {
    "uv": ("uv.lock", "RUN uv sync --frozen"),
    "poetry": ("poetry.lock", "RUN uv pip install -r poetry.lock"),
    "pipenv": ("Pipfile.lock", "RUN uv pip install -r Pipfile.lock"),
    "npm": ("package-lock.json", "RUN npm ci"),
    "pnpm": ("pnpm-lock.yaml", "RUN npx --yes pnpm@9."),
    "yarn": ("yarn.lock", "RUN npx --yes yarn@1."),
    "berry": ("yarn.lock", "RUN npx --yes @yarnpkg/cli-dist@4."),
}


def is_for_node(name: str) -> bool:
    return (LOCKED / name / "package.json").exists()


@pytest.fixture(scope="module")
def deployed(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """All of them at once, as tenants would."""
    uv = tmp_path_factory.mktemp("uv")
    shutil.copy(LOCKED / "uv/pyproject.toml", uv)
    subprocess.run(["uv", "lock", "--quiet"], cwd=uv, check=True)  # its lock names the index: none is kept here

    def deploy(name: str) -> dict[str, Any]:
        folder = uv if name == "uv" else LOCKED / name
        python = {"app.py": PYTHON, "Procfile": "web: python app.py\n"}
        platform.create(f"by-{name}")
        app = packed(folder, **({"server.js": NODE} if is_for_node(name) else python))
        return platform.deploy(f"by-{name}", app, 400)

    with ThreadPoolExecutor(len(KINDS)) as pool:
        return dict(zip(KINDS, pool.map(deploy, KINDS), strict=True))


@pytest.mark.parametrize("name", KINDS)
def test_a_lock_is_installed_without_what_is_for_development(
    platform: Platform, deployed: dict[str, dict[str, Any]], name: str
) -> None:
    log, (lock, run) = platform.build_log(f"by-{name}"), KINDS[name]
    assert deployed[name]["status"] == "live", log
    assert run in log and any(lock in line for line in log.splitlines() if line.startswith("Read: ")), log
    said = platform.app(f"by-{name}").body.decode()
    assert said == ("172800000, false" if is_for_node(name) else "iniconfig, None")


@pytest.mark.parametrize("name", KINDS)
def test_nothing_of_the_tools_is_left_in_the_image(
    platform: Platform, deployed: dict[str, dict[str, Any]], name: str
) -> None:
    """Their caches are the tenant's own, beside the layers."""
    store = Store(Path(platform.environment["BERTH_STATE"]) / "store")
    runtime = store.image(store.resolve("berth/node:18" if is_for_node(name) else "debian:12"))
    own = [layer for layer in store.image(deployed[name]["image"]).layers if layer not in runtime.layers]
    for folder in map(store.layer_path, own):
        files = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
        assert {path.parts[0] for path in files} <= {"app"}
