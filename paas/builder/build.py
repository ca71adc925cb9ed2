"""Source folder -> image: read the configuration, choose a builder, plan, execute, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from paas import __version__
from paas.builder import config, detect, dockerfile, ignore, manifests, procfile
from paas.builder.buildpacks import BY_NAME, Bases, Request
from paas.builder.config import Config
from paas.builder.execute import Execution
from paas.builder.ignore import Ignore
from paas.builder.log import BuildLog
from paas.builder.manifests import Manifests
from paas.builder.names import Names
from paas.builder.overridden import overridden
from paas.builder.plan import Plan
from paas.builder.processes import formation, named_commands, release_command
from paas.builder.procfile import Procfile
from paas.builder.recipe import masked, recipe
from paas.builder.runnable import runnable
from paas.builder.sandbox import Sandbox, demand_wanted
from paas.builder.tree import Tree
from paas.errors import BadInput
from paas.images import Store
from paas.oci.config import ImageConfig
from paas.specs import BuildReport, HealthCheck

# What no app has a use for in its image. A Dockerfile gets all that it asks for.
_NEVER_WANTED = ("**/.git", "**/.hg", "**/.svn", "**/.venv", "**/__pycache__", "**/*.pyc", "**/.DS_Store")
_CONFIG_MAX = 64 * 1024
_DOCKERFILE_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the source says of itself. `files` in the order of reading; `overridden` for the log."""

    config: Config
    procfile: Procfile
    ignore: Ignore
    manifests: Manifests
    files: tuple[str, ...]
    overridden: tuple[str, ...] = ()


def build(
    source: Path,
    *,
    tenant_id: str,
    stage: str,
    store: Store,
    sandbox: Sandbox,
    log: Callable[[bytes], None],
    cancelled: Callable[[], bool],
    suite: str = "bookworm",
    secrets: Mapping[str, str] | None = None,
    pull: Callable[[str], str] | None = None,
) -> BuildReport:
    """Build the folder `source`, which nothing may change meanwhile, for an app of this stage.

    `suite` is the Debian that apps stand on which ask for nothing else. `secrets` are the app's config vars,
    asked for when a step mounts one; none gets into an image, the cache or the log. `pull` gives the digest, in
    the store, of an image that names a registry. Raises BadInput for what is wrong in the source, StepFailed
    for a command that failed, BuildCancelled soon after `cancelled()` is true.
    """
    lines = BuildLog(log)
    names = Names(store, pull)
    with Tree(source) as tree:
        inputs = read_inputs(tree, stage)
        bases = Bases(store.shared, suite, lines.line, names, check=partial(demand_wanted, cancelled))
        plan = make_plan(inputs, tree, bases, lines)
        processes = formation(inputs.config, inputs.procfile, plan, inputs.manifests.counts)
        bases.make()  # takes minutes, so only for a plan that is good
        plan = runnable(plan, processes)
        execution = Execution(
            tree,
            tenant_id=tenant_id,
            store=store,
            sandbox=sandbox,
            log=lines,
            cancelled=cancelled,
            secrets=secrets or {},
            resolve=names.digest,
        )
        image = execution.run(plan)
    return BuildReport(
        image=image,
        processes=processes,
        health=inputs.config.health or plan.health or HealthCheck(),
        env=inputs.config.env,
        builder=plan.builder,
        builder_version=__version__,
        base=execution.base,
        steps_total=plan.steps_total,
        steps_cached=execution.steps_cached,
        files_read=tuple(dict.fromkeys((*inputs.files, *plan.files_read))),
        release_command=release_command(inputs.config, inputs.procfile),
        volumes=inputs.config.volumes,
        bases=tuple(sorted(names.known.items())),
        is_repeatable=not (names.pulled or plan.asks_for_secrets),
        recipe=masked(recipe(plan, names.known), lines.masked),
    )


def read_inputs(tree: Tree, stage: str) -> Inputs:
    """berth.toml wins over the Procfile, and both over the files of other platforms."""
    texts = {name: tree.text(name, _CONFIG_MAX) for name in (config.NAME, procfile.NAME, ignore.NAME)}
    settings = config.parse(texts[config.NAME] or "").for_stage(stage)
    processes = procfile.parse(texts[procfile.NAME] or "")
    others = manifests.read(tree)
    args = tuple((others.build_args | dict(settings.build.args)).items())
    return Inputs(
        config=replace(
            settings,
            env=tuple((others.env | dict(settings.env)).items()),
            build=replace(settings.build, args=args),
        ),
        procfile=replace(
            processes,
            commands=others.commands | processes.commands,
            release=processes.release or others.release,
        ),
        ignore=ignore.parse(texts[ignore.NAME] or ""),
        manifests=others,
        files=(*(name for name, text in texts.items() if text is not None), *others.files),
        overridden=overridden(settings, processes, others),
    )


def make_plan(inputs: Inputs, tree: Tree, bases: Bases, log: BuildLog) -> Plan:
    """Also sets what `tree` leaves out, which depends on the builder, and says what was read."""
    settings = inputs.config.build
    tree.ignore = ignore.built_in(_NEVER_WANTED) + inputs.ignore
    if inputs.files:
        log.line(f"Read: {', '.join(inputs.files)}")
    for note in (*inputs.procfile.notes, *inputs.manifests.notes, *inputs.overridden):
        log.line(note)
    web = named_commands(inputs.config, inputs.procfile).get("web", ())
    detected = detect.detect(settings, inputs.manifests, tree)
    log.line(f"Builder: {detected.builder} ({detected.because})")
    if detected.builder == "dockerfile":
        plan = _dockerfile_plan(inputs, tree, bases.config_of)
    else:
        pack = BY_NAME[detected.builder]
        tree.ignore = ignore.built_in((*_NEVER_WANTED, *pack.left_out(tree))) + inputs.ignore
        plan = pack.plan(Request(settings, tree, bases, inputs.config.env, web))
        for name in plan.files_read:  # by the builder, or by a tool in a step
            tree.demand_whole(name)
    _say_what_was_read(log, inputs, tree, plan)
    if plan.command_note and not web:
        log.line(plan.command_note)
    return plan


def _dockerfile_plan(inputs: Inputs, tree: Tree, resolve: Callable[[str], ImageConfig]) -> Plan:
    settings, others = inputs.config.build, inputs.manifests
    target = settings.target or ("" if settings.dockerfile else others.dockerfile_target)
    if others.dockerfile_text and not settings.dockerfile:
        name, text = others.dockerfile_from, others.dockerfile_text
    else:
        name = settings.dockerfile or others.dockerfile or detect.DOCKERFILE
        text = tree.text(name, _DOCKERFILE_MAX) or ""
        if not text and tree.entry(name) is None:
            raise BadInput(f"{name} is not there", hint="add it, or name it in berth.toml: [build] dockerfile")
    context = "" if settings.dockerfile else others.context
    if context:
        _enter(tree, context)
    ignored, ignored_in = _ignored_of(name, tree, inputs, context)
    tree.ignore = ignored
    parsed = dockerfile.parse(text, name)
    plan = dockerfile.lower(parsed, resolve, target=target, build_args=dict(settings.args))
    return replace(plan, files_read=(*plan.files_read, *ignored_in), args=settings.args, target=target)


def _enter(tree: Tree, context: str) -> None:
    try:
        tree.enter(context)
    except OSError as error:
        hint = "let the Dockerfile lie in a folder of the source, and no link lead to that"
        raise BadInput(f"{context} cannot be built from: {error.strerror}", hint=hint) from error


def _ignored_of(name: str, tree: Tree, inputs: Inputs, context: str) -> tuple[Ignore, tuple[str, ...]]:
    """What the Dockerfile `name` is not to see, and the file, not read before, that says so."""
    above = f"{context}/" if context else ""
    others = (ignore.NAME,) if context else ()  # that of the whole source was read
    for file in (f"{name.removeprefix(above)}{ignore.NAME}", *others):
        text = tree.text(file, _CONFIG_MAX)
        if text is not None:
            return ignore.parse(text, above + file), (above + file,)
    return Ignore() if context else inputs.ignore, ()


def _say_what_was_read(log: BuildLog, inputs: Inputs, tree: Tree, plan: Plan) -> None:
    also_read = [name for name in plan.files_read if name not in inputs.files]
    if also_read:
        log.line(f"Read: {', '.join(also_read)}")
    unread = detect.ignored(tree, (*inputs.files, *plan.files_read))
    if unread:
        reason = f"another file comes first, or the {plan.builder} builder does not read it"
        log.line(f"Ignored: {', '.join(unread)} ({reason})")
    left_out = [entry.name for entry in tree.top(ignored=True)]
    if left_out:
        more = f" and {len(left_out) - 10} more" if len(left_out) > 10 else ""
        log.line(f"Left out: {', '.join(left_out[:10])}{more}")
    for note in plan.notes:
        log.line(note)
