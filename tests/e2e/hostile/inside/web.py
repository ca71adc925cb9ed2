"""The app's page, on port 8000, and another one on a port that nobody outside should get to.

Each says which it is; /count of the app's also comes to the other one, and says how many have by then.
"""

from __future__ import annotations

import http.client
import http.server
import threading

PORT, ELSEWHERE = 8000, 4444


class Page(http.server.BaseHTTPRequestHandler):
    came = 0

    def do_GET(self) -> None:
        port = self.connection.getsockname()[1]
        if port == ELSEWHERE:
            Page.came += 1
        elif self.path == "/count":
            itself = http.client.HTTPConnection("127.0.0.1", ELSEWHERE, timeout=5)
            itself.request("GET", "/")
            itself.getresponse().read()
        body = f"port {port}, {Page.came} elsewhere".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    elsewhere = http.server.ThreadingHTTPServer(("", ELSEWHERE), Page)
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    http.server.ThreadingHTTPServer(("", PORT), Page).serve_forever()


if __name__ == "__main__":
    main()
