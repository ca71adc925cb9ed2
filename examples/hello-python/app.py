"""A web app in one file: Python's own server, one page."""

import os
import platform
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from string import Template

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$app</title>
<style>
  :root { color-scheme: light dark;
          --ink: #14213d; --soft: #5b6780; --paper: #f6f8fb; --card: #fff; --sea: #066fd1 }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e6ecf5; --soft: #9aa7bd; --paper: #0f1724; --card: #182233; --sea: #4aa3ff }
  }
  * { box-sizing: border-box }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper);
         color: var(--ink); font: 16px/1.6 system-ui, sans-serif }
  main { width: min(34rem, calc(100% - 2rem)); padding: 2.5rem; border-radius: 1rem; background: var(--card);
         box-shadow: 0 1px 2px #0002, 0 12px 32px #0001; border-top: 4px solid var(--sea) }
  h1 { margin: 0 0 .25rem; font-size: 1.9rem; line-height: 1.2 }
  p { margin: 0 0 1.75rem; color: var(--soft) }
  dl { margin: 0; display: grid; grid-template-columns: auto 1fr; gap: .5rem 1.5rem }
  dt { color: var(--soft) }
  dd { margin: 0; font-weight: 600; text-align: right; overflow-wrap: anywhere }
</style>
<main>
  <h1>Hello from $app</h1>
  <p>Built from source and served from a container of its own.</p>
  <dl>
    <dt>Release</dt><dd>$release</dd>
    <dt>Container</dt><dd>$host</dd>
    <dt>Python</dt><dd>$python</dd>
  </dl>
</main>
</html>
""")


def page():
    facts = {
        "app": os.environ.get("BERTH_APP", "hello-python"),
        "release": os.environ.get("BERTH_RELEASE", "not released"),
        "host": platform.node(),
        "python": platform.python_version(),
    }
    return PAGE.substitute({name: escape(text) for name, text in facts.items()})


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: two wait 40 ms for each other (Nagle against delayed ACK)

    def do_GET(self):
        if self.path == "/healthz":
            self.answer("text/plain", "ok\n")
        elif self.path == "/":
            self.answer("text/html", page())
        else:
            self.answer("text/plain", "There is no such page.\n", status=404)

    do_HEAD = do_GET

    def answer(self, kind, text, status=200):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format, *values):
        if self.path != "/healthz":
            print(format % values, flush=True)


class Server(ThreadingHTTPServer):
    def server_bind(self):
        TCPServer.server_bind(self)  # HTTPServer's own would first look up this machine's full name


if __name__ == "__main__":
    address = ("0.0.0.0", int(os.environ.get("PORT", "8000")))
    server = Server(address, Hello)
    print(f"listening on port {address[1]}", flush=True)
    server.serve_forever()
