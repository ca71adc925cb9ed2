"""How far a deploy has come, step by step, as its page shows it: build, start, check, switch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tenants.releases.models import Build, Release, Source

State = Literal["done", "now", "waiting", "failed"]
_TOLD = {"build": "Build", "command": "Release command", "start": "Start", "check": "Check", "switch": "Switch"}
_UNBUILT: dict[str, tuple[State, str]] = {
    "queued": ("now", "waits for a builder"),
    "running": ("now", ""),
    "failed": ("failed", ""),
    "cancelled": ("failed", "cancelled"),
}


@dataclass(frozen=True, slots=True)
class Step:
    label: str
    state: State
    note: str = ""


def steps(build: Build | None, release: Release | None) -> list[Step]:
    """Of a build, of the release that it became, or of a release without a build of its own."""
    names = ["build"] if build else []
    names += ["command"] if release and release.release_command else []
    names += ["start", "check", "switch"]
    pulled = build is not None and build.source.kind == Source.Kind.IMAGE
    told = {**_TOLD, "build": "Pull"} if pulled else _TOLD
    at, state, note = _where(build, release)
    if at is None:
        return [Step(told[name], "done") for name in names]
    place = names.index(at)
    done = [Step(told[name], "done") for name in names[:place]]
    later = [Step(told[name], "waiting") for name in names[place + 1 :]]
    return [*done, Step(told[at], state, note), *later]


def under_way(build: Build | None, release: Release | None, *, build_failed: bool) -> list[Step]:
    """Of the deploy that goes on or failed, given an app's latest build and release; else nothing."""
    if build and (build_failed or build.status in (Build.Status.QUEUED, Build.Status.RUNNING)):
        return steps(build, None)
    if release and release.status in (Release.Status.PENDING, Release.Status.STARTING, Release.Status.FAILED):
        return steps(release.build if release.cause == Release.Cause.DEPLOY else None, release)
    return []


def _where(build: Build | None, release: Release | None) -> tuple[str | None, State, str]:
    """The step that it is at or ended at; None when all are done."""
    if build is not None and build.status in _UNBUILT:
        return "build", *_UNBUILT[build.status]
    if release is None:
        return "start", "waiting", ""
    if release.status in (Release.Status.LIVE, Release.Status.RETIRED):
        return None, "done", ""
    if release.status == Release.Status.SUPERSEDED:
        return "switch", "waiting", "a later release came first"
    return _starting(release)


def _starting(release: Release) -> tuple[str, State, str]:
    """By its containers, which are reached through the relation: this folder knows none of theirs."""
    rows = list(release.containers.filter(kind="process").values_list("status", "ready", "started_at"))
    failed = release.status == Release.Status.FAILED
    state: State = "failed" if failed else "now"
    if release.status == Release.Status.PENDING:
        return "start", "now", "waits for its turn"
    if release.release_command and not rows:
        return "command", state, ""
    if failed:
        return ("check" if any(at for _, _, at in rows) else "start"), "failed", ""
    rows = [row for row in rows if row[0] != "stopped"]  # a worker before this one may have been interrupted
    wanted = sum(process["count"] for process in release.processes)
    started = sum(at is not None for _, _, at in rows)
    ready = sum(ready for _, ready, _ in rows)
    if started < wanted:
        return "start", "now", f"{started} of {wanted}"
    if ready < wanted:
        return "check", "now", f"{ready} of {wanted} ready"
    return "switch", "now", ""
