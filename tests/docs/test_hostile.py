"""What docs/explanation/hostile.md says is tried is tried."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.commands import ROOT

TEXT = (ROOT / "docs/explanation/hostile.md").read_text()
ROWS = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| ") and "`" in line]
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
OF_HOSTILE = ROOT / "tests/e2e/hostile"


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_each_row_has_tests_that_there_are(row: list[str]) -> None:
    _, _, by = row
    named = NAMED.findall(by)
    assert named and NAMED.sub("", by).strip(", ") == ""
    assert [f"{file}::{name}" for file, name in named if name not in _functions(file)] == []


def test_each_attack_on_a_whole_platform_has_a_row() -> None:
    told = {name for file, name in NAMED.findall(TEXT) if file.startswith("e2e/hostile/")}
    files = [f"e2e/hostile/{path.name}" for path in OF_HOSTILE.glob("test_*.py")]
    assert {name for file in files for name in _functions(file) if name.startswith("test_")} == told


def _functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
