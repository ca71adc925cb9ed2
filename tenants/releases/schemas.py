"""What the API shows of builds and releases: columns by name, never a whole row."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import Field, StrictInt

from tenants.releases.limits import Size
from tenants.releases.models import Build, Release
from tenants.releases.own_image import has_own_image
from tenants.releases.serial import processes
from tenants.schemas import Input


class BuildOut(Schema):
    id: str
    status: str
    source: str
    created_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    builder: str
    steps_total: int
    steps_cached: int
    unchanged_since: int | None  # the version of the release that it repeats: nothing was built
    error: dict[str, Any] | None
    version: int | None  # of the release that it became
    serving: int | None = None  # the answer to a deploy of what this version serves already: nothing was begun

    @staticmethod
    def of(build: Build, serving: int | None = None) -> BuildOut:
        return BuildOut(
            id=build.pk,
            status=build.status,
            source=build.source.name or build.source.digest[:19],
            created_by=str(build.created_by or ""),
            created_at=build.created_at,
            started_at=build.started_at,
            finished_at=build.finished_at,
            builder=build.builder,
            steps_total=build.steps_total,
            steps_cached=build.steps_cached,
            unchanged_since=build.unchanged_since,
            error=build.error,
            version=serving or _version_made(build),
            serving=serving,
        )


def _version_made(build: Build) -> int | None:
    if build.status != Build.Status.SUCCEEDED:
        return None
    made = build.releases.filter(cause=Release.Cause.DEPLOY)
    return made.values_list("version", flat=True).first()


class ReleaseOut(Schema):
    version: int
    status: str
    cause: str
    note: str
    image: str  # digest; empty where its commit has not been made, or failed
    image_kept: bool  # it can be rolled back to
    commit: str  # "web.1 of v3": a container whose changes the image holds; else empty
    formation: dict[str, int]
    build: str | None
    created_by: str
    created_at: datetime
    live_at: datetime | None
    error: dict[str, Any] | None

    @staticmethod
    def of(release: Release) -> ReleaseOut:
        return ReleaseOut(
            version=release.version,
            status=release.status,
            cause=release.cause,
            note=release.note,
            image=release.image["digest"] if has_own_image(release) else "",
            image_kept=has_own_image(release) and not release.image_gone,
            commit=release.committed,
            formation={process.name: process.count for process in processes(release)},
            build=release.build_id,
            created_by=str(release.created_by or ""),
            created_at=release.created_at,
            live_at=release.live_at,
            error=release.error,
        )


class ReleaseMade(Schema):
    """`release` is null if nothing runs yet, or nothing changed."""

    release: ReleaseOut | None

    @staticmethod
    def of(release: Release | None) -> ReleaseMade:
        return ReleaseMade(release=ReleaseOut.of(release) if release else None)


class SourceIn(Input):
    """`digest` is the SHA-256 of the archive that would be sent."""

    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Rollback(Input):
    version: StrictInt


class Formation(Input):
    """Process type -> how many."""

    formation: dict[str, StrictInt]


class LimitOut(Schema):
    """A memory limit of each container of a process type, in bytes. `limit` is in force, `asked` is the
    release's; they differ where advice was applied. `needed` is the most that one was seen to need in thirty
    days, 0 for not yet; `advice` is a better limit, null where it is about right."""

    process: str
    limit: int
    asked: int
    needed: int
    advice: int | None

    @staticmethod
    def of(size: Size) -> LimitOut:
        return LimitOut(**{name: getattr(size, name) for name in LimitOut.model_fields})


class AdviceIn(Input):
    """`advice`, in bytes, is the one that was seen: 409 when it is another by now. Null takes whichever it
    is."""

    advice: StrictInt | None = None


class ConfigChanges(Input):
    """Name -> value, or null to unset it. Names that are not given keep their value."""

    changes: dict[str, str | None]


class ConfigVarOut(Schema):
    """`value` is null for viewers, who see names only."""

    key: str
    value: str | None
