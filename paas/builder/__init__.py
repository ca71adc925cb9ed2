"""Source -> plan (pure) -> layers -> image."""

from paas.builder.build import build
from paas.builder.sandbox import BuildCancelled, Rootfs, Sandbox, StepResult

__all__ = ["BuildCancelled", "Rootfs", "Sandbox", "StepResult", "build"]
