"""Every buildpack for real: images made by the first build that needs them; apps built, served, changed.

RubyGems, Packagist and Go's proxy need not be reachable: those examples bring what they depend on. Of Debian
13, which is made here as well, one app is enough: its runtimes differ from Debian 12's only in versions.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import zipfile
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from paas.builder import BuildCancelled
from paas.errors import CommandFailed
from paas.images import Store
from paas.images.apt_layer import install
from paas.images.runtimes import Runtime, ensure
from tests.e2e.platform import ROOT, Platform, packed

# Seven builds, six images and a second Debian are one fixture: it takes longer than one test may.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]
EXAMPLES = ROOT / "examples"
BUILD_SECONDS = 600
# Example -> what its page holds, and one file with a change that shows on the page.
APPS = {
    "node-links": ("<h1>Short links", "server.js", "Short links", "Shorter links"),
    "vite-site": ("<title>Clock", "index.html", "<title>Clock", "<title>Wall clock"),
    "hello-go": ("Hello, world", "page.html", "Hello, ", "Good day, "),
    "hello-ruby": ("Hello, world", "app.rb", "Hello, ", "Good day, "),
    "hello-php": ("Hello, world", "packages/greeting/src/Greeting.php", "Hello, ", "Good day, "),
    "django-notes": ("<h1>Notes", "notes/templates/notes/index.html", "<h1>Notes", "<h1>Memos"),
}
TRIXIE = "on-trixie"


@pytest.fixture(scope="module")
def deployed(platform: Platform) -> dict[str, dict[str, Any]]:
    """All of them at once, as tenants would: makers of the same image wait for each other."""

    def deploy(name: str) -> dict[str, Any]:
        platform.create(name)
        if name == TRIXIE:
            return platform.deploy(
                name, packed(EXAMPLES / "hello-python", **{".python-version": "3.13"}), BUILD_SECONDS
            )
        return platform.deploy(name, packed(EXAMPLES / name), BUILD_SECONDS)

    with ThreadPoolExecutor(len(APPS) + 1) as pool:
        names = (TRIXIE, *APPS)
        return dict(zip(names, pool.map(deploy, names), strict=True))


@pytest.fixture(scope="module")
def store(platform: Platform) -> Store:
    return Store(Path(platform.environment["BERTH_STATE"]) / "store")


@pytest.mark.parametrize("name", APPS)
def test_an_example_is_built_and_serves(platform: Platform, deployed: dict[str, Any], name: str) -> None:
    assert deployed[name]["status"] == "live", (deployed[name], platform.build_log(name))
    answer = platform.app(name)
    assert answer.status == 200
    assert APPS[name][0] in answer.body.decode()


def test_a_version_of_debian_13(platform: Platform, deployed: dict[str, Any], store: Store) -> None:
    assert deployed[TRIXIE]["status"] == "live", platform.build_log(TRIXIE)
    assert platform.app(TRIXIE).status == 200
    log = platform.build_log(TRIXIE)
    assert "base image: installing essential packages" in log
    assert "Using CPython 3.13" in log
    assert store.resolve("python:3") == store.resolve("python:3.11")


def test_an_image_is_said_to_be_made_once(platform: Platform, deployed: dict[str, Any], store: Store) -> None:
    said = "".join(platform.build_log(name) for name in APPS)
    for image in ("berth/node:18", "berth/php:8.2", "berth/php:8.2-build", "berth/ruby:3.1", "berth/go:1.19"):
        assert said.count(f"{image} is not on this machine yet") == 1, image
        base, *rest = store.image(store.resolve(image)).layers
        assert [base] == list(store.image(store.resolve("debian:12")).layers)
        assert len(rest) == 1 + image.endswith("-build")


def test_nothing_of_the_host_is_in_a_runtime(deployed: dict[str, Any], store: Store) -> None:
    for image in ("berth/node:18", "berth/php:8.2"):
        layer = store.layer_path(store.image(store.resolve(image)).layers[-1])
        assert not (layer / "usr/sbin/policy-rc.d").exists()
        assert not (layer / "etc/resolv.conf").exists()
        for folder in ("dev", "proc", "tmp", "var/log", "var/lib/apt/lists", "var/cache/apt"):
            assert not (layer / folder).exists() or not any((layer / folder).iterdir()), folder


@pytest.mark.parametrize(
    ("name", "cached"), [("node-links", 2), ("hello-php", 4), ("hello-ruby", 4), ("hello-go", 1)]
)
def test_a_changed_source_installs_nothing_again(
    platform: Platform, deployed: dict[str, Any], name: str, cached: int
) -> None:
    _, file, before, after = APPS[name]
    text = (EXAMPLES / name / file).read_text().replace(before, after)
    if name == "hello-php":  # its local package is a dependency; the page itself is source
        file, text = "public/index.php", "<?php echo 'Good day, PHP';"
        after = "Good day, "
    assert platform.deploy(name, packed(EXAMPLES / name, **{file: text}))["status"] == "live"
    assert after in platform.app(name).body.decode()
    log = platform.build_log(name)
    assert log.count(": cached\n") == cached, log
    assert log.count("\nStep ") - log.count(": cached\n") == (4 if name == "hello-go" else 1), log


GREETING = {"go.mod": "module example.org/greeting\n", "greeting.go": 'package greeting\n\nconst Word = "Hi"\n'}
GO_MAIN = """package main

import "example.org/greeting"
import "net/http"
import "os"

func answer(out http.ResponseWriter, _ *http.Request) { out.Write([]byte(greeting.Word + "%s")) }

func main() { http.ListenAndServe(":"+os.Getenv("PORT"), http.HandlerFunc(answer)) }
"""
# What `go mod download` would have left for every app of the tenant, had an index been reachable.
SEED = """FROM python:3
USER 1000:1000
COPY . /seed
RUN --mount=type=cache,id=go,target=/var/cache/go,uid=1000,gid=1000 cp -r /seed/modules /var/cache/go/
EXPOSE 8000
CMD ["python3", "-m", "http.server", "8000"]
"""


def test_go_modules_are_a_layer_filled_from_the_tenants_cache(
    platform: Platform, deployed: dict[str, Any], tmp_path: Path
) -> None:
    sums = module_in_cache(tmp_path / "modules/cache/download", "example.org/greeting", GREETING)
    platform.create("modules")
    assert platform.deploy("modules", packed(tmp_path, Dockerfile=SEED))["status"] == "live"
    (tmp_path / "app").mkdir()
    require = "module example.org/app\n\ngo 1.19\n\nrequire example.org/greeting v1.0.0\n"
    for mark, how in (("!", ""), ("?", ": cached")):
        files = {"go.mod": require, "go.sum": sums, "main.go": GO_MAIN % mark}
        assert platform.deploy("modules", packed(tmp_path / "app", **files))["status"] == "live"
        assert platform.app("modules").body.decode() == f"Hi{mark}"
        assert f"\nStep 4/8 RUN go mod download{how}\n" in platform.build_log("modules")


def module_in_cache(folder: Path, name: str, files: dict[str, str]) -> str:
    """Version 1.0.0 as in GOMODCACHE/cache/download; gives its lines of go.sum. See https://go.dev/ref/mod."""
    versions = folder / name / "@v"
    versions.mkdir(parents=True)
    with zipfile.ZipFile(versions / "v1.0.0.zip", "w") as archive:
        for path, text in files.items():
            archive.writestr(f"{name}@v1.0.0/{path}", text)
    whole = go_hash({f"{name}@v1.0.0/{path}": text for path, text in files.items()})
    for end, text in (("info", '{"Version": "v1.0.0"}'), ("mod", files["go.mod"]), ("ziphash", whole)):
        (versions / f"v1.0.0.{end}").write_text(text)
    return f"{name} v1.0.0 {whole}\n{name} v1.0.0/go.mod {go_hash({'go.mod': files['go.mod']})}\n"


def go_hash(files: dict[str, str]) -> str:
    lines = (f"{sha256(text.encode()).hexdigest()}  {path}\n" for path, text in sorted(files.items()))
    return "h1:" + b64encode(sha256("".join(lines).encode()).digest()).decode()


def test_djangos_static_files_are_served(platform: Platform, deployed: dict[str, Any]) -> None:
    page = platform.app("django-notes").body.decode()
    style = page.partition('href="')[2].partition('"')[0]
    assert style.startswith("/static/notes/style.") and style != "/static/notes/style.css"
    assert "font-family" in platform.app("django-notes", style).body.decode()


def test_php_serves_only_its_public_folder_and_starts_again(
    platform: Platform, deployed: dict[str, Any]
) -> None:
    kill = "<?php posix_kill(posix_getppid(), SIGKILL);"
    files = {"public/index.php": "<?php echo getmypid();", "public/kill.php": kill, "public/.env": "secret"}
    assert platform.deploy("hello-php", packed(EXAMPLES / "hello-php", **files))["status"] == "live"
    for path in ("/.env", "/composer.json", "/vendor/autoload.php", "/../composer.json"):
        assert platform.app("hello-php", path).status in (400, 404), path
    assert platform.app("hello-php").body.isdigit()
    assert platform.app("hello-php", "/kill.php").status >= 500
    end = time.monotonic() + 60
    while platform.app("hello-php").status != 200:  # php-fpm's end is the container's, which is restarted
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_package_that_debian_does_not_have(store: Store) -> None:
    base = store.image(store.resolve("debian:12"))
    with pytest.raises(CommandFailed, match="Unable to locate package no-such-package"):
        install(store, base.layers, ("no-such-package",), log=lambda line: None)
    assert list((store.root / "making").glob(".new-*")) == []
    assert str(store.root / "making") not in Path("/proc/self/mountinfo").read_text()


def test_a_maker_whose_only_build_is_cancelled_leaves_nothing(store: Store) -> None:
    said: list[str] = []

    def look() -> None:
        if any("to fetch" in line for line in said):
            raise BuildCancelled("the build was cancelled")

    before = set((store.root / "layers").iterdir())
    with pytest.raises(BuildCancelled):
        ensure(store, Runtime("unwanted", "1", (1, 0), "bookworm", ("hello",)), log=said.append, look=look)
    assert "berth/unwanted:1" not in store.tags() and set((store.root / "layers").iterdir()) == before
    assert list((store.root / "making").glob(".new-*")) == []
    assert str(store.root / "making") not in Path("/proc/self/mountinfo").read_text()


MAKE = """
import sys
from pathlib import Path
from paas.images import Store
from paas.images.runtimes import Runtime, ensure
small = Runtime("small", "1", (1, 0), "bookworm", ("hello",))
again = len(sys.argv) > 2
ensure(Store(Path(sys.argv[1])), small, rebuild=again, log=lambda line: print(line, flush=True))
"""


def test_a_maker_that_is_killed_leaves_the_store_as_it_was(store: Store) -> None:
    layers = set((store.root / "layers").iterdir())
    argv = [sys.executable, "-c", MAKE, str(store.root)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout and "is not on this machine yet" in maker.stdout.readline()
        assert "to fetch" in maker.stdout.readline()
        maker.send_signal(signal.SIGKILL)
    assert "berth/small:1" not in store.tags()
    assert {path for path in (store.root / "layers").iterdir() if not path.name.startswith(".")} == layers
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    top = store.image(store.resolve("berth/small:1")).layers[-1]
    assert (store.layer_path(top) / "usr/bin/hello").is_file()
    assert _output(argv) == ""
    assert _output([*argv, "again"]).startswith("berth/small:1 is made again\n")


def _output(argv: list[str]) -> str:
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout
