"""A step's error says what to do next: recognized in what the real programs print."""

from __future__ import annotations

import datetime
import http.server
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from paas.builder.hints import hint
from paas.builder.log import BuildLog

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
    assert hint(1, ["SettingsError: SECRET_KEY is empty"], "give it a default") == "give it a default"
    assert "chmod +x" in hint(126, [], "give it a default")
    assert hint(3, []) == "the log above says why"


# --- what the installers of each language print: taken down where they ran on such sources, but for compilers
WORDS = [
    (
        "npm ERR! code EUSAGE\n"
        "npm ERR! The `npm ci` command can only install with an existing package-lock.json or\n"
        "npm ERR! npm-shrinkwrap.json with lockfileVersion >= 1.",
        "package-lock.json is damaged",
    ),
    ("npm error code EINTEGRITY\nnpm error Integrity checksum failed when using sha512", "then `npm install`"),
    ("npm error code ERESOLVE\nnpm error ERESOLVE unable to resolve dependency tree", "legacy-peer-deps=true"),
    (
        "npm error code ETARGET\nnpm error notarget No matching version found for ms@99.0.0.",
        "how it is written",
    ),
    ("npm ERR! gyp ERR! stack Error: not found: make\nnpm ERR! gyp ERR! not ok", "takes is not in the image"),
    (
        "error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`.",
        "run `yarn install`",
    ),
    ('error app@1.0.0: The engine "node" is incompatible with this module. Expected version', "`engines.node`"),
    ("error SyntaxError: Unknown token: { line: 1, col: 0 } 1:0 in /app/yarn.lock", "yarn.lock is damaged"),
    (
        "➤ YN0028: │ The lockfile would have been modified by this install, which is "
        "explicitly forbidden.\n"
        "➤ YN0000: └ Completed",
        "`yarn set version <version>` does",
    ),
    (
        "\x1b[31m➤\x1b[39m YN0018: │ ms@npm:2.1.3: The remote archive doesn't match the expected checksum",
        "make the lock file again (`yarn install`)",
    ),
    (
        "Type Error: Cannot read properties of null (reading 'resolution')\n"
        "    at t.setupResolutions (/var/cache/node/yarn.js:211:542)",
        "yarn.lock is damaged",
    ),
    (
        "YAMLException: unexpected end of the stream within a double quoted scalar (7:1)\n"
        "\n"
        ' 4 | "ms@npm:2.1.3":\n'
        " 5 |   version: 2.1.3\n"
        ' 6 |   resolution: "ms@n',
        "yarn.lock is damaged",
    ),
    (
        ' ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with "frozen-lockfile" because '
        "pnpm-lock.yaml is not up to date",
        "run `pnpm install`",
    ),
    (' ERR_PNPM_BROKEN_LOCKFILE  The lockfile at "/app/pnpm-lock.yaml" is broken', "pnpm-lock.yaml is damaged"),
    (" ERR_PNPM_LOCKFILE_MISSING_DEPENDENCY  Broken lockfile: no entry for", "pnpm-lock.yaml is damaged"),
    ("    at async readWantedLockfile (/var/cache/node/pnpm.cjs:115355:15)", "pnpm-lock.yaml is damaged"),
    (
        " WARN  Ignoring not compatible lockfile at /app/pnpm-lock.yaml\n ERR_PNPM_NO_LOCKFILE  Cannot install",
        "another pnpm wrote pnpm-lock.yaml",
    ),
    ("sh: 1: vite: not found\n ELIFECYCLE  Command failed.", "add the package that brings it"),
    ("You are trying to install in deployment mode after changing\nyour Gemfile.", "run `bundle lock`"),
    (
        "The dependencies in your gemfile changed, but the lockfile can't be updated\n"
        "because frozen mode is set",
        "run `bundle lock`",
    ),
    ("Your lockfile is unreadable. Run `rm Gemfile.lock` and then `bundle install`", "Gemfile.lock is damaged"),
    (
        "Your bundle only supports platforms [] but your local platform is x86_64-linux.",
        "Gemfile.lock is damaged",
    ),
    (
        'Your bundle only supports platforms ["x86_64-darwin-20"] but your local platform\nis x86_64-linux.',
        "other machines only",
    ),
    (
        "bundler/lockfile_parser.rb:275:in `parse_spec': undefined method\n\tfrom /usr/bin/bundle:25:in `load'",
        "Gemfile.lock is damaged",
    ),
    ("Your Ruby version is 3.1.2, but your Gemfile specified 3.1.4", '`ruby "~> 3.1.0"`'),
    (
        "Could not reach host index.rubygems.org. Check your network connection and try\nagain.",
        "BERTH_BUILD_ENV",
    ),
    ("pg_ext.c:1:10: fatal error: libpq-fe.h: No such file or directory", "takes is not in the image"),
    ("go: errors parsing go.mod:\ngo.mod:3: unknown directive: toolchian", "this Go does not know"),
    ("main.go:2:8: missing go.sum entry for module providing package rsc.io/quote; to add:", "`go mod tidy`"),
    ("main.go:2:8: cannot find module providing package rsc.io/quote: import lookup disabled", "`go mod tidy`"),
    ("# example.org/app\n./main.go:3:1: syntax error: unexpected EOF", "the code does not compile"),
    ("verifying rsc.io/quote@v1.5.2: checksum mismatch", "its line in go.sum deleted"),
    (
        'main.go:2:8: rsc.io/quote@v1.5.2: Get "https://proxy": dial tcp: lookup proxy on [::1]:53: refused',
        "BERTH_BUILD_ENV",
    ),
    (
        "  curl error 6 while downloading https://repo.packagist.org/packages.json: Co  \n"
        "  uld not resolve host: repo.packagist.org                                     ",
        "BERTH_BUILD_ENV",
    ),
    ('- Required package "monolog/monolog" is not present in the lock file.', "run `composer update`"),
    ('  "./composer.lock" does not contain valid JSON', "composer.lock is damaged"),
    ("error: Failed to download `six==1.16.0`\n  cause: Hash mismatch for `six==1.16.0`", "`poetry lock`"),
    (
        "error: No solution found when resolving dependencies\n"
        "  cause: Because six-no-such was not found in the package registry",
        "how it is written",
    ),
    (
        "  Failed to download and build `lib @ git+https://example.org/lib.git`\n"
        "  ├─▶ Git operation failed\n"
        "  ╰─▶ Git executable not found. Ensure that Git is installed and available.",
        "`package @ https://…/archive/<tag or commit>.tar.gz`",
    ),
    ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "takes is not in the image"),
]


@pytest.mark.parametrize(("printed", "to_do"), WORDS)
def test_the_words_of_installers(printed: str, to_do: str) -> None:
    lines = ["before", *printed.split("\n"), "after"]
    assert to_do in hint(1, lines)


def test_pips_own_words_without_git(tmp_path: Path) -> None:
    done = subprocess.run(
        [*PIP, "lib @ git+https://127.0.0.1:1/lib.git"],
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode
    assert "archive/<tag" in hint(done.returncode, (done.stdout + done.stderr).splitlines())


@pytest.mark.parametrize(
    "line",
    [
        "ModuleNotFoundError: No module named 'x'",  # no ENOTFOUND
        "npm warn EBADENGINE Unsupported engine { package: 'x@1' }",
        "Warning: The lock file is not up to date with the latest changes in composer.json.",
    ],
)
def test_what_is_no_reason(line: str) -> None:
    assert hint(1, [line]) == "the log above says why"


def test_the_last_word_counts() -> None:
    retried = "WARNING: Retrying … Failed to establish a new connection: [Errno 111]"
    assert "takes is not in the image" in hint(1, [retried, "error: command 'gcc' failed with exit code 1"])


def test_words_without_end_are_looked_through_in_no_time() -> None:
    """A tenant prints what they like, and Berth reads it outside the tenant's limits."""
    began = time.monotonic()
    for text in (
        "a/",
        "missing: ",
        "unknown token",
        "at ",
        "YAMLException: ",
        "go:1:",
        "sh: ",
        "fatal error: ",
    ):
        hint(1, [(text * 500)[:500]] * 200)
    assert time.monotonic() - began < 5


NPM = shutil.which("npm") or ""
LOCK = '{"name": "app", "lockfileVersion": 3, "packages": {"": {"name": "app"}}}'


@pytest.mark.skipif(not NPM, reason="needs npm")
@pytest.mark.parametrize(
    ("manifest", "lock", "to_do"),
    [
        (
            '{"name": "app", "dependencies": {"a": "file:a"}}',
            LOCK,
            "package-lock.json does not fit package.json",
        ),
        ('{"name": "app"}', LOCK[:40], "package-lock.json is damaged"),
        ('{"name": "app", "engines": {"node": ">=99"}}', LOCK, "`engines.node` of package.json"),
    ],
)
def test_npms_own_words(tmp_path: Path, manifest: str, lock: str, to_do: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "package.json").write_text('{"name": "a", "version": "1.0.0"}')
    (tmp_path / "package.json").write_text(manifest)
    (tmp_path / "package-lock.json").write_text(lock)
    done = subprocess.run(
        [NPM, "ci", "--offline", "--engine-strict", "--no-audit", "--cache", str(tmp_path / "cache")],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode
    log = BuildLog(lambda data: None)
    log.output(done.stdout.encode())  # longer than what an error shows of it
    assert to_do in hint(done.returncode, log.recent)


def test_where_the_tenants_egress_is_closed_that_is_why_no_server_is_reached() -> None:
    said = ["curl: (6) Could not resolve host: example.com"]
    assert "BERTH_BUILD_ENV" in hint(6, said)
    assert "its egress policy is none" in hint(6, said, egress="none")
    assert "egress policy lists" in hint(6, said, egress="list")
    assert "is not there" in hint(127, ["sh: nonsense: not found"], egress="none")


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
