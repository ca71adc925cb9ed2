"""How an image was made, told for its provenance: from the plan, when it is carried out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from paas.builder.log import short
from paas.builder.plan import Plan, Stage
from paas.specs import BuiltStage, Recipe

MOST = 64_000  # characters of all steps together, of which there are about 500 at most: they are kept in a row


def recipe(plan: Plan, digests: Mapping[str, str]) -> Recipe:
    """`digests` are those of the images that the build has used, by name."""
    told = Recipe(
        stages=tuple(_built(plan, number, stage, digests) for number, stage in enumerate(plan.stages)),
        args=plan.args,
        target=plan.target,
    )
    if sum(len(step) for stage in told.stages for step in stage.steps) <= MOST:
        return told
    stages = (replace(stage, steps=tuple(map(short, stage.steps))) for stage in told.stages)
    return replace(told, stages=tuple(stages))


def _built(plan: Plan, number: int, stage: Stage, digests: Mapping[str, str]) -> BuiltStage:
    if isinstance(stage.base, int):
        return BuiltStage(_name(plan, number), _name(plan, stage.base), steps=stage.instructions)
    return BuiltStage(_name(plan, number), stage.base, digests.get(stage.base, ""), stage.instructions)


def _name(plan: Plan, number: int) -> str:
    return plan.stages[number].name or str(number)


def masked(told: Recipe, mask: Callable[[str], str]) -> Recipe:
    """With `mask` laid over what somebody may have written a secret into."""
    return replace(
        told,
        stages=tuple(replace(stage, steps=tuple(map(mask, stage.steps))) for stage in told.stages),
        args=tuple((name, mask(value)) for name, value in told.args),
    )
