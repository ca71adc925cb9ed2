"""`berth image` and `berth diff` against a real server that knows the answers already."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tenants.apps.actions import create_app
from tenants.inspections.models import Inspection
from tenants.releases.models import Build
from tests.cli.berth import Berth
from tests.web.cast import LAYER, Cast, released
from tests.web.seed_inside import ANSWERS, CONFIG, FILE, LONG

APP = ("--app", "demo/shop")
NOTHING: dict[str, Any] = {"files": [], "more": 0, "packages": [], "configs": [{}, {}]}


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
        "healthcheck interval 30 s",
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


def test_a_release_is_compared_with_its_base(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.viewer)
    assert "nothing is known of an image that its own stands on" in berth.run("diff", "base", *APP).stderr
    release = cast.app.releases.get()
    Build.objects.filter(pk=release.build_id).update(base=LAYER)
    configs = [{}, {"shell": ["/bin/bash", "-c"]}]
    same = {"app": cast.app, "release": release, "kind": "base", "status": "answered"}
    Inspection.objects.create(answer={**NOTHING, "configs": configs}, **same)
    for words in (("base",), ("base", "v1")):
        assert berth.run("diff", *words, *APP).stdout == "image: Shell: none -> /bin/bash -c\n"


def test_a_difference_of_files_is_told_with_what_was_and_what_is(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.viewer)
    release = cast.app.releases.get()
    Build.objects.filter(pk=release.build_id).update(base=LAYER)
    link = {**FILE, "kind": "link", "target": "releases/7"}
    changes = [
        ("a", ["content", "mode"], FILE, {**FILE, "mode": "0640"}),
        ("b", ["mode", "owner"], FILE, {**FILE, "mode": "0600", "owner": "0:0"}),
        ("c", ["content"], FILE, {**FILE, "size": 2481}),
        ("d", [], None, link),
        ("e", ["target"], link, {**link, "target": "releases/8"}),
        ("f", ["kind", "target"], FILE, link),
        ("g", [], FILE, None),
        ("h", [], None, FILE),
    ]
    files = [
        {
            "path": path,
            "what": "added" if before is None else "removed" if after is None else "changed",
            "aspects": aspects,
            "before": before,
            "after": after,
            "text": "-a" if path == "a" else "",
        }
        for path, aspects, before, after in changes
    ]
    answer = {**NOTHING, "files": files}
    Inspection.objects.create(app=cast.app, release=release, kind="base", status="answered", answer=answer)
    assert berth.run("diff", "base", *APP).stdout.splitlines() == [
        "~ /a (content, mode 0644 -> 0640)",
        "    -a",
        "~ /b (mode 0644 -> 0600, owner 1000:1000 -> 0:0)",
        "~ /c (content, 2,480 -> 2,481 bytes)",
        "+ /d -> releases/7",
        "~ /e (target releases/7 -> releases/8)",
        "~ /f (kind file -> link, target none -> releases/7)",
        "- /g (2,480 bytes)",
        "+ /h (2,480 bytes)",
    ]


def test_no_name_forges_a_line(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.viewer)
    release = cast.app.releases.get()
    Build.objects.filter(pk=release.build_id).update(base=LAYER)
    link = {**FILE, "kind": "link", "target": "a\r\u202eb"}
    change: dict[str, Any] = {"what": "added", "aspects": [], "before": None, "after": FILE}
    files = [
        {**change, "path": "x\n- /etc/shadow", "text": "+\x1b[31mred\tand\u200bblue"},
        {**change, "path": "a\tb\udcff\u2028", "after": link, "text": ""},
    ]
    package = {"ecosystem": "npm", "name": "p\n- /etc/passwd", "place": "", "before": None, "after": "1\x1b[2J"}
    answer = {**NOTHING, "files": files, "packages": [package]}
    Inspection.objects.create(app=cast.app, release=release, kind="base", status="answered", answer=answer)
    assert berth.run("diff", "base", *APP).stdout.splitlines() == [
        r"npm p\n- /etc/passwd: none -> 1\x1b[2J",
        r"+ /x\n- /etc/shadow",
        "    +\\x1b[31mred\tand\\u200bblue".expandtabs(),
        r"+ /a\tb\xff\u2028 -> a\r\u202eb",
    ]
    file = {"path": "x\n- /etc/shadow", **FILE}
    Inspection.objects.filter(kind="layer").update(answer={"files": [file], "more": 0})
    shown = berth.run("image", "--files", *APP).stdout.splitlines()
    assert shown[1:] == [r"0644   1000:1000       2,480 /x\n- /etc/shadow"]


def test_a_release_is_compared_with_one_of_another_app(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.viewer)
    mill = released(create_app(actor=cast.owner, tenant=cast.tenant, name="mill"), cast.developer)
    shop = cast.app.releases.get()
    for after, before in ((shop, mill), (mill, shop)):
        Inspection.objects.create(
            app=after.app, release=after, before=before, kind="releases", status="answered", answer=NOTHING
        )
    for words, before in ((("mill:v1",), mill), (("mill:v1", "v1"), mill), (("v1", "mill:v1"), shop)):
        told = json.loads(berth.run("diff", *words, "--json", *APP).stdout)
        assert (told["before_app"], told["before"]) == (before.app.name, 1), words
    assert "there is no release before" in berth.run("diff", *APP).stderr
    assert "there is no app demo/blog here" in berth.run("diff", "blog:v1", *APP).stderr
