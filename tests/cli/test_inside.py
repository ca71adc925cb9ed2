"""`berth image` against a real server that knows the answers already."""

from __future__ import annotations

import json

import pytest

from tenants.inspections.models import Inspection
from tests.cli.berth import Berth
from tests.web.cast import LAYER, Cast
from tests.web.seed_inside import ANSWERS, CONFIG, LONG

APP = ("--app", "demo/shop")


@pytest.fixture(autouse=True)
def answered(cast: Cast) -> None:
    """Of an image of the one layer that the cast's has."""
    release, image = cast.app.releases.get(), ANSWERS["image"] or {}
    layers = [{**image["layers"][0], "diff_id": LAYER}]
    same = {"app": cast.app, "release": release, "status": "answered"}
    Inspection.objects.create(kind="image", answer={**image, "layers": layers}, **same)
    Inspection.objects.create(kind="layer", layer=LAYER, answer=ANSWERS["layer"], **same)


def test_the_config_of_an_image(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.viewer)
    lines = berth.run("image", "v1", "--config", *APP).stdout.splitlines()
    assert {
        "ports 8000/tcp 9000/udp",
        "volumes /var/lib/shop",
        "healthcheck test CMD-SHELL curl -f http://127.0.0.1:8000/",
        "ENV PATH /usr/local/bin:/usr/bin:/bin",
        "LABEL org.opencontainers.image.source https://example.org/<b>shop</b>",
    } <= {" ".join(line.split()) for line in lines}
    told = json.loads(berth.run("image", "v1", "--json", *APP).stdout)
    assert told["answer"]["config"] == CONFIG


def test_the_files_of_each_layer(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.viewer)
    for words in (("--files",), ("--layer", LAYER[7:15])):
        lines = berth.run("image", *words, *APP).stdout.splitlines()
        assert lines == [
            f"{LAYER[7:19]}:",
            "0644   1000:1000       2,480 /app/",
            f"0644   1000:1000       2,480 /{LONG}",
            "- /etc/motd",
        ]
    (told,) = json.loads(berth.run("image", "--files", "--json", *APP).stdout)
    assert told["layer"] == LAYER and len(told["files"]) == 3 and told["more"] == 0
    wrong = berth.run("image", "--layer", "nonsense", *APP)
    assert wrong.returncode == 1 and "no layer begins with 'nonsense'" in wrong.stderr
