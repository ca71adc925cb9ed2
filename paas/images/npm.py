"""npm itself, as its makers publish it, for the Node images.

Debian's own npm is 350 packages and 167 MB on top of Node, and years older. This is one archive of 2.6 MB whose
integrity is written here, as that of every other file which Berth has from npm (bin/vendor).
"""

from __future__ import annotations

import base64
import hashlib
import io
import ssl
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from paas.errors import HostProblem

VERSION = "10.9.4"  # the newest that runs on Node 18
INTEGRITY = "sha512-OnUG836FwboQIbqtefDNlyR0gTHzIfwRfE3DuiNewBvnMnWEpB0VEXwBlFVgqpNzIgYo/MHh3d2Hel/pszapAA=="
URL = f"https://registry.example/npm/-/npm-{VERSION}.tgz"
TITLE = f"unpack npm {VERSION}"
_HOME = "usr/local/lib/node_modules/npm"
_MAX_BYTES = 16 * 1024 * 1024
_SECONDS = 60


def put_npm(root: Path) -> None:
    """Unpack npm below `root`, the new root folder. Raises HostProblem if it is not to be had intact."""
    archive = _fetch()
    if not is_intact(archive):
        raise HostProblem(
            f"{URL} is not the file that it must be (SHA-512)",
            hint="something between this machine and the registry changes files: ask who runs it",
        )
    home = root / _HOME
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in filter(tarfile.TarInfo.isfile, tar):
            path = home / member.name.removeprefix("package/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tar.extractfile(member).read())  # type: ignore[union-attr]
    for program in ("npm", "npx"):
        script = home / "bin" / f"{program}-cli.js"
        script.chmod(0o755)
        (root / "usr/local/bin" / program).symlink_to(f"../lib/node_modules/npm/bin/{script.name}")


def is_intact(archive: bytes) -> bool:
    return f"sha512-{base64.b64encode(hashlib.sha512(archive).digest()).decode()}" == INTEGRITY


def _fetch() -> bytes:
    """By the proxy that the environment names, trusting what this machine trusts."""
    try:
        with urllib.request.urlopen(URL, timeout=_SECONDS, context=ssl.create_default_context()) as answer:
            return bytes(answer.read(_MAX_BYTES))
    except (urllib.error.URLError, OSError) as error:
        raise HostProblem(
            f"cannot fetch {URL}: {error}",
            hint="the first Node app needs it once: let this machine reach the npm registry",
            retryable=True,
        ) from error
