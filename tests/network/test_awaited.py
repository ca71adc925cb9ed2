"""What is noted of connections between containers, as text and as bytes."""

from __future__ import annotations

from ipaddress import IPv4Address

from paas.network import awaited

CALLER, APP = IPv4Address("10.208.0.17"), IPv4Address("10.208.0.16")
KEY = CALLER.packed + b"\x90\x01\0\0" + APP.packed + b"\x15\x38\0\0"


def test_a_table_that_is_made_again_has_the_rest_of_their_time() -> None:
    other = APP.packed + KEY[4:8] + KEY[8:]
    assert awaited.additions("bxberth", {KEY: 3540.4, other: 12.0}) == [
        "add element inet bxberth awaited { 10.208.0.16 . 36865 . 10.208.0.16 . 5432 expires 12s, "
        "10.208.0.17 . 36865 . 10.208.0.16 . 5432 expires 3540s }"
    ]
    assert awaited.additions("bxberth", {}) == []


def test_it_is_the_second_end_that_has_to_answer() -> None:
    assert awaited.apps([KEY, CALLER.packed + b"\x90\x02\0\0" + KEY[8:]]) == {APP}


def test_an_end_is_no_answer_and_neither_is_an_acknowledgement() -> None:
    chains = dict(awaited.chains())
    answer, question = chains["chain notice_answer"], chains["chain notice_question"]
    assert answer[0].startswith("tcp flags & (fin | rst) == 0 ip length") and answer[0].endswith(" return")
    assert [rule.rpartition("timeout ")[2] for rule in (answer[1], *question[2:5], *question[6:])] == [
        "2s }",
        "2s } return",
        "2s } return",
        "60s } return",
        "60s } return",
        "3600s }",
    ]
