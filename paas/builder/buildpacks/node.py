"""Node: `node_modules` by the lock file's own tool, the build script, then the source, each a layer of its own.

What only the build needs (devDependencies, the tool's cache) stays in stages of their own, which no image has.
"""

from __future__ import annotations

from collections.abc import Mapping

from paas.builder.buildpacks.node_tools import BERRY_SETTINGS, CACHE, environment, needs_source, tool_of
from paas.builder.buildpacks.node_workspaces import DEPENDENCIES, MANIFEST, PNPM, local_dependency
from paas.builder.buildpacks.node_workspaces import packages as packages_of
from paas.builder.buildpacks.shape import (
    HOME,
    MAX_MANIFEST,
    Base,
    Request,
    app_env,
    command,
    put,
    put_source,
    read_json,
    table,
    take,
    text_of,
    there_is,
)
from paas.builder.buildpacks.versions import Wish, choose, first, from_config, from_key, from_line
from paas.builder.config import BuildConfig
from paas.builder.plan import APP_OWNER, FilesStep, Folder, ImageSettings, Plan, RunStep, Stage, Step
from paas.builder.procfile import shell
from paas.builder.tree import Tree
from paas.errors import BadInput
from paas.images.runtimes import Runtime

NAME = "node"
_OUT = "/build"  # what the build script leaves, less node_modules, waits here for the last stage
_SETTINGS = (".npmrc", ".yarnrc", BERRY_SETTINGS, PNPM)
# Scripts of the app's own that run when its dependencies are installed, and may need any file of it.
_AT_INSTALL = ("preinstall", "install", "postinstall", "prepare")
_BUILD_HINT = "the log above says why; a build script sees [env] of berth.toml, not the app's config vars"


def left_out(source: Tree) -> tuple[str, ...]:
    return ("**/node_modules",)


def detect(build: BuildConfig, source: Tree) -> str:
    return there_is(source, MANIFEST)


def plan(request: Request) -> Plan:
    _require_manifest(request.source)
    base = request.bases.to_run(runtime(request))
    env = app_env(base, f"{HOME}/node_modules/.bin", NODE_ENV="production", NPM_CONFIG_UPDATE_NOTIFIER="false")
    app = _App(request, base)
    return Plan(
        builder=NAME,
        stages=_stages(request, base, app),
        image=ImageSettings(env=tuple(env.items()), workdir=HOME, user=APP_OWNER),
        command=_default_command(request.source),
        is_guess=True,
        missing_command=_missing_command(request.source),
        notes=app.notes,
        files_read=app.read,
    )


def _stages(request: Request, base: Base, app: _App) -> tuple[Stage, ...]:
    """The last one is the image: node_modules without what only the build needs, then the source, as built."""
    if build_script(request.source):
        before, _ = built_stages(request)
        source = take(1, f"{_OUT}/", f"{HOME}/")
    elif app.has_dev_dependencies:
        before = (Stage(base.name, app.installed(), "install"),)
        source = put_source()
    else:
        return (Stage(base.name, (*app.installed(), put_source())),)
    modules: tuple[FilesStep, ...] = ()
    if app.has_dependencies:
        # A workspace may have some in its own folder.
        path = f"{HOME}/" if app.workspaces else f"{HOME}/node_modules"
        modules = (take(len(before), path, path, "dependencies"),)
        before = (*before, app.pruned(0))
    return (*before, Stage(base.name, (_home(), *modules, source)))


def built_stages(request: Request) -> tuple[tuple[Stage, ...], tuple[str, ...]]:
    """Dependencies, then the source and its build script; the app as built is in the last of them, at HOME and,
    less node_modules, at `_OUT`. Also gives the files that were read."""
    _require_manifest(request.source)
    base = request.bases.to_run(runtime(request))
    app = _App(request, base)
    out = FilesStep(f"WORKDIR {_OUT}", (Folder(_OUT, APP_OWNER),))
    install = Stage(base.name, app.installed(), "install")
    return (install, Stage(0, (out, put_source(), app.build()), "build")), app.read


def script(source: Tree, name: str) -> str:
    return text_of(table(read_json(source, MANIFEST), "scripts"), name)


def build_script(source: Tree) -> str:
    """The name of the script that builds, "" for none. As on Heroku, its own takes the place of `build`."""
    return next((name for name in ("heroku-postbuild", "build") if script(source, name)), "")


def packages(source: Tree) -> set[str]:
    """The names of what the app depends on, in any way."""
    manifest = read_json(source, MANIFEST)
    return {*table(manifest, "dependencies"), *table(manifest, "devDependencies")}


def runtime(request: Request) -> Runtime:
    return choose(NAME, _wish(request), request.bases)


def _wish(request: Request) -> Wish | None:
    source = request.source
    text = (source.text(MANIFEST, MAX_MANIFEST) or "") if source.exists(MANIFEST) else ""
    manifest = read_json(source, MANIFEST)
    engines, checked = text_of(table(manifest, "engines"), "node"), tool_of(source, manifest).checks_engines
    return first(
        lambda: from_config("node", request.build.node),
        lambda: from_line(source, ".nvmrc"),
        lambda: from_line(source, ".node-version"),
        lambda: from_key(text, MANIFEST, engines, '"node"', is_strict=checked),
    )


def _require_manifest(source: Tree) -> None:
    if not source.exists(MANIFEST):
        raise BadInput(f'builder "node" needs {MANIFEST}, which is not there', hint="`npm init -y` makes one")


def _home() -> FilesStep:
    return FilesStep(f"WORKDIR {HOME}", (Folder(HOME, APP_OWNER, adopt=True),))


class _App:
    """One app's steps. `base` is the image that they run in."""

    def __init__(self, request: Request, base: Base) -> None:
        self.source = request.source
        self.packages = packages_of(self.source)
        self.manifest = self.packages[0].manifest
        self.workspaces = tuple(package.path for package in self.packages[1:])
        self.tool = tool_of(self.source, self.manifest)
        # Not "production": the build needs the devDependencies.
        self.env = app_env(base, f"{HOME}/node_modules/.bin", CI="true", **environment())
        self.build_env = {**self.env, "NODE_ENV": "production", **dict(request.env)}
        names = (MANIFEST, self.tool.lock, *_SETTINGS)
        self.files = (*(name for name in names if name and self.source.exists(name)), *self.workspaces)
        wish = _wish(request)
        asked = (wish.file,) if wish and wish.file in (".nvmrc", ".node-version") else ()
        self.read = (*self.files, *asked)

    @property
    def notes(self) -> tuple[str, ...]:
        found = []
        if self.has_dependencies and not self.tool.lock:
            found.append(
                "There is no lock file: another build may get other versions. `npm install` makes one."
            )
        if self.source_first:
            found.append(
                f"{self.source_first}, which may need the source: "
                "dependencies are installed again whenever the source changes"
            )
        if script(self.source, "heroku-prebuild"):
            found.append('The script "heroku-prebuild" is not run: dependencies come before the source.')
        if self.has_dev_dependencies and not self._can_prune:
            where = "of workspaces" if self.tool.prune else "before its version 4"
            found.append(f"devDependencies stay in the image: {self.tool.name} cannot take them out {where}")
        return tuple(found)

    @property
    def has_dependencies(self) -> bool:
        return bool(self.workspaces) or any(table(self.manifest, kind) for kind in DEPENDENCIES)

    @property
    def has_dev_dependencies(self) -> bool:
        return any(table(package.manifest, "devDependencies") for package in self.packages)

    def installed(self) -> tuple[Step, ...]:
        """Layers that are made again only when the files that name the dependencies change."""
        before = put_source() if self.source_first else put(self.files)
        return (before, self._run(self.tool.install, self.env)) if self.has_dependencies else (before,)

    def build(self) -> RunStep:
        keep = f"find . -mindepth 1 -maxdepth 1 ! -name node_modules -exec cp -a -t {_OUT} {{}} +"
        if self.workspaces:
            keep += f" && {_without_modules(_OUT)}"
        return self._run(
            f"{self.tool.run} {build_script(self.source)}",
            self.build_env,
            after=f" && {keep}",
            hint=_BUILD_HINT,
        )

    def pruned(self, stage: int) -> Stage:
        """The stage with what only the build needs taken away again."""
        prune = self._run(self.tool.prune, self.env, after=" && mkdir -p node_modules")
        is_needed = self.has_dev_dependencies and self._can_prune
        return Stage(stage, (prune,) if is_needed else (), "dependencies")

    @property
    def _can_prune(self) -> bool:
        """`pnpm prune` knows no workspaces, and a second install runs scripts that need what is gone."""
        return bool(self.tool.prune) and not (self.tool.name == "pnpm" and self.workspaces)

    def _run(self, line: str, env: Mapping[str, str], after: str = "", hint: str = "") -> RunStep:
        caches = {CACHE: f"node-{self.tool.name}"}
        return command(line, line + after, env, caches=caches, file=MANIFEST, hint=hint)

    @property
    def source_first(self) -> str:
        """What the install may need any file of the source for, as the log has it; "" if for nothing."""
        if self.tool.name == "yarn" and needs_source(self.source):
            return f"there is {needs_source(self.source)}"
        for package in self.packages:
            scripts = table(package.manifest, "scripts")
            texts = {name: text_of(scripts, name) for name in _AT_INSTALL}
            # husky installs git hooks, and does nothing where there is no git.
            script = next((name for name, text in texts.items() if text and not text.startswith("husky")), "")
            if script:
                return f"{package.path} has a script {script!r}"
            if local_dependency(package):
                return f"{package.path} has a dependency {local_dependency(package)[:60]!r} in the source"
            if "bin" in package.manifest and package.path != MANIFEST:
                return f"{package.path} has programs of its own"
        return ""


def _without_modules(folder: str) -> str:
    return f"find {folder} -name node_modules -prune -print0 | xargs -0 rm -rf"


def _missing_command(source: Tree) -> str:
    said = 'add a "start" script to package.json, or `web: node server.js` to a Procfile'
    if not build_script(source):
        return said
    return (
        f'{said}; if the build script makes a static site: [build] builder = "static" and root = "<its folder>"'
    )


def _default_command(source: Tree) -> tuple[str, ...]:
    """The start script itself: npm would stand between the app and its stop signal."""
    start = script(source, "start")
    if start:
        return shell(start)
    main = text_of(read_json(source, MANIFEST), "main")
    found = next(
        (name for name in (main, "server.js", "app.js", "index.js") if name and source.exists(name)), ""
    )
    return ("node", found) if found else ()
