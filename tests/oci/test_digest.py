from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.errors import BadInput
from paas.oci.chain import chain_id, chain_ids
from paas.oci.digest import canonical_json, hex_of, is_digest, of_bytes
from paas.oci.reference import familiar

A, B, C = (of_bytes(letter) for letter in (b"a", b"b", b"c"))


@given(st.binary())
def test_a_digest_is_sha256_of_the_bytes(data: bytes) -> None:
    assert hex_of(of_bytes(data)) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        A[:-1],
        A + "0",
        A.upper(),
        A + "\n",
        "sha512:" + "0" * 64,
        "sha256:../" + "0" * 61,
        "sha256:" + "\u0660" * 64,
    ],
)
def test_what_is_no_digest_never_becomes_a_file_name(text: str) -> None:
    assert not is_digest(text)
    with pytest.raises(BadInput, match="is not a sha256 digest"):
        hex_of(text)


def test_chain_ids_as_the_specification_defines_them() -> None:
    second = of_bytes(f"{A} {B}".encode())
    assert chain_ids([A, B, C]) == (A, second, of_bytes(f"{second} {C}".encode()))
    assert chain_id([A, B]) == second
    assert chain_id([]) == ""


def test_a_chain_depends_on_the_order() -> None:
    assert chain_id([A, B]) != chain_id([B, A])


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans())))
def test_equal_documents_have_equal_bytes(document: dict[str, object]) -> None:
    assert canonical_json(dict(reversed(document.items()))) == canonical_json(document)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("debian:12", "debian:12"),
        ("debian", "debian:latest"),
        ("docker.io/library/debian:12", "debian:12"),
        ("library/python:3.11-slim", "python:3.11-slim"),
        ("docker.io/me/app", "me/app:latest"),
    ],
)
def test_names_of_images_as_people_write_them(written: str, meant: str) -> None:
    assert familiar(written) == meant


@pytest.mark.parametrize(
    "name", ["", "Debian:12", "../x", "a b", "x:", "x\n:1", "a" * 300, "x:1/../../y", "x@sha256:0"]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(BadInput, match="not an image's name"):
        familiar(name)
