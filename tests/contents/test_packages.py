from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from paas.contents import Package, Stack, packages
from paas.contents.bill import Provenance, bill, slsa
from paas.specs import BuiltStage, Recipe
from tests.contents.conftest import Layer

STATUS = """\
Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7
Description: a shell
 Status: install ok installed

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0
"""
SITE = "app/.venv/lib/python3.11/site-packages"


def found(*folders: Path, live: bool = False) -> list[tuple[str, str, str]]:
    with Stack(folders, live=live) as stack:
        return [(p.ecosystem, p.name, p.version) for p in packages(stack)]


def test_each_ecosystem(layer: Layer) -> None:
    base = layer({"var/lib/dpkg/status": STATUS})
    app = layer(
        {
            f"{SITE}/flask-3.1.0.dist-info/METADATA": "Name: Flask\nVersion: 3.1.0\n\nBody: Version: 9\n",
            "app/node_modules/ms/package.json": '{"name": "ms", "version": "2.1.3"}',
            "app/node_modules/@scope/x/package.json": '{"name": "@scope/x", "version": "1.0.0"}',
            "app/node_modules/ms/node_modules/in/package.json": '{"name": "in", "version": "0.1.0"}',
            "app/node_modules/.bin/tool": "not a package",
        }
    )
    assert found(base, app) == [
        ("deb", "bash", "5.2.15-2+b7"),
        ("npm", "@scope/x", "1.0.0"),
        ("npm", "in", "0.1.0"),
        ("npm", "ms", "2.1.3"),
        ("pypi", "Flask", "3.1.0"),
    ]


def test_what_a_later_layer_removed_or_replaced(layer: Layer) -> None:
    one = layer(
        {
            f"{SITE}/a-1.dist-info/METADATA": "Name: a\nVersion: 1\n",
            f"{SITE}/b-1.dist-info/METADATA": "Name: b\nVersion: 1\n",
        }
    )
    other = layer({f"{SITE}/a-1.dist-info": None, f"{SITE}/b-1.dist-info/METADATA": "Name: b\nVersion: 1.1\n"})
    assert found(one, other) == [("pypi", "b", "1.1")]


def test_descriptions_that_are_none(layer: Layer) -> None:
    strange = {
        "a": "[]",
        "b": "{",
        "c": '{"name": 1, "version": "1"}',
        "d": '{"name": "d"}',
        "e": "[" * 100_000,
    }
    assert found(layer({f"node_modules/{name}/package.json": text for name, text in strange.items()})) == []


def test_a_status_file_that_is_not_dpkgs(layer: Layer) -> None:
    mine = "Status: install ok installed\n\nPackage: nothing\nStatus: install ok installed\n\nVersion: 1\n\n"
    assert found(layer({"var/lib/dpkg/status": mine + STATUS})) == [("deb", "bash", "5.2.15-2+b7")]


def test_a_name_that_cannot_be_written_is_replaced(layer: Layer) -> None:
    folder = layer({"node_modules/x/package.json": '{"name": "x\\ud800", "version": "1"}'})
    with Stack([folder]) as stack:
        assert [package.purl for package in packages(stack)] == ["pkg:npm/x%3F@1"]


def test_a_live_folder_is_looked_at_each_time(layer: Layer) -> None:
    base, upper = layer({"a": "1"}), layer({"b": "2"})
    assert found(base, upper, live=True) == []
    folder = upper / "node_modules" / "late"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"name": "late", "version": "1.0.0"}')
    assert found(base, upper, live=True) == [("npm", "late", "1.0.0")]


def test_this_pythons_own_packages_as_pip_lists_them() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    site = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    ours = {name.lower().replace("_", "-") for _, name, _ in found(site.parent)}
    if listed.returncode == 0:
        assert {row["name"].lower().replace("_", "-") for row in json.loads(listed.stdout)} <= ours
    assert {"django", "pytest"} <= ours


def test_the_bill_is_valid_cyclonedx() -> None:
    deb = Package("deb", "libc++1", "1:14.0+b1", "amd64")
    twice = [Package("npm", "@scope/x", "1.0.0", place=f"app/{place}") for place in ("a", "b")]
    made = Provenance("sha256:" + "a" * 64, "sha256:" + "b" * 64, "python", "0.1.0", (("RUN x", ""),))
    document = bill("demo/hello", "sha256:" + "c" * 64, [deb, *twice], made, version="0.2.0")
    assert {fact["name"]: fact["value"] for fact in document["metadata"]["properties"]} == {
        "berth:source": made.source,
        "berth:base": made.base,
        "berth:builder": "python",
        "berth:builder-version": "0.1.0",
        "berth:step:1": "RUN x",
    }
    assert [part["purl"] for part in document["components"]] == [
        "pkg:deb/debian/libc%2B%2B1@1:14.0%2Bb1?arch=amd64",
        "pkg:npm/%40scope/x@1.0.0",
        "pkg:npm/%40scope/x@1.0.0",
    ]
    errors = _validate(document)
    assert errors is None, errors


def test_provenance_names_all_images_that_an_image_is_made_from() -> None:
    source, base, tools = (f"sha256:{letter * 64}" for letter in "abc")
    images = (("debian:12", base), ("tools:1", tools))
    body = slsa(Provenance(source, base, "dockerfile", "0.1.0", (("RUN x", ""),), images=images))
    assert body["buildDefinition"]["resolvedDependencies"] == [
        {"name": "source", "digest": {"sha256": "a" * 64}},
        {"name": "base", "digest": {"sha256": "b" * 64}, "annotations": {"image": "debian:12"}},
        {"name": "tools:1", "digest": {"sha256": "c" * 64}},
    ]
    assert body["runDetails"]["builder"] == {"id": "berth:dockerfile", "version": {"berth": "0.1.0"}}


def test_provenance_names_each_stage_with_its_base_and_what_was_asked_for() -> None:
    stages = (
        BuiltStage("build", "node:20", "sha256:" + "a" * 64, ("COPY . .", "RUN npm install")),
        BuiltStage("1", "build", steps=("ENV A=b",)),
    )
    recipe = Recipe(stages, args=(("MODE", "fast"),), target="final")
    layers = (("ENV A=b", "sha256:" + "d" * 64),)
    body = slsa(Provenance("", "", "dockerfile", "0.1.0", layers, recipe=recipe))
    assert body["buildDefinition"]["externalParameters"] == {
        "target": "final",
        "buildArgs": {"MODE": "fast"},
        "stages": [
            {
                "name": "build",
                "base": {"name": "node:20", "digest": {"sha256": "a" * 64}},
                "steps": ["COPY . .", "RUN npm install"],
            },
            {"name": "1", "base": {"name": "build"}, "steps": ["ENV A=b"]},
        ],
    }


def test_provenance_of_a_build_of_which_no_stages_are_known_names_the_steps_of_its_layers() -> None:
    body = slsa(Provenance("", "", "python", "0.1.0", (("RUN x", ""),)))
    assert body["buildDefinition"]["externalParameters"] == {"steps": ["RUN x"]}


def test_provenance_of_a_commit_names_the_image_below_and_whose_changes() -> None:
    body = slsa(Provenance("", "sha256:" + "b" * 64, "commit", "", changes_of="web.1 of v3"))
    assert body == {
        "buildDefinition": {
            "buildType": "berth:layers",
            "externalParameters": {"steps": [], "changesOf": "web.1 of v3"},
            "resolvedDependencies": [{"name": "base", "digest": {"sha256": "b" * 64}}],
        },
        "runDetails": {"builder": {"id": "berth:commit"}, "metadata": {}},
    }


def _validate(document: dict[str, object]) -> object:
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415 - heavy
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))
