"""nginx from the base image: a server's configuration that is complete but for its port, and its start."""

from __future__ import annotations

from paas.errors import BadInput

CONFIG = "/etc/berth/nginx.conf"
# nginx reads no variables from its environment, so the port is written in at the start. Its log goes to
# stdout only where that can be opened anew, which depends on who made the pipe.
WRITE_CONFIG = (
    '[ -w /dev/stdout ] && log=/dev/stdout || log=off; sed "s|@PORT@|${PORT:-8000}|; s|@LOG@|$log|" '
    f"{CONFIG} >/tmp/nginx.conf"
)
NGINX = "/usr/sbin/nginx -e stderr -c /tmp/nginx.conf"

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
        absolute_redirect off;
        add_header X-Content-Type-Options nosniff;
%(locations)s
        location ~ /\\.(?!well-known/) {
            return 404;
        }
    }
}
"""


def server(root: str, locations: str) -> str:
    """`locations`: what the server does, in nginx's words. Files named `.…` are never served."""
    return _CONFIG % {"root": quoted(root, "the folder that is served"), "locations": locations}


def quoted(path: str, what: str) -> str:
    """A path as nginx takes it. Raises BadInput for one that it would read otherwise."""
    for char in '\\"$':
        if char in path:
            raise BadInput(f"{what} has {char!r} in its name: {path[:100]}", hint="rename it")
    return f'"{path}"'
