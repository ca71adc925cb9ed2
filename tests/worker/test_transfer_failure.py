"""What skopeo says when a registry does not give what was asked for, and what to do then."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from paas.oci.digest import of_bytes
from paas.worker.transfer_failure import failure

ANSWERS = {
    "unknown": (404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}),
    "nameless": (404, {"errors": [{"code": "NAME_UNKNOWN", "message": "no such repository"}]}),
    "page": (404, {}),
    "broken": (500, {}),
    "closed": (401, {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}),
    "others": (403, {"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}),
    "image": (200, {"schemaVersion": 2}),
}
NEXT = {
    "unknown:1": "nothing of this name",
    "nameless:1": "nothing of this name",
    "page:1": "nothing of this name",
    "broken:1": "the registry itself failed",
    "closed:1": "berth registries login",
    "others:1": "berth registries login",
    f"image@{of_bytes(b'another')}": "not what its digest says",
}
# Of a real skopeo, too, and not to be had here within a moment.
SAID = {
    'dial tcp 10.1.0.5:5000: i/o timeout"': "BERTH_EGRESS_ALLOW",
    "happened during read: Digest did not match, expected sha256:6e, got sha256:78": "not what its digest says",
    "toomanyrequests: You have reached your pull rate limit": "takes no more requests",
    "tls: failed to verify certificate: x509: certificate signed by unknown authority": "BERTH_BUILD_CA_BUNDLE",
    "http: server gave HTTP response to HTTPS client": "BERTH_INSECURE_REGISTRIES",
    "dial tcp: lookup registry.invalid on 10.0.0.53:53: no such host": "no such host",
    "writing blob: write /home/image/1: no space left on device": "the tenant's disk",
    "something that nobody has seen yet": "check its name, that containers may reach the registry",
    "reading manifest 1 in registry.example/denied/unauthorized: what": "that containers may reach",
}


class Registry(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = self.path.split("/")[2]
        status, said = ANSWERS.get(name, (200, {}))
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json" if name else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("WWW-Authenticate", 'Basic realm="here"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def said_by_skopeo(image: str, folder: Path, *options: str) -> str:
    assert shutil.which("skopeo"), "apt-get install skopeo"
    argv = ["skopeo", "copy", *options, f"docker://{image}", f"dir:{folder / 'image'}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("image", NEXT)
def test_what_a_registry_answers_leads_to_what_to_do(registry: str, tmp_path: Path, image: str) -> None:
    said = said_by_skopeo(f"{registry}/{image}", tmp_path, "--src-tls-verify=false")
    error = failure("pulling it", said, oom=False)
    assert error.summary.startswith("pulling it failed: ") and NEXT[image] in error.hint, error


def test_what_is_said_of_the_way_there_leads_to_what_to_do(registry: str, tmp_path: Path) -> None:
    plain = failure("pulling it", said_by_skopeo(f"{registry}/unknown:1", tmp_path), oom=False)
    assert "BERTH_INSECURE_REGISTRIES" in plain.hint, plain
    gone = said_by_skopeo("127.0.0.1:1/unknown:1", tmp_path, "--src-tls-verify=false")
    assert "berth network" in failure("pulling it", gone, oom=False).hint, gone


@pytest.mark.parametrize("said", SAID)
def test_other_words_of_skopeo_lead_to_what_to_do(said: str) -> None:
    error = failure("pulling it", f'time="…" level=fatal msg="{said}"', oom=False)
    assert SAID[said] in error.hint, error


def test_one_that_was_killed_says_so() -> None:
    assert "more memory than a transfer may have" in failure("pulling it", "", oom=True).summary
