"""What to do next about a step that failed, as far as its exit code and its last lines give the cause away."""

from __future__ import annotations

from collections.abc import Sequence

_BY_EXIT_CODE = {
    126: "the command is there, but may not be executed: `chmod +x` it",
    127: "the command is not there: install it in an earlier step, or check its name",
    137: "the step was killed",
}
_CERTIFICATE = (
    "a server's certificate was not accepted: if a proxy puts in its own, ask an administrator of this machine "
    "to set BERTH_BUILD_CA_BUNDLE; if it is the server's own, install its CA in an earlier step of a Dockerfile"
)
_CONNECTION = (
    "a server could not be reached: check its address; if the way leads through a proxy, ask an administrator "
    "of this machine to set BERTH_BUILD_ENV"
)
# In lower case, each with the programs that say it.
_BY_WORDS = {
    "invalid peer certificate": _CERTIFICATE,  # uv
    "certificate_verify_failed": _CERTIFICATE,  # Python, pip
    "certificate verify failed": _CERTIFICATE,  # Ruby, OpenSSL
    "certificate verification failed": _CERTIFICATE,  # git, apt
    "ssl certificate problem": _CERTIFICATE,  # curl, Cargo
    "the certificate of": _CERTIFICATE,  # wget
    "self-signed certificate": _CERTIFICATE,  # Node
    "self_signed_cert": _CERTIFICATE,  # npm
    "unable to get local issuer certificate": _CERTIFICATE,  # Node, npm
    "signed by unknown authority": _CERTIFICATE,  # Go
    "dns error": _CONNECTION,  # uv
    "tcp connect error": _CONNECTION,  # uv
    "failed to establish a new connection": _CONNECTION,  # pip
    "temporary failure in name resolution": _CONNECTION,  # glibc
    "temporary failure resolving": _CONNECTION,  # apt
    "could not resolve host": _CONNECTION,  # curl, git
    "failed to connect to": _CONNECTION,  # curl, git
    "enotfound": _CONNECTION,  # npm
    "etimedout": _CONNECTION,  # npm
    "dial tcp": _CONNECTION,  # Go
}


def hint(exit_code: int, last_lines: Sequence[str], usual: str = "") -> str:
    """`usual` is what most often is the cause with a step of this kind."""
    text = "\n".join(last_lines).lower()
    told = next((found for words, found in _BY_WORDS.items() if words in text), "")
    return told or usual or _BY_EXIT_CODE.get(exit_code, "the log above says why")
