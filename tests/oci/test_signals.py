from __future__ import annotations

import signal

import pytest

from paas.errors import BadInput
from paas.oci.signals import signal_number


@pytest.mark.parametrize(
    ("name", "number"),
    [("SIGTERM", 15), ("int", 2), ("QUIT", 3), ("9", 9), ("SIGRTMIN+3", signal.SIGRTMIN + 3), ("RTMAX-1", 63)],
)
def test_signal_number(name: str, number: int) -> None:
    assert signal_number(name) == number


@pytest.mark.parametrize(
    "name", ["", "0", "65", "SIGNOPE", "SIGFOO", "15; rm", "RTMIN+99", "RTMIN-1", "RTMAX+1", "٣"]
)
def test_signal_number_refuses(name: str) -> None:
    with pytest.raises(BadInput, match="no such signal"):
        signal_number(name)
