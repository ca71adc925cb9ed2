"""Ruby: gems by Bundler, built where there are compilers, copied to where there are none; the source."""

from __future__ import annotations

import re

from paas.builder.buildpacks.shape import (
    HOME,
    MAX_MANIFEST,
    Request,
    app_env,
    command,
    put,
    put_source,
    take,
    there_is,
)
from paas.builder.buildpacks.versions import Wish, choose, demand, first, from_config, from_line
from paas.builder.config import BuildConfig
from paas.builder.plan import APP_OWNER, FilesStep, Folder, ImageSettings, Plan, Stage, Step
from paas.builder.procfile import shell
from paas.builder.tree import Tree
from paas.errors import BadInput

NAME = "ruby"
MANIFEST, LOCK = "Gemfile", "Gemfile.lock"
GEMS = "/bundle"
_CACHE = "/var/cache/bundler"
_RUBY_LINE = re.compile(r"""ruby[\s(]+(['"][^'"]+['"](?:\s*,\s*['"][^'"]+['"])*)""")
_LOCKED_RUBY = re.compile(r"^RUBY VERSION\n\s+ruby (\d+(?:\.\d+)*)", re.MULTILINE)
_LOCKED_GEM = re.compile(r"^    ([A-Za-z0-9._-]+) \(", re.MULTILINE)
_LOCAL = re.compile(r"^PATH\n  remote: (.+)$", re.MULTILINE)
_NO_LOCK = "There is no Gemfile.lock: another build may get other versions. `bundle lock` makes it."
_ASSETS_HINT = (
    "a build sees [env] of berth.toml, not the app's config vars; a pipeline that needs Node takes a Dockerfile"
)


def left_out(source: Tree) -> tuple[str, ...]:
    return ("vendor/bundle", ".bundle", "log/*.log", "tmp/cache", "node_modules")


def detect(build: BuildConfig, source: Tree) -> str:
    return there_is(source, MANIFEST)


def plan(request: Request) -> Plan:
    source = request.source
    if not source.exists(MANIFEST):
        raise BadInput(f'builder "ruby" needs a {MANIFEST}, which is not there', hint="`bundle init` makes one")
    lock = (source.text(LOCK, MAX_MANIFEST) or "") if source.exists(LOCK) else ""
    wish = _wish(request, lock)
    runtime = choose(NAME, wish, request.bases)
    demand(_from_gemfile(source), runtime, request.bases)
    base = request.bases.to_run(runtime)
    # Only gems from an index may have to be compiled.
    builder = base if lock and "\nGEM\n" in f"\n{lock}" and not _gems(lock) else request.bases.to_build(runtime)
    env = app_env(
        base,
        BUNDLE_PATH=GEMS,
        BUNDLE_WITHOUT="development:test",
        BUNDLE_APP_CONFIG=GEMS,
        BUNDLE_VERSION="system",  # not the one that wrote the lock, which would be fetched and run
        RACK_ENV="production",
        RAILS_ENV="production",
        RAILS_LOG_TO_STDOUT="1",
        RAILS_SERVE_STATIC_FILES="1",
    )
    gems = _gems(lock)
    last: tuple[Step, ...] = (take(0, GEMS, GEMS), put_source(), *_assets(request, gems, env))
    read = (wish.file,) if wish and wish.file == ".ruby-version" else ()
    return Plan(
        builder=NAME,
        stages=(Stage(builder.name, _install(source, lock, env), "build"), Stage(base.name, last)),
        image=ImageSettings(env=tuple(env.items()), workdir=HOME, user=APP_OWNER),
        command=_default_command(source, gems),
        is_guess=True,
        missing_command=_missing_command(source, lock),
        notes=() if lock else (_NO_LOCK,),
        files_read=(MANIFEST, *((LOCK,) if lock else ()), *read),
    )


def _wish(request: Request, lock: str) -> Wish | None:
    source = request.source
    return first(
        lambda: from_config("ruby", request.build.ruby),
        lambda: from_line(source, ".ruby-version", "ruby-"),
        lambda: _from_gemfile(source),
        lambda: (
            Wish(match[1], LOCK, lock[: match.end()].count("\n") + 1)
            if (match := _LOCKED_RUBY.search(lock))
            else None
        ),
    )


def _from_gemfile(source: Tree) -> Wish | None:
    for number, line in enumerate((source.text(MANIFEST, MAX_MANIFEST) or "").splitlines(), 1):
        match = _RUBY_LINE.match(line.strip())
        if match:
            return Wish(re.sub(r"['\"]", "", match[1]), MANIFEST, number, is_strict=True)
    return None


def _gems(lock: str) -> set[str]:
    """The names of the gems that the lock file takes from an index."""
    found: set[str] = set()
    for section in re.split(r"\n(?=[A-Z])", lock):
        if section.startswith(("GEM\n", "GIT\n")):
            found |= set(_LOCKED_GEM.findall(section))
    return found


def _install(source: Tree, lock: str, env: dict[str, str]) -> tuple[Step, ...]:
    """Layers that are made again only when the files that name the gems change."""
    local = [path.removeprefix("./").rstrip("/") for path in _LOCAL.findall(lock)]
    folders = tuple(path for path in (*local, "vendor/cache") if source.exists(path) and ".." not in path)
    # A gemspec at the top lists the files of the whole source.
    whole = "." in local or not lock
    files = (MANIFEST, *((LOCK,) if lock else ()), *folders)
    here = FilesStep(f"WORKDIR {GEMS}", (Folder(GEMS, APP_OWNER),))
    frozen = {"BUNDLE_FROZEN": "true"} if lock else {}
    cached = {"BUNDLE_GLOBAL_GEM_CACHE": "true", "BUNDLE_USER_CACHE": _CACHE, "BUNDLE_JOBS": "2"}
    offline = " --local" if source.exists("vendor/cache") else ""
    run = command(
        f"bundle install{offline}",
        f"bundle install{offline} && rm -rf {GEMS}/ruby/*/cache",
        {**env, **cached, **frozen},
        caches={_CACHE: "bundler"},
        file=MANIFEST,
    )
    return here, put_source() if whole else put(files), run


def _assets(request: Request, gems: set[str], env: dict[str, str]) -> tuple[Step, ...]:
    if "rails" not in gems or not gems & {"sprockets-rails", "propshaft"}:
        return ()
    line = "bundle exec rails assets:precompile"
    # Rails wants a key even here, where it signs nothing.
    dummy = {"SECRET_KEY_BASE_DUMMY": "1", "SECRET_KEY_BASE": "only-for-assets"}
    return (command(line, line, {**env, **dummy, **dict(request.env)}, file=MANIFEST, hint=_ASSETS_HINT),)


def _missing_command(source: Tree, lock: str) -> str:
    instead = "or add a Procfile with a line such as `web: bundle exec ruby app.rb`"
    if not source.exists("config.ru"):
        return f"add a config.ru for Puma, {instead}"
    if not lock:
        return (
            f"run `bundle lock` and deploy Gemfile.lock too: the app's server is looked for in there; {instead}"
        )
    return f"add puma to the Gemfile and run `bundle lock`, {instead}"


def _default_command(source: Tree, gems: set[str]) -> tuple[str, ...]:
    if not source.exists("config.ru"):
        return ()
    if "puma" in gems:
        return shell("bundle exec puma --port $PORT")
    return shell("bundle exec rackup --host 0.0.0.0 --port $PORT") if gems & {"rackup", "rack"} else ()
