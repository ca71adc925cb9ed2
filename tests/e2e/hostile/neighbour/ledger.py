"""An app whose page waits for its disk: each answer has made a file, had it written, and put it in place."""

from __future__ import annotations

import http.server
import os
from pathlib import Path

PAGE, DRAFT = Path("page"), Path("page.new")


class Ledger(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_GET(self) -> None:
        body = os.urandom(4096)
        with DRAFT.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        DRAFT.replace(PAGE)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    http.server.ThreadingHTTPServer(("", 8000), Ledger).serve_forever()


if __name__ == "__main__":
    main()
