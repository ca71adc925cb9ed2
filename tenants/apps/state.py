"""An app's state in one word, from what is observed of it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import models


class State(models.TextChoices):
    NEW = "new", "New"  # nothing was deployed yet
    FAILED = "failed", "Failed"  # nothing serves: the last build or release did not work out
    BUILDING = "building", "Building"
    DEPLOYING = "deploying", "Deploying"
    RUNNING = "running", "Running"
    ASLEEP = "asleep", "Asleep"  # all of it, until the next packet
    DEGRADED = "degraded", "Degraded"  # fewer containers are ready than the serving release wants
    CRASHED = "crashed", "Crashed"  # none is
    STOPPED = "stopped", "Stopped"  # scaled to nothing


@dataclass(frozen=True, slots=True)
class Facts:
    building: bool = False  # a build waits or runs
    deploying: bool = False  # a release waits or starts
    failed: bool = False  # the last build or release did not work out
    serving: bool = False
    wanted: int = 0  # containers of the serving release
    ready: int = 0
    asleep: int = 0  # of those that are ready


def state_of(facts: Facts) -> State:
    """What changes now comes first, then what serves, then what became of the first attempt."""
    if facts.deploying:
        return State.DEPLOYING
    if facts.building:
        return State.BUILDING
    if not facts.serving:
        return State.FAILED if facts.failed else State.NEW
    return _of_what_serves(facts)


def _of_what_serves(facts: Facts) -> State:
    if facts.wanted == 0:
        return State.STOPPED
    if facts.ready == 0:
        return State.CRASHED
    if facts.ready < facts.wanted:
        return State.DEGRADED
    return State.ASLEEP if facts.asleep == facts.ready else State.RUNNING
