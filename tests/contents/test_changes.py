from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.contents import Changes, Stack, changes, compare
from tests.contents.conftest import Layer


def found(left: list[Path], right: list[Path], **options: object) -> Changes:
    with Stack(left) as one, Stack(right) as other:
        return compare(one, other, **options)  # type: ignore[arg-type]


def told(result: Changes) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {change.path: (change.what, change.aspects) for change in result.found}


def test_equal_stacks_do_not_differ(layer: Layer) -> None:
    base, top = layer({"a": "1"}), layer({"b": "2"})
    assert found([base, top], [base, top]) == Changes(())


def test_the_same_content_in_other_layers_is_no_change(layer: Layer) -> None:
    base = layer({"etc/x": "1"})
    one, other = (layer({"app/a": "same", "app/d/": ""}) for _ in range(2))
    assert told(found([base, one], [base, other])) == {}


def test_added_removed_changed(layer: Layer) -> None:
    base = layer({"keep": "k", "gone/a": "a", "gone/b": "b"})
    one = layer({"app/main.py": "print(1)\n", "app/old": "o"})
    other = layer({"app/main.py": "print(2)\n", "app/new/file": "n", "gone": None})
    result = found([base, one], [base, other])
    assert told(result) == {
        "app/main.py": ("changed", ("content",)),
        "app/new/file": ("added", ()),
        "app/old": ("removed", ()),
        "gone/a": ("removed", ()),
        "gone/b": ("removed", ()),
    }
    (main,) = [change for change in result.found if change.path == "app/main.py"]
    assert main.text == "@@ -1 +1 @@\n-print(1)\n+print(2)"


def test_a_file_that_came_or_went_is_shown_whole(layer: Layer) -> None:
    base = layer({"old": "1\n2\n"})
    top = layer({"old": None, "new": "a\n", "zero": b"a\0", "link": "-> new", "empty": "", "folder/": ""})
    assert {change.path: change.text for change in found([base], [base, top]).found} == {
        "old": "@@ -1,2 +0,0 @@\n-1\n-2",
        "new": "@@ -0,0 +1 @@\n+a",
        "zero": "",
        "link": "",
        "empty": "",
        "folder": "",
    }


def test_new_files_leave_room_for_what_changed(layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_TEXT_BYTES", 30)
    one = layer({"z": "1\n"})
    other = layer({"a": "first\n", "b": "second\n", "c": "third\n", "z": "2\n"})
    shown = {change.path: bool(change.text) for change in found([one], [other]).found}
    assert shown == {"a": True, "b": False, "c": False, "z": True}


def test_an_opaque_folder_hides_what_was_below(layer: Layer) -> None:
    base = layer({"d/old": "1"})
    top = layer({"d/new": "2"}, opaque=("d",))
    assert told(found([base], [base, top])) == {"d/old": ("removed", ()), "d/new": ("added", ())}


def test_mode_owner_kind_and_target(layer: Layer) -> None:
    one = layer({"mode": "x", "owner": "x", "kind": "x", "link": "-> a"})
    other = layer({"mode": "x", "owner": "x", "kind/": "", "link": "-> b"})
    (other / "mode").chmod(0o755)
    os.chown(other / "owner", 1000, 1000)
    (other / "kind").chmod(0o644)
    assert told(found([one], [other])) == {
        "mode": ("changed", ("mode",)),
        "owner": ("changed", ("owner",)),
        "kind": ("changed", ("kind",)),
        "link": ("changed", ("target",)),
    }


def test_a_folder_of_its_own_right_is_told(layer: Layer) -> None:
    assert told(found([layer({"a": "1"})], [layer({"a": "1", "empty/": ""})])) == {"empty": ("added", ())}


def test_what_is_left_out_does_not_count(layer: Layer) -> None:
    base, top = layer({"etc/x": "1"}), layer({"etc/hosts": "h", "run/pid": "1", "proc/": ""})
    result = found([base], [base, top], leave_out=("etc/hosts", "proc", "run"))
    assert set(told(result)) == {"run/pid"}


def test_texts_are_masked_before_they_are_compared(layer: Layer) -> None:
    one, other = layer({"f": "key=hunter22\n"}), layer({"f": "key=hunter22\nmore\n"})
    (change,) = found([one], [other], mask=lambda text: text.replace("hunter22", "[masked]")).found
    assert change.text == "@@ -1 +1,2 @@\n key=[masked]\n+more"


def test_what_is_no_text_has_no_text(layer: Layer) -> None:
    one = layer({"zero": b"a\0b", "latin": b"\xe9", "large": "x" * 300_000})
    other = layer({"zero": b"a\0c", "latin": b"\xe8", "large": "y" * 300_000})
    result = found([one], [other])
    assert [(change.path, change.text) for change in result.found] == [
        ("large", ""),
        ("latin", ""),
        ("zero", ""),
    ]


def test_a_huge_difference_is_cut_and_counted(layer: Layer, monkeypatch: object) -> None:
    one, other = layer({"a": "1"}), layer({f"f{number:05}": "" for number in range(changes.MOST_CHANGES + 3)})
    result = found([one], [other])
    assert (len(result.found), result.more) == (changes.MOST_CHANGES, 4)
