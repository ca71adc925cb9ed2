"""Source folder -> image: read the configuration, choose a builder, plan, execute, report."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from paas.builder import config, detect, dockerfile, ignore, procfile, python, static
from paas.builder.config import Config
from paas.builder.execute import Execution
from paas.builder.ignore import Ignore
from paas.builder.log import BuildLog
from paas.builder.plan import Plan
from paas.builder.processes import formation, release_command
from paas.builder.procfile import Procfile
from paas.builder.sandbox import Sandbox
from paas.builder.tree import Tree
from paas.errors import BadInput
from paas.images import Store
from paas.oci.config import ImageConfig
from paas.specs import BuildReport, HealthCheck, ImageSpec

# What Python and static apps have no use for in their image. A Dockerfile gets all that it asks for.
_NEVER_WANTED = ("**/.git", "**/.hg", "**/.svn", "**/.venv", "**/__pycache__", "**/*.pyc", "**/.DS_Store")
_NEVER_SERVED = (config.NAME, procfile.NAME, ignore.NAME, "Dockerfile")
_PYTHON_NAME = re.compile(r"python:(3\.\d+)")
_CONFIG_MAX = 64 * 1024
_DOCKERFILE_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the source says of itself. `files` in the order in which they were read."""

    config: Config
    procfile: Procfile
    ignore: Ignore
    files: tuple[str, ...]


def build(
    source: Path,
    *,
    tenant_id: str,
    stage: str,
    store: Store,
    sandbox: Sandbox,
    log: Callable[[bytes], None],
    cancelled: Callable[[], bool],
    base_image: str = "debian:12",
    secrets: Mapping[str, str] | None = None,
) -> BuildReport:
    """Build the folder `source`, which nothing may change meanwhile, for an app of this stage.

    `base_image` names the image that Python and static apps stand on. `secrets` are the app's config vars,
    asked for when a step mounts one; none gets into an image, the cache or the log. Raises BadInput for what is
    wrong in the source, StepFailed for a command that failed, BuildCancelled soon after `cancelled()` is true.
    """
    lines = BuildLog(log)
    with Tree(source) as tree:
        inputs = read_inputs(tree, stage)
        plan = make_plan(inputs, tree, store, base_image, lines)
        processes = formation(inputs.config, inputs.procfile, plan)
        files = tuple(dict.fromkeys((*inputs.files, *plan.files_read)))
        _say_what_was_read(lines, files, tree, plan)
        execution = Execution(
            tree,
            tenant_id=tenant_id,
            store=store,
            sandbox=sandbox,
            log=lines,
            cancelled=cancelled,
            secrets=secrets or {},
        )
        image = execution.run(plan)
    return BuildReport(
        image=image,
        processes=processes,
        health=inputs.config.health or plan.health or HealthCheck(),
        env=inputs.config.env,
        builder=plan.builder,
        steps_total=plan.steps_total,
        steps_cached=execution.steps_cached,
        files_read=files,
        release_command=release_command(inputs.config, inputs.procfile),
    )


def read_inputs(tree: Tree, stage: str) -> Inputs:
    texts = {name: tree.text(name, _CONFIG_MAX) for name in (config.NAME, procfile.NAME, ignore.NAME)}
    settings = config.parse(texts[config.NAME] or "")
    return Inputs(
        config=settings.for_stage(stage),
        procfile=procfile.parse(texts[procfile.NAME] or ""),
        ignore=ignore.parse(texts[ignore.NAME] or ""),
        files=tuple(name for name, text in texts.items() if text is not None),
    )


def make_plan(inputs: Inputs, tree: Tree, store: Store, base_image: str, log: BuildLog) -> Plan:
    """Also sets what `tree` leaves out, which depends on the builder."""
    settings = inputs.config.build
    tree.ignore = ignore.built_in(_NEVER_WANTED) + inputs.ignore
    detected = detect.detect(settings, tree)
    log.line(f"Builder: {detected.builder} ({detected.because})")

    def resolve(name: str) -> ImageSpec:
        return store.image(store.resolve(name))

    if detected.builder == "dockerfile":
        return _dockerfile_plan(inputs, tree, lambda name: store.config(store.resolve(name)))
    if detected.builder == "static":
        tree.ignore = ignore.built_in((*_NEVER_WANTED, *_NEVER_SERVED)) + inputs.ignore
        return static.plan(settings, tree, base_image, resolve(base_image))
    base = resolve(base_image)
    return python.plan(settings, tree, base_image, base, _python_versions(store, base))


def _python_versions(store: Store, base: ImageSpec) -> tuple[str, ...]:
    """The versions under which the base image is also known as a Python image: "3.11"."""
    names = ((_PYTHON_NAME.fullmatch(name), digest) for name, digest in store.tags().items())
    return tuple(match[1] for match, digest in names if match and store.image(digest).layers == base.layers)


def _dockerfile_plan(inputs: Inputs, tree: Tree, resolve: Callable[[str], ImageConfig]) -> Plan:
    settings = inputs.config.build
    name = settings.dockerfile or "Dockerfile"
    text = tree.text(name, _DOCKERFILE_MAX)
    if text is None:
        raise BadInput(f"{name} is not there", hint="add it, or name it in berth.toml: [build] dockerfile")
    own_ignore = f"{name}{ignore.NAME}"
    ignored = tree.text(own_ignore, _CONFIG_MAX)
    tree.ignore = inputs.ignore if ignored is None else ignore.parse(ignored, own_ignore)
    parsed = dockerfile.parse(text, name)
    plan = dockerfile.lower(parsed, resolve, target=settings.target, build_args=dict(settings.args))
    return plan if ignored is None else replace(plan, files_read=(*plan.files_read, own_ignore))


def _say_what_was_read(log: BuildLog, files: tuple[str, ...], tree: Tree, plan: Plan) -> None:
    if files:
        log.line(f"Read: {', '.join(files)}")
    left_out = [entry.name for entry in tree.top(ignored=True)]
    if left_out:
        more = f" and {len(left_out) - 10} more" if len(left_out) > 10 else ""
        log.line(f"Left out: {', '.join(left_out[:10])}{more}")
    for note in plan.notes:
        log.line(note)
