import os
from http.server import HTTPServer, SimpleHTTPRequestHandler

# 127.0.0.1 is the container's own loopback: nobody outside can reach it.
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), SimpleHTTPRequestHandler).serve_forever()
