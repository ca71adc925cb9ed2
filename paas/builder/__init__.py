"""Source -> plan (pure) -> layers -> image."""

from paas.builder.build import build
from paas.builder.sandbox import BuildCancelled, Look, Rootfs, Sandbox, StepResult, demand_wanted

__all__ = ["BuildCancelled", "Look", "Rootfs", "Sandbox", "StepResult", "build", "demand_wanted"]
