"""docs/reference/settings.md lists what paas/settings.py reads, with the defaults that it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paas.host.environment import names

ROOT = Path(__file__).resolve().parents[2]
SOURCE = (ROOT / "paas" / "settings.py").read_text()
ROWS = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", (ROOT / "docs/reference/settings.md").read_text(), re.M))


def test_every_setting_is_in_the_document_and_nothing_else() -> None:
    read = {name for name in names(SOURCE) if not name.endswith("_FILE")}
    assert set(ROWS) == read


@pytest.mark.parametrize("name", sorted(ROWS))
def test_the_default_is_what_the_document_says(name: str) -> None:
    plain = re.search(rf'env\.(?:str|int)\("{name}", ("[^"{{}}]*"|[\d_* ]+)\)', SOURCE)
    if plain is None or plain[1] == '""':
        return  # made at the first start, derived from another, or nothing: the row says so in words
    default = eval(plain[1])
    assert ROWS[name] == f"`{default}`"
