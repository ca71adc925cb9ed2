"""PHP: Composer's dependencies, then the source; php-fpm behind nginx, both from Debian, in one container."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from paas.builder.buildpacks import heroku_php, nginx
from paas.builder.buildpacks.heroku_php import HerokuServer
from paas.builder.buildpacks.shape import (
    HOME,
    MAX_MANIFEST,
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
from paas.builder.buildpacks.versions import Wish, choose, first, from_config, from_key
from paas.builder.config import BuildConfig
from paas.builder.plan import APP_OWNER, FilesStep, ImageSettings, Plan, Stage, Write
from paas.builder.procfile import shell
from paas.builder.tree import Tree
from paas.errors import BadInput
from paas.images.runtimes import Runtime

NAME = "php"
MANIFEST, LOCK = "composer.json", "composer.lock"
ROOTS = ("public", "web", "")
SERVE = "/etc/berth/serve"
FPM_CONFIG = "/etc/berth/php-fpm.conf"
_SOCKET = "/tmp/php-fpm.sock"  # noqa: S108 - the container's own
_CACHE = "/var/cache/composer"

# Two programs and no supervisor: when one ends, for whatever reason, so does the container, which is restarted.
_SERVE = """\
#!/bin/bash
export WEB_CONCURRENCY=${WEB_CONCURRENCY:-8}
%(write_config)s || exit 1
trap 'kill -QUIT $(jobs -p) 2>/dev/null' TERM QUIT INT
php-fpm%(version)s --nodaemonize --force-stderr --fpm-config %(fpm_config)s &
# nginx's port says that the app is ready, so PHP has to be there first.
until [ -S %(socket)s ]; do kill -0 $! 2>/dev/null || exit 1; sleep 0.02; done
%(nginx)s &
wait -n
status=$?
kill -QUIT $(jobs -p) 2>/dev/null
wait
exit $status
"""
_FPM = f"""\
[global]
error_log = /tmp/php-fpm.log
log_level = warning

[www]
listen = {_SOCKET}
pm = ondemand
pm.max_children = ${{WEB_CONCURRENCY}}
pm.process_idle_timeout = 30s
clear_env = no
catch_workers_output = yes
decorate_workers_output = no
php_admin_flag[expose_php] = off
; the image does not change while it runs
php_admin_value[opcache.validate_timestamps] = 0
php_value[upload_max_filesize] = 64M
php_value[post_max_size] = 64M
"""
_LOCATIONS = f"""\
        index index.php index.html;
        client_max_body_size 64m;
        location ~ ^/(?:vendor/|composer\\.(?:json|lock)$|Procfile$|berth\\.toml$|app\\.json$) {{
            return 404;
        }}
        location / {{
            try_files $uri $uri/ /index.php$is_args$args;
        }}
        location ~ \\.php(?:/|$) {{
            fastcgi_split_path_info ^(.+?\\.php)(/.*)?$;
            set $path_info $fastcgi_path_info;
            try_files $fastcgi_script_name =404;
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $realpath_root$fastcgi_script_name;
            fastcgi_param DOCUMENT_ROOT $realpath_root;
            fastcgi_param PATH_INFO $path_info;
            fastcgi_pass unix:{_SOCKET};
        }}"""


def left_out(source: Tree) -> tuple[str, ...]:
    """Composer fills `vendor`; without it, what is there belongs to the app."""
    return ("vendor",) if source.exists(MANIFEST) else ()


def detect(build: BuildConfig, source: Tree) -> str:
    return there_is(source, MANIFEST, *map(_index, _roots(build)))


def plan(request: Request) -> Plan:
    source = request.source
    manifest = read_json(source, MANIFEST)
    runtime = choose(NAME, _wish(request, manifest), request.bases)
    heroku = heroku_php.of_command(request.web)
    root = _document_root(request, heroku)
    base = request.bases.to_run(runtime)
    notes, stages = _dependencies(request, runtime, manifest) if source.exists(MANIFEST) else ((), ())
    steps = [_server(runtime, root)]
    if stages:
        steps.append(take(len(stages) - 1, f"{HOME}/vendor", f"{HOME}/vendor"))
    if heroku:
        notes = (*notes, *_in_place_of(heroku, root, source))
    if not root:
        notes = (
            *notes,
            "The whole source is served: move index.php to public/ to serve only what is in there.",
        )
    env = app_env(base, f"{HOME}/vendor/bin")
    return Plan(
        builder=NAME,
        stages=(*stages, Stage(base.name, (*steps, put_source()))),
        image=ImageSettings(env=tuple(env.items()), workdir=HOME, user=APP_OWNER),
        command=heroku.replaced_by(SERVE) if heroku else shell(SERVE),
        replaces=request.web if heroku else (),
        notes=notes,
        files_read=tuple(name for name in (MANIFEST, LOCK) if source.exists(name)),
    )


def _wish(request: Request, manifest: dict[str, Any]) -> Wish | None:
    text = request.source.text(MANIFEST, MAX_MANIFEST) or "" if manifest else ""
    required = text_of(table(manifest, "require"), "php")
    checked = "php" not in table(table(manifest, "config"), "platform")  # else Composer believes that
    return first(
        lambda: from_config("php", request.build.php),
        lambda: from_key(text, MANIFEST, required, '"php"', is_strict=checked),
    )


def _roots(build: BuildConfig) -> tuple[str, ...]:
    return (build.root,) if build.root else ROOTS


def _index(root: str) -> str:
    return f"{root.rstrip('/')}/index.php" if root else "index.php"


def _document_root(request: Request, heroku: HerokuServer | None) -> str:
    if heroku and not request.build.root:
        entry = request.source.entry(heroku.root) if request.source.exists(heroku.root) else None
        if heroku.root and (entry is None or entry.kind != "folder"):
            raise BadInput(
                f"web: {heroku.program} serves {heroku.root[:100]}/, which is no folder of the source",
                hint="name the folder of index.php there, or in berth.toml: [build] root",
            )
        return heroku.root
    roots = _roots(request.build)
    found = next((root for root in roots if request.source.exists(_index(root))), None)
    if found is None:
        raise BadInput(
            f"there is none of {', '.join(map(_index, roots))}: nothing would be served",
            hint="name the folder of index.php: [build] root",
        )
    return found.strip("/")


def _in_place_of(heroku: HerokuServer, root: str, source: Tree) -> Iterator[str]:
    program, where = heroku.program, f"{root}/" if root else "the whole source"
    yield f"web: Berth's own PHP server runs in place of {program}, with {where} as document root."
    if root != heroku.root:
        theirs = f"{heroku.root}/" if heroku.root else "the whole source"
        yield f"web: berth.toml's [build] root is used, {program}'s ({theirs}) is ignored."
    if heroku.ignored:
        yield f"web: options of {program} are ignored: {', '.join(heroku.ignored)}."
    if program.endswith("apache2") and source.exists(f"{root}/.htaccess".lstrip("/")):
        yield "web: .htaccess is ignored, for nginx serves: what is not a file goes to index.php."


def _server(runtime: Runtime, root: str) -> FilesStep:
    served = f"{HOME}/{root}" if root else HOME
    script = _SERVE % {
        "write_config": nginx.WRITE_CONFIG,
        "version": runtime.version,
        "fpm_config": FPM_CONFIG,
        "socket": _SOCKET,
        "nginx": nginx.NGINX,
    }
    return FilesStep(
        f"COPY nginx's and php-fpm's configuration, for {served}",
        (
            Write(nginx.CONFIG, nginx.server(served, _LOCATIONS)),
            Write(FPM_CONFIG, _FPM),
            Write(SERVE, script, mode=0o755),
        ),
    )


def _dependencies(
    request: Request, runtime: Runtime, manifest: dict[str, Any]
) -> tuple[tuple[str, ...], tuple[Stage, ...]]:
    """Notes, and a stage with `vendor`, which is made again only when what names the dependencies changes."""
    source = request.source
    builder = request.bases.to_build(runtime)
    notes = []
    if not source.exists(LOCK):
        notes.append(
            "There is no composer.lock: another build may get other versions. `composer update` makes it."
        )
    if table(manifest, "scripts"):
        notes.append("The scripts of composer.json are not run; call those that you need in [release] command.")
    # A class map is made by looking through the source.
    whole = "classmap" in table(manifest, "autoload")
    files = (*(name for name in (MANIFEST, LOCK) if source.exists(name)), *_local_packages(source, manifest))
    install = "composer install --no-dev --no-interaction --no-progress --no-scripts --prefer-dist"
    run = command(
        install,
        install,
        app_env(builder, COMPOSER_HOME="/tmp/composer", COMPOSER_CACHE_DIR=_CACHE),  # noqa: S108
        caches={_CACHE: "composer"},
        file=MANIFEST,
    )
    steps = (put_source() if whole else put(files, MANIFEST), run)
    return tuple(notes), (Stage(builder.name, steps, "build"),)


def _local_packages(source: Tree, manifest: dict[str, Any]) -> tuple[str, ...]:
    """Folders of the source that composer.json names as packages."""
    repositories = manifest.get("repositories")
    listed = repositories.values() if isinstance(repositories, dict) else repositories or ()
    paths = (text_of(one, "url") for one in listed if isinstance(one, dict) and one.get("type") == "path")
    folders = (path.removeprefix("./").partition("*")[0].rstrip("/") for path in paths)
    return tuple(folder for folder in folders if folder and ".." not in folder and source.exists(folder))
