"""Static site: one layer with the files and nginx's configuration, served without being root.

The files are the source's own, or what a generator that is installed by npm makes of them (`built`).
"""

from __future__ import annotations

from dataclasses import replace

from paas.builder.buildpacks import nginx, node
from paas.builder.buildpacks.shape import HOME, Base, Request, there_is
from paas.builder.config import BuildConfig
from paas.builder.plan import APP_OWNER, Copy, FilesStep, ImageSettings, Plan, Stage, Write
from paas.builder.procfile import shell
from paas.builder.tree import Tree
from paas.errors import BadInput

NAME = "static"
ROOT = "/srv/site"
ROOTS = ("", "public", "dist", "build", "_site")
INDEX = "index.html"
NOT_FOUND = "404.html"
COMMAND = f"{nginx.WRITE_CONFIG} && exec {nginx.NGINX}"
_NEVER_SERVED = (
    "berth.toml",
    "Procfile",
    "app.json",
    "heroku.yml",
    "captain-definition",
    ".dockerignore",
    "Dockerfile",
)
# Where the generators that npm installs leave a site, by the package that is one.
_OUTPUTS = {
    "@11ty/eleventy": "_site", "astro": "dist", "vite": "dist", "parcel": "dist", "react-scripts": "build",
    "@docusaurus/core": "build", "gatsby": "public", "@vue/cli-service": "dist", "hexo": "public",
}  # fmt: skip
_NO_OUTPUT = 'name the folder that the build script writes to: [build] root = "…" in berth.toml'
# What makes a program of it all the same, that has to run.
_SERVERS = (
    "express",
    "fastify",
    "koa",
    "next",
    "nuxt",
    "@sveltejs/kit",
    "@remix-run/serve",
    "hono",
    "@hapi/hapi",
)


def left_out(source: Tree) -> tuple[str, ...]:
    return _NEVER_SERVED


def detect(build: BuildConfig, source: Tree) -> str:
    root = _root(build, source)
    return "" if root is None else f"there is {_index(root)}"


def plan(request: Request) -> Plan:
    build, source = request.build, request.source
    root = _root(build, source)
    if root is None:
        if node.build_script(source):
            return built.plan(request)
        where = _index(build.root) if build.root else INDEX
        raise BadInput(
            f'builder "static" needs {where}, which is not there', hint="name the folder: [build] root"
        )
    inside = f"{root.rstrip('/')}/" if root else ""
    if build.fallback and not source.exists(inside + build.fallback):
        raise BadInput(
            f"berth.toml: build.fallback: {inside}{build.fallback} is not there",
            hint='usually it is "index.html"',
        )
    files = Copy((root.rstrip("/") or ".",), f"{ROOT}/", owner=APP_OWNER)
    has_not_found = source.exists(inside + NOT_FOUND)
    base = request.bases.debian()
    stage = Stage(base.name, (_site(f"COPY {inside or '.'} {ROOT}/", files, build.fallback, has_not_found),))
    return _served((stage,), base)


class _Built:
    """A site that a generator makes: the Node buildpack's stages, and nginx's image with their outcome."""

    NAME = "static by Node"

    def left_out(self, source: Tree) -> tuple[str, ...]:
        return node.left_out(source)

    def detect(self, build: BuildConfig, source: Tree) -> str:
        generator = _generator(source)
        return f"package.json has a build script, and {generator} makes a site" if generator else ""

    def plan(self, request: Request) -> Plan:
        stages, read = node.built_stages(request)
        folder = request.build.root or _OUTPUTS.get(_generator(request.source), "dist")
        files = Copy(
            (f"{HOME.lstrip('/')}/{folder.rstrip('/')}",), f"{ROOT}/", stage=len(stages) - 1, owner=APP_OWNER
        )
        title = f"COPY --from=build {HOME}/{folder.rstrip('/')}/ {ROOT}/"
        base = request.bases.debian(node.runtime(request).suite)
        # A generator that knows of 404 pages names theirs so; nginx falls back to its own without one.
        site = replace(_site(title, files, request.build.fallback, has_not_found=True), hint=_NO_OUTPUT)
        last = Stage(base.name, (site,))
        return _served((*stages, last), base, read)


built = _Built()


def _generator(source: Tree) -> str:
    if not node.build_script(source):
        return ""
    used = node.packages(source)
    if any(name in used for name in _SERVERS):
        return ""
    return next((name for name in _OUTPUTS if name in used), "")


def _root(build: BuildConfig, source: Tree) -> str | None:
    """The folder of the source that the site is in; None when there is none."""
    if build.root:
        source.demand_whole(_index(build.root))
    for root in (build.root,) if build.root else ROOTS:
        if there_is(source, _index(root)):
            return root
    return None


def _index(root: str) -> str:
    return f"{root.rstrip('/')}/{INDEX}" if root else INDEX


def _site(title: str, files: Copy, fallback: str, has_not_found: bool) -> FilesStep:
    config = Write(nginx.CONFIG, nginx_config(fallback, has_not_found=has_not_found))
    return FilesStep(title, (config, files))


def _served(stages: tuple[Stage, ...], base: Base, read: tuple[str, ...] = ()) -> Plan:
    return Plan(
        builder=NAME,
        stages=stages,
        image=ImageSettings(env=tuple(base.env.items()), workdir=ROOT, user=APP_OWNER, stop_signal="SIGQUIT"),
        command=shell(COMMAND),
        files_read=read,
    )


def nginx_config(fallback: str, *, has_not_found: bool) -> str:
    """`fallback` is sent for addresses without a file of their own; else they get 404.html or a plain 404."""
    error_page = f"        error_page 404 /{NOT_FOUND};\n" if has_not_found else ""
    last = nginx.quoted(f"/{fallback}", "berth.toml: build.fallback") if fallback else "=404"
    return nginx.server(
        ROOT,
        f"""\
        index {INDEX};
        add_header Cache-Control "no-cache";
{error_page}
        location / {{
            try_files $uri $uri/ {last};
        }}""",
    )
