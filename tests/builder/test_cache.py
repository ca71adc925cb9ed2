"""What is built again, and what is not."""

from __future__ import annotations

import os

import pytest

from paas import __version__
from paas.errors import BadInput
from tests.builder.conftest import Bench

pytestmark = pytest.mark.kernel
SITE: dict[str, str | bytes] = {"index.html": "<h1>one</h1>", "style.css": "h1 {}"}
STEPS: dict[str, str | bytes] = {
    "Dockerfile": "FROM debian:12\nWORKDIR /app\nCOPY lock .\nCOPY src src/\nENV A=1\nCMD x",
    "lock": "1",
    "src/a": "a",
}


def test_the_same_source_again_is_all_cached(bench: Bench) -> None:
    first, overlays = bench.build(STEPS), bench.sandbox.calls
    again = bench.build(STEPS)
    assert again.image == first.image
    assert (first.steps_cached, again.steps_cached, again.steps_total) == (0, 3, 3)
    assert bench.sandbox.calls == overlays
    assert bench.text.count(": cached\n") == 3


def test_a_change_makes_only_what_follows_it_anew(bench: Bench) -> None:
    first = bench.build(STEPS)
    changed = bench.build({**STEPS, "src/a": "b"})
    assert changed.steps_cached == 2
    assert changed.image.layers[:-1] == first.image.layers[:-1]
    assert bench.read(changed.image, "app/src/a") == "b"
    assert bench.build({**STEPS, "lock": "2"}).steps_cached == 1


def test_times_do_not_count_but_modes_and_links_do(bench: Bench) -> None:
    source = bench.source({**STEPS, "src/l@": "a"})
    bench.build(source)
    os.utime(source / "src/a", (1, 1))
    assert bench.build(source).steps_cached == 3
    (source / "src/a").chmod(0o755)
    assert bench.build(source).steps_cached == 2
    (source / "src/l").unlink()
    (source / "src/l").symlink_to("b")
    assert bench.build(source).steps_cached == 2


def test_a_tenants_cache_is_its_own(bench: Bench) -> None:
    first = bench.build(STEPS)
    other = bench.build(bench.folder / "source1", tenant_id="ffffffffffff")
    assert other.steps_cached == 0
    assert other.image == first.image  # the same files are the same layer, stored once


def test_a_step_without_a_change_makes_no_layer(bench: Bench) -> None:
    """Overlayfs takes no layer twice, so a step that is repeated moves its layer to the top."""
    lines = ["FROM debian:12", "WORKDIR /app", "COPY a /x", "COPY b /x", "COPY a /x", "WORKDIR /app", "CMD x"]
    source = bench.source({"Dockerfile": "\n".join(lines), "a": "A", "b": "B"})
    os.utime(source / "a", (1, 1))
    image = bench.build(source).image
    assert len(image.layers) == 3
    assert bench.read(image, "x") == "A"
    history = bench.store.history(image.digest)
    assert sum(not step.empty_layer for step in history) == len(image.layers)
    assert len(history) == len(["base", *lines[1:]])


def test_the_history_has_what_only_sets_something_in_its_place(bench: Bench) -> None:
    below = "FROM debian:12 AS a\nENV A=1\nCOPY lock /\n"
    body = below + "FROM a\nUSER app\nLABEL a=b\nCOPY src /src\nEXPOSE 80\nCMD x"
    made = bench.build({**STEPS, "Dockerfile": body})
    said = [(step.created_by, step.empty_layer) for step in bench.store.history(made.image.digest)]
    assert said[1:] == [
        ("ENV A=1", True), ("COPY lock /", False), ("USER app", True), ("LABEL a=b", True),
        ("COPY src /src", False), ("EXPOSE 80", True), ("CMD x", True),
    ]  # fmt: skip
    again = bench.build({**STEPS, "Dockerfile": body.replace("A=1", "A=2")})
    assert (again.steps_cached, again.steps_total) == (2, 2), "no COPY asks what was set"


def test_stages_and_scratch(bench: Bench) -> None:
    files: dict[str, str | bytes] = {
        "Dockerfile": 'FROM debian:12 AS a\nCOPY f /f\nFROM scratch\nCOPY --from=a /f /g\nCMD ["/g"]',
        "f": "F",
    }
    report = bench.build(files)
    image = report.image
    assert report.base == ""
    assert bench.read(image, "g") == "F"
    assert bench.build(files).steps_cached == 2
    assert not set(image.layers) & set(bench.store.image(bench.store.resolve("debian:12")).layers)


def test_a_report_says_what_its_image_stands_on(bench: Bench) -> None:
    base = bench.store.resolve("debian:12")
    copied: dict[str, str | bytes] = {
        "Dockerfile": "FROM debian:12 AS a\nCOPY f /f\nFROM a\nCOPY f /g\nCMD x",
        "f": "",
    }
    report = bench.build(copied)
    assert (report.base, report.builder_version) == (base, __version__)
    assert bench.build(SITE).base == base


def test_too_many_layers_are_refused(bench: Bench) -> None:
    lines = "\n".join(f"COPY a /{n}" for n in range(70))
    with pytest.raises(BadInput, match=r"Dockerfile, line 61: COPY a /59: the image has 60 layers already"):
        bench.build({"Dockerfile": f"FROM debian:12\n{lines}\nCMD x", "a": ""})


def test_a_static_site_from_source_to_report(bench: Bench) -> None:
    report = bench.build(
        {**SITE, ".git/config": "secret", "404.html": "", "berth.toml": "[build]\nfallback='index.html'"}
    )
    assert report.builder == "static"
    assert report.image.stop_signal == "SIGQUIT"
    assert report.image.user == "1000:1000"
    assert bench.read(report.image, "srv/site/index.html") == "<h1>one</h1>"
    top = bench.store.layer_path(report.image.layers[-1])
    assert sorted(path.name for path in (top / "srv/site").iterdir()) == ["404.html", "index.html", "style.css"]
    config = bench.read(report.image, "etc/berth/nginx.conf")
    assert 'try_files $uri $uri/ "/index.html";' in config
    assert "error_page 404 /404.html;" in config
    assert bench.text.startswith(
        "Read: berth.toml\nBuilder: static (there is index.html)\nLeft out: .git, berth.toml\n"
    )
    assert "Step 1/1 COPY . /srv/site/\n  done in " in bench.text
