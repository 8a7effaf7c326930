"""Tests of the order within a weighted group."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.routing.scores import ordered
from tests.support.make import backend

WEIGHTS = st.lists(st.floats(0, 1e6) | st.sampled_from([0.0, 5e-324, 1e308, float("inf")]), max_size=6)


@given(WEIGHTS, st.integers(0, 2**32))
def test_every_member_is_tried_once_and_the_same_seed_gives_the_same_order(weights: list[float], seed: int) -> None:
    """Chance only orders: nobody is lost, nobody comes twice, and a decision can be replayed."""
    group = [backend(f"b{i}", weight=weight) for i, weight in enumerate(weights)]
    first = ordered(group, random.Random(seed))
    assert sorted(b.id for b in first) == sorted(b.id for b in group)
    assert first == ordered(group, random.Random(seed))


def test_the_first_place_is_drawn_by_weight() -> None:
    """Three to one means about three quarters of the calls."""
    group, rng = [backend("large", weight=3), backend("small", weight=1)], random.Random(1)
    firsts = Counter(ordered(group, rng)[0].id for _ in range(4000))
    assert firsts["large"] / 4000 == pytest.approx(0.75, abs=0.03)


def test_a_weight_of_nothing_comes_last() -> None:
    """It takes calls only when the others are gone; several of them keep the order of the configuration."""
    group = [backend("spare1", weight=0), backend("spare2", weight=0), backend("used", weight=1e-9)]
    rng = random.Random(1)
    assert {tuple(b.id for b in ordered(group, rng)) for _ in range(100)} == {("used", "spare1", "spare2")}
