"""A registry that lies. `python -I -S hostile_registry.py HOST:PORT BEHAVIOUR`.

honest          one small image, as a control
other-layer     a layer's bytes are others than its digest says
loopback        a layer is at http://127.0.0.1:…
endless         a layer never ends
diff-id         the config names a DiffID that its layer has not
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST, BEHAVIOUR = sys.argv[1:]
OCI = "application/vnd.oci.image"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def described(kind: str, data: bytes) -> dict[str, object]:
    return {"mediaType": f"{OCI}.{kind}", "digest": digest(data), "size": len(data)}


def layer() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("evil")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    return out.getvalue()


PLAIN = layer()
LAYER = gzip.compress(PLAIN, mtime=0)
DIFF_ID = "sha256:" + "c" * 64 if BEHAVIOUR == "diff-id" else digest(PLAIN)
MACHINE = {"os": "linux", "architecture": "amd64"}
CONFIG = json.dumps(
    {**MACHINE, "config": {"Cmd": ["/evil"]}, "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]}}
).encode()
DOCUMENT = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json"}
PARTS = {"config": described("config.v1+json", CONFIG), "layers": [described("layer.v1.tar+gzip", LAYER)]}
if BEHAVIOUR == "endless":
    PARTS["layers"][0]["size"] = 2**40  # type: ignore[index]
MANIFEST = json.dumps({**DOCUMENT, **PARTS}).encode()
ELSEWHERE = {"loopback": "http://127.0.0.1:5002/"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if "/manifests/" in self.path:
            self.answer(MANIFEST, f"{OCI}.manifest.v1+json")
        elif self.path.endswith(digest(CONFIG)):
            self.answer(CONFIG)
        elif "/blobs/" in self.path:
            self.layer()
        else:
            self.answer(b"{}", "application/json")

    def layer(self) -> None:
        if BEHAVIOUR in ELSEWHERE:
            self.send_response(307)
            self.send_header("Location", ELSEWHERE[BEHAVIOUR])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif BEHAVIOUR == "endless":
            self.send_response(200)
            self.send_header("Content-Length", str(2**40))
            self.end_headers()
            while True:
                self.wfile.write(bytes(1024 * 1024))
        elif BEHAVIOUR == "other-layer":
            self.answer(gzip.compress(PLAIN.replace(b"evil", b"good"), mtime=0))
        else:
            self.answer(LAYER)

    def answer(self, data: bytes, kind: str = "application/octet-stream") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        return


if __name__ == "__main__":
    address, _, port = HOST.partition(":")
    ThreadingHTTPServer((address, int(port)), Handler).serve_forever()
