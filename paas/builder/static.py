"""Static site: one layer with the files and nginx's configuration, served without being root."""

from __future__ import annotations

from paas.builder.config import BuildConfig
from paas.builder.detect import INDEX, static_root
from paas.builder.plan import APP_OWNER, Copy, FilesStep, ImageSettings, Plan, Stage, Write
from paas.builder.procfile import shell
from paas.builder.tree import Tree
from paas.errors import BadInput
from paas.specs import ImageSpec

ROOT = "/srv/site"
CONFIG = "/etc/berth/nginx.conf"
NOT_FOUND = "404.html"
# nginx reads no variables from its environment, so the port is written in at the start. Its log goes to
# stdout only where that can be opened anew, which depends on who made the pipe.
COMMAND = (
    '[ -w /dev/stdout ] && log=/dev/stdout || log=off; sed "s|@PORT@|${PORT:-8000}|; s|@LOG@|$log|" '
    f"{CONFIG} >/tmp/nginx.conf && exec /usr/sbin/nginx -e stderr -c /tmp/nginx.conf"
)

_CONFIG = """\
daemon off;
pid /tmp/nginx.pid;
error_log stderr warn;
worker_processes 1;

events {
    worker_connections 512;
}

http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    charset utf-8;
    access_log @LOG@;
    server_tokens off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path /tmp/nginx-body;
    proxy_temp_path /tmp/nginx-proxy;
    fastcgi_temp_path /tmp/nginx-fastcgi;
    uwsgi_temp_path /tmp/nginx-uwsgi;
    scgi_temp_path /tmp/nginx-scgi;

    gzip on;
    gzip_min_length 1024;
    gzip_proxied any;
    gzip_vary on;
    gzip_types text/plain text/css text/xml text/javascript application/javascript application/json
               application/manifest+json application/xml application/rss+xml image/svg+xml;

    server {
        listen @PORT@;
        root %(root)s;
        index index.html;
        absolute_redirect off;
        add_header Cache-Control "no-cache";
        add_header X-Content-Type-Options nosniff;
%(error_page)s
        location / {
            try_files %(try_files)s;
        }
        location ~ /\\.(?!well-known/) {
            return 404;
        }
    }
}
"""


def plan(build: BuildConfig, source: Tree, base_name: str, base: ImageSpec) -> Plan:
    """Raises BadInput when there is no index.html to serve."""
    root = static_root(build, source)
    if root is None:
        where = f"{build.root.rstrip('/')}/{INDEX}" if build.root else INDEX
        raise BadInput(
            f'builder "static" needs {where}, which is not there', hint="name the folder: [build] root"
        )
    inside = f"{root.rstrip('/')}/" if root else ""
    if build.fallback and not source.exists(inside + build.fallback):
        raise BadInput(
            f"berth.toml: build.fallback: {inside}{build.fallback} is not there",
            hint='usually it is "index.html"',
        )
    config = nginx_config(build.fallback, has_not_found=source.exists(inside + NOT_FOUND))
    operations = (Write(CONFIG, config), Copy((root.rstrip("/") or ".",), f"{ROOT}/", owner=APP_OWNER))
    return Plan(
        builder="static",
        stages=(Stage(base_name, (FilesStep(f"COPY {inside or '.'} {ROOT}/", operations),)),),
        image=ImageSettings(env=base.env, workdir=ROOT, user=APP_OWNER, stop_signal="SIGQUIT"),
        command=shell(COMMAND),
    )


def nginx_config(fallback: str, *, has_not_found: bool) -> str:
    """`fallback` is sent for addresses without a file of their own; else they get 404.html or a plain 404."""
    error_page = f"        error_page 404 /{NOT_FOUND};\n" if has_not_found else ""
    last = f'"/{_quoted(fallback)}"' if fallback else "=404"
    return _CONFIG % {"root": ROOT, "error_page": error_page, "try_files": f"$uri $uri/ {last}"}


def _quoted(path: str) -> str:
    for char in '\\"$':
        if char in path:
            raise BadInput(f"berth.toml: build.fallback holds {char!r}", hint="rename the file")
    return path
