"""What a container is made of is decided in one place: nothing else in the code makes such a spec."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PAAS = Path(__file__).resolve().parents[2] / "paas"


def makers(name: str) -> set[str]:
    return {str(path.relative_to(PAAS)) for path in PAAS.rglob("*.py") if name in set(called(path))}


def called(path: Path) -> Iterator[str]:
    """The last part of each name that is called."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_specs_are_made_from_rows_in_one_place() -> None:
    assert makers("ContainerSpec") == {"worker/translate.py"}
    assert makers("TenantSpec") == {"worker/translate.py"}


def test_the_runtimes_config_is_made_in_one_place_and_asked_for_once() -> None:
    assert makers("oci_config") == {"runtime/runtime.py"}
    assert makers("process_config") == {"runtime/bundle.py", "runtime/runtime.py"}


def test_nothing_changes_a_spec_but_its_maker() -> None:
    """dataclasses.replace of one is the same as making one."""
    suspects = {path for path in makers("replace") if "ContainerSpec" in (PAAS / path).read_text()}
    assert suspects <= {"worker/translate.py", "runtime/runtime.py", "runtime/files.py"}
