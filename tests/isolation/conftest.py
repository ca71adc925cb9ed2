from tests.runtime.conftest import _bed, bed

__all__ = ["_bed", "bed"]
