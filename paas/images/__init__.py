"""The content store, safe unpacking, and base images."""

from paas.images.archive import UnpackReport, unpack
from paas.images.base import build_base
from paas.images.fsck import Damage, from_layout
from paas.images.layers import LayerInfo
from paas.images.load import Loaded, LoadLimits
from paas.images.prune import PruneReport
from paas.images.store import Store

__all__ = [
    "Damage",
    "LayerInfo",
    "LoadLimits",
    "Loaded",
    "PruneReport",
    "Store",
    "UnpackReport",
    "build_base",
    "from_layout",
    "unpack",
]
