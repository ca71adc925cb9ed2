"""The host's own apt settings: where it gets its Debian from, and through which proxy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from paas.errors import HostProblem

_OPTIONS = re.compile(r"\[([^\]]*)\]")
_ARCHIVE_KEYS = "debian-archive"
_KEY_FOLDERS = (Path("/usr/share/keyrings"), Path("/etc/apt/trusted.gpg.d"))
# Releases that stand beside each other in every archive: who has one of them has the others.
_SIBLINGS = ("bookworm", "trixie")


@dataclass(frozen=True, slots=True)
class AptSource:
    """One archive, one suite. `signed_by` is a keyring's path, or "" for apt's default."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    def line(self) -> str:
        """For sources.list(5), Debian's main component only."""
        option = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {option}{self.uri} {self.suite} main"


def debian_sources(suite: str, etc: Path = Path("/etc/apt")) -> tuple[AptSource, ...]:
    """Where this host gets the suite, its updates and its security fixes from, or would get them."""
    everything = tuple(_all_sources(etc))
    found = _of_suite(suite, everything)
    if not any(source.suite == suite for source in found):
        found = _beside(suite, everything)
    if not found:
        known = sorted({s.suite for s in everything if _is_debians(s) and "-" not in s.suite})
        raise HostProblem(
            f"this machine's apt has no source for Debian {suite}",
            hint=f"set BERTH_BASE_SUITE to one that it has ({', '.join(known) or 'none'}), "
            f"or add a source for {suite} under {etc}/sources.list.d",
        )
    if any("@" in source.uri for source in found):
        raise HostProblem(
            "an apt source has a password in its address, which would be readable in every image",
            hint="move it to /etc/apt/auth.conf.d (apt_auth.conf(5))",
        )
    return found


def _of_suite(suite: str, everything: Iterable[AptSource]) -> tuple[AptSource, ...]:
    wanted = {suite, f"{suite}-updates", f"{suite}-security"}
    return tuple(dict.fromkeys(s for s in everything if s.suite in wanted and _is_debians(s)))


def _beside(suite: str, everything: tuple[AptSource, ...]) -> tuple[AptSource, ...]:
    """The suite from where this host gets another; () when it has none, or the suite is none of ours."""
    for sibling in _SIBLINGS if suite in _SIBLINGS else ():
        known = _of_suite(sibling, everything)
        if any(source.suite == sibling for source in known):
            _require_keys(suite)
            return tuple(replace(s, suite=suite + s.suite.removeprefix(sibling)) for s in known)
    return ()


def _require_keys(suite: str, folders: Iterable[Path] = _KEY_FOLDERS) -> None:
    """An older host's keyring may not know a newer release's keys; Debian brings them by an update of it."""
    if not any(True for folder in folders for _ in folder.glob(f"{_ARCHIVE_KEYS}-{suite}-*")):
        raise HostProblem(
            f"this machine has no keys for Debian {suite}: its packages could not be verified",
            hint="apt-get update && apt-get install debian-archive-keyring",
        )


def _is_debians(source: AptSource) -> bool:
    """Debian's own archive or a mirror of it, not another vendor's that uses the suite's name."""
    return "main" in source.components and (not source.signed_by or _ARCHIVE_KEYS in source.signed_by)


def _all_sources(etc: Path) -> Iterator[AptSource]:
    parts = etc / "sources.list.d"
    for path in (etc / "sources.list", *sorted(parts.glob("*.list"))):
        if path.is_file():
            yield from parse_list(path.read_text())
    for path in sorted(parts.glob("*.sources")):
        yield from parse_deb822(path.read_text())


def parse_list(text: str) -> Iterator[AptSource]:
    """The one-line format: `deb [options] URI SUITE COMPONENT…`."""
    for line in text.splitlines():
        plain = line.partition("#")[0].strip()
        options = dict(o.partition("=")[::2] for m in _OPTIONS.finditer(plain) for o in m[1].split())
        match _OPTIONS.sub("", plain, count=1).split():
            case ["deb", uri, suite, *components]:
                yield AptSource(uri, suite, tuple(components), options.get("signed-by", ""))


def parse_deb822(text: str) -> Iterator[AptSource]:
    for stanza in re.split(r"\n\s*\n", text):
        fields = _fields(line for line in stanza.splitlines() if not line.startswith("#"))
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in (
            "no",
            "false",
        ):
            continue
        # A key written out in the file itself, instead of a path, cannot stand in a one-line source.
        signed_by = fields.get("signed-by", "").strip()
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield AptSource(uri, suite, tuple(fields.get("components", "").split()), signed_by)


def _fields(lines: Iterable[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    key = ""
    for line in lines:
        if line[:1].isspace():
            fields[key] = f"{fields.get(key, '')}\n{line.strip()}"
        else:
            name, _, value = line.partition(":")
            key = name.strip().lower()
            fields[key] = value.strip()
    return fields


def network_options(dump: str) -> str:
    """From `apt-config dump`, what this host needs to reach an archive: proxies, certificates, retries."""
    kept = re.compile(r'Acquire::(?:https?(?:::|\b)|Retries|Check-Valid-Until)[^ ]* "(?!")')
    return "".join(f"{line}\n" for line in dump.splitlines() if kept.match(line))
