from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paas.images.usage import Owner, Share, sharers, shares

SIZES = {"base": 100, "python": 40, "shop1": 5, "shop2": 7, "blog": 11}
LAYERS: dict[Owner, list[str]] = {
    ("demo", "shop", "v1"): ["base", "python", "shop1"],
    ("demo", "shop", "v2"): ["base", "python", "shop2"],
    ("demo", "blog", "v1"): ["base", "blog"],
    ("other", "site", "v1"): ["base", "pruned"],
}


def test_shared_and_unique_bytes_of_each_width() -> None:
    assert shares(LAYERS, SIZES) == {
        ("demo",): Share(163, 63),
        ("demo", "shop"): Share(152, 52),
        ("demo", "shop", "v1"): Share(145, 5),
        ("demo", "shop", "v2"): Share(147, 7),
        ("demo", "blog"): Share(111, 11),
        ("demo", "blog", "v1"): Share(111, 11),
        ("other",): Share(100, 0),
        ("other", "site"): Share(100, 0),
        ("other", "site", "v1"): Share(100, 0),
    }
    assert shares(LAYERS, SIZES)["demo", "shop"].shared == 100


def test_how_many_have_a_layer() -> None:
    assert sharers(LAYERS, 2) == {"base": 3, "python": 1, "shop1": 1, "shop2": 1, "blog": 1, "pruned": 1}
    assert sharers(LAYERS, 1)["base"] == 2 and sharers(LAYERS, 3)["python"] == 2


names = st.sampled_from("abcd")
owned = st.dictionaries(st.tuples(names, names, names), st.sets(st.sampled_from("12345")))


@given(owned)
def test_what_an_owner_frees_by_going_is_what_is_unique_to_it(layers: dict[tuple[str, ...], set[str]]) -> None:
    sizes = {str(n): 10**n for n in range(1, 6)}

    def stored(some: dict[tuple[str, ...], set[str]]) -> int:
        return sum(sizes[layer] for layer in set().union(*some.values()))

    for owner, share in shares(layers, sizes).items():
        without = {other: found for other, found in layers.items() if other[: len(owner)] != owner}
        assert share.unique == stored(layers) - stored(without)
        assert 0 <= share.unique <= share.bytes
