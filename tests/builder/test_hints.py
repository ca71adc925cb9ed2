"""A step's error says what to do next: recognized in what the real programs print."""

from __future__ import annotations

import datetime
import http.server
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from paas.builder.hints import hint

TOOLS = Path(sys.executable).parent
UV = [str(TOOLS / "uv"), "pip", "install", "--no-config", "--no-cache", "--target", "unused", "--index-url"]
PIP = [
    sys.executable,
    "-m",
    "pip",
    "--isolated",
    "install",
    "--no-cache-dir",
    "--retries=0",
    "--target",
    "unused",
]
FETCH = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1])"
PROGRAMS: dict[str, list[str]] = {
    "uv": [*UV, "{}/simple", "flask"],
    "pip": [*PIP, "--index-url", "{}/simple", "flask"],
    "git": ["git", "clone", "{}/repository"],
    "python": [sys.executable, "-c", FETCH, "{}"],
}


@pytest.fixture(scope="module")
def impostor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose certificate nobody has signed but itself."""
    pem = _self_signed(tmp_path_factory.mktemp("tls") / "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # each client goes away in the handshake
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_untrusted_certificate(program: str, impostor: str, tmp_path: Path) -> None:
    assert "BERTH_BUILD_CA_BUNDLE" in _hint_after(program, impostor, tmp_path)


@pytest.mark.parametrize("program", ["uv", "git"])
def test_a_server_out_of_reach(program: str, tmp_path: Path) -> None:
    assert "BERTH_BUILD_ENV" in _hint_after(program, "https://127.0.0.1:1", tmp_path)


@pytest.mark.parametrize(
    ("line", "setting"),
    [  # what programs print that the tests do not have
        ("curl: (60) SSL certificate problem: unable to get local issuer certificate", "BERTH_BUILD_CA_BUNDLE"),
        ("ERROR: The certificate of 'pypi.example' is not trusted.", "BERTH_BUILD_CA_BUNDLE"),
        ("npm error code SELF_SIGNED_CERT_IN_CHAIN", "BERTH_BUILD_CA_BUNDLE"),
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "BERTH_BUILD_CA_BUNDLE",
        ),
        ("WARNING: Retrying after … Failed to establish a new connection: [Errno 111]", "BERTH_BUILD_ENV"),
        ("curl: (6) Could not resolve host: pypi.example", "BERTH_BUILD_ENV"),
        ("npm error code ENOTFOUND", "BERTH_BUILD_ENV"),
    ],
)
def test_the_words_of_others(line: str, setting: str) -> None:
    assert setting in hint(1, ["before", line, "after"])


def test_what_gives_nothing_away_gets_the_usual_hint() -> None:
    assert hint(1, ["No solution found when resolving dependencies"], "check the name") == "check the name"
    assert "chmod +x" in hint(126, [])
    assert hint(3, []) == "the log above says why"


def _hint_after(program: str, url: str, folder: Path) -> str:
    argv = [word.format(url) for word in PROGRAMS[program]]
    trusting = ("SSL_", "PIP_", "UV_", "CURL_", "GIT_", "REQUESTS_", "http", "HTTP")
    env = {name: value for name, value in os.environ.items() if not name.startswith(trusting)}
    env |= {"UV_HTTP_RETRIES": "0", "NO_PROXY": "*", "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(
        argv,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    return hint(done.returncode, (done.stdout + done.stderr).splitlines()[-20:], "a name may be misspelt")


def _self_signed(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "impostor")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
