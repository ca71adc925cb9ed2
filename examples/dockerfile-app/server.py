"""Serves public/index.html with the greeting from the environment."""

import os
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer

PAGE = (
    (Path(__file__).parent / "public/index.html")
    .read_text()
    .replace("@GREETING@", escape(os.environ["GREETING"]))
)


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(PAGE.encode() if self.path == "/" else b"There is no such page.\n")


class Server(ThreadingHTTPServer):
    def server_bind(self):
        TCPServer.server_bind(self)  # HTTPServer's own would first look up this machine's full name


Server(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Page).serve_forever()
