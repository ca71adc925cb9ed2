"""Why skopeo(1) failed, and what to do next: recognized in its last words.

A registry has a say in those, so that it can choose among the hints; none of them does harm.
"""

from __future__ import annotations

import re

from paas.errors import StepFailed

_MESSAGE = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
_MOST = 600  # characters of a reason
# What to do -> what skopeo says that wants it, as regular expressions in lower case; the first counts.
# Each has a blank or a colon, which no image's name has, and that stands in a reason, too.
_BY_WORDS: dict[str, tuple[str, ...]] = {
    "what came is not what its digest says: do not use it, and ask who runs the registry": (
        "digest did not match",
        "does not match",
        "digest mismatch: ",
    ),
    "the registry takes no more requests for now: wait a while, or sign the tenant in there": (
        "toomanyrequests: ",
        "too many requests",
    ),
    "the registry itself failed: try again later, or ask who runs it": (
        "unexpected http status: 5",
        "invalid status code from registry 5",
        "statuscode: 5",
    ),
    "the registry has nothing of this name: check how it is written, and its tag or digest": (
        "manifest unknown",
        "name unknown",
        "statuscode: 404",
        "unexpected http status: 404",
        "invalid status code from registry 404",
    ),
    "check its name, and who the tenant is there: `berth registries list`, and `berth registries login` with a "
    "name and a password that may have it": (
        ": unauthorized",
        ": denied",
        "authentication required",
        "invalid username/password: ",
        "resource is denied",
        "statuscode: 40[13]",
        "unexpected http status: 40[13]",
        "invalid status code from registry 40[13]",
    ),
    "the registry speaks plain http: ask an administrator of this machine to name its host in "
    "BERTH_INSECURE_REGISTRIES": (
        "server gave http response to https client",
        "does not look like a tls handshake",
    ),
    "the registry's certificate is not accepted: ask an administrator of this machine to set "
    "BERTH_BUILD_CA_BUNDLE, or to name its host in BERTH_INSECURE_REGISTRIES": ("x509: ",),
    "there is no such host: check how the registry is written": ("no such host",),
    "the registry does not answer: check its host and port; one in a private network is reached only where an "
    "administrator of this machine names that network in BERTH_EGRESS_ALLOW": (
        "i/o timeout",
        "no route to host",
        "network is unreachable",
        "tls handshake timeout",
    ),
    "nobody takes connections there, or the tenant may not reach it: check its host and port, and `berth "
    "network`": ("connection refused", "connection reset"),
    "the tenant's disk has to hold the image on its way: delete what is not needed there, or ask an "
    "administrator for a larger one": ("no space left on device",),
}
_OTHERWISE = "check its name, that containers may reach the registry, and the tenant's sign-in there"


def failure(what: str, said: str, *, oom: bool) -> StepFailed:
    """`said` is what skopeo printed last."""
    if oom:
        return StepFailed(
            f"{what} failed: it needed more memory than a transfer may have",
            hint="try again; if it happens again, tell an administrator of this machine",
        )
    found = _MESSAGE.findall(said)
    reason = found[-1].replace('\\"', '"') if found else (said.strip().splitlines() or ["no message"])[-1]
    return StepFailed(f"{what} failed: {reason[:_MOST]}", hint=_next(reason[:_MOST].lower()))


def _next(reason: str) -> str:
    return next(
        (hint for hint, words in _BY_WORDS.items() if any(re.search(one, reason) for one in words)), _OTHERWISE
    )
