"""Images become containers: bundles, limits, root file systems, logs (see Runtime)."""

from paas.runtime.log_keeper import LogKeeper, Together
from paas.runtime.rootfs import PlainRootfs
from paas.runtime.runtime import Runtime

__all__ = ["LogKeeper", "PlainRootfs", "Runtime", "Together"]
