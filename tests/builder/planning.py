"""Plans without a build: the store has a name for every image that there could be, and nothing is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from paas.builder.build import make_plan, read_inputs
from paas.builder.buildpacks import Bases
from paas.builder.log import BuildLog
from paas.builder.plan import FilesStep, Plan, RunStep
from paas.builder.processes import formation
from paas.builder.tree import Tree
from paas.images import Store
from paas.images.base import SUITES
from paas.images.runtimes import RUNTIMES
from paas.oci.config import ImageConfig
from paas.specs import ProcessSpec

# As Debian had them on one day, each with the package that a language's version is read from.
PACKAGES = {
    "bookworm": {
        "python3": "3.11.2-1+b1",
        "python3.11": "3.11.2-6+deb12u6",
        "nodejs": "18.20.4+dfsg-1~deb12u1",
        "php8.2-cli": "8.2.29-1~deb12u1",
        "ruby3.1": "3.1.2-7+deb12u1",
        "golang-go": "2:1.19~1",
        "golang-1.19-go": "1.19.8-2",
    },
    "trixie": {
        "python3.13": "3.13.5-2",
        "nodejs": "20.19.2+dfsg-1",
        "php8.4-cli": "8.4.11-1~deb13u1",
        "ruby3.3": "3.3.8-2",
        "golang-1.24-go": "1.24.4-1",
    },
}
_RECORD = "Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\n"


def store_with_names(folder: Path) -> Store:
    """Every base and runtime is "there", as one layer that holds no more than dpkg's record of its suite."""
    store = Store(folder / "store")
    for suite, base in SUITES.items():
        dpkg = folder / suite / "var/lib/dpkg"
        dpkg.mkdir(parents=True)
        (dpkg / "status").write_text("\n".join(map(_RECORD.__mod__, PACKAGES[suite].items())))
        layer = store.commit_changeset(folder / suite)
        image = store.put_image(ImageConfig(diff_ids=(layer.diff_id,), env=(("PATH", "/usr/bin:/bin"),)))
        lines = (runtime for runtime in RUNTIMES if runtime.suite == suite)
        runtimes = (name for runtime in lines for name in (runtime.image, runtime.build_image))
        for name in (base, *runtimes, *(("python:3",) if suite == "bookworm" else ())):
            store.tag(name, image.digest)
    return store


def planned(
    source: Path,
    store: Store,
    stage: str = "production",
    *,
    suite: str = "bookworm",
    say: Callable[[bytes], None] = lambda data: None,
) -> tuple[Plan, tuple[ProcessSpec, ...]]:
    with Tree(source) as tree:
        inputs = read_inputs(tree, stage)
        log = BuildLog(say)
        plan = make_plan(inputs, tree, Bases(store, suite, log.line, check=lambda: None), log)
        return plan, formation(inputs.config, inputs.procfile, plan, inputs.manifests.counts)


def source(folder: Path, files: dict[str, str]) -> Path:
    (folder / "src").mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "src" / name).write_text(content)
    return folder / "src"


def lines(plan: Plan) -> list[str]:
    """What the plan runs, in order, as the shell gets it."""
    steps = (step for stage in plan.stages for step in stage.steps if isinstance(step, RunStep))
    return [step.args[-1].removeprefix("exec ") for step in steps]


def put(plan: Plan) -> list[str]:
    """The titles of the steps that put files, in order."""
    return [step.title for stage in plan.stages for step in stage.steps if isinstance(step, FilesStep)]


PlanOf = Callable[[dict[str, str]], tuple[Plan, tuple[ProcessSpec, ...]]]
DEV = {"devDependencies": {"x": "1"}, "dependencies": {"y": "1"}}


def package(**keys: object) -> str:
    """A package.json."""
    return json.dumps({"name": "app", **keys})


def bases(plan: Plan) -> list[str | int]:
    return [stage.base for stage in plan.stages]
