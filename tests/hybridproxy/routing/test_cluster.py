"""Tests of which endpoint of a backend comes first."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.call import Call, Operation
from hybridproxy.model.load import NO_LOADS, EndpointKey, Loads, Reading
from hybridproxy.routing.cluster import (
    FULL,
    MAX_TEXT,
    QUEUED,
    SLACK,
    STALE,
    Place,
    bond_of,
    chance_of,
    order,
    places_of,
)
from tests.support.make import endpoints

FOUR = places_of("vpc", endpoints(4))
NOW = 100.0


def spoken(*said: tuple[str, Any], model: str = "qwen", operation: Operation = Operation.CHAT) -> Call:
    """Make a chat with these messages, each a role and a content."""
    body = {"messages": [{"role": role, "content": content} for role, content in said]}
    return Call(operation, model, False, False, 1, frozenset(), 0, body)


def bonds(count: int) -> list[int]:
    """Make the bonds of so many conversations."""
    found = [bond_of("shop", spoken(("user", f"question {n}"))) for n in range(count)]
    return [bond for bond in found if bond is not None]


def ranked(bond: int | None, loads: Loads = NO_LOADS, places: tuple[Place, ...] = FOUR, seed: int = 1) -> list[int]:
    """Return the order of the places."""
    return order(places, loads, bond, NOW, random.Random(seed))


def ours(*counts: int) -> Loads:
    """Make loads of our own calls alone."""
    return Loads({place.key: count for place, count in zip(FOUR, counts, strict=True) if count}, {})


def said(*rows: tuple[float, float, float] | None, at: float = NOW - 1) -> Loads:
    """Make loads of what engines said: running, waiting, use of the cache; None: it said nothing."""
    readings = {p.key: Reading(*row, at, 0) for p, row in zip(FOUR, rows, strict=True) if row is not None}
    return Loads({}, readings)


# ---- what binds a call -----------------------------------------------------------------------------------------------


def test_one_endpoint_is_no_choice() -> None:
    """So nothing is worked out for it."""
    assert places_of("vpc", endpoints(1)) == ()
    assert [place.key for place in places_of("vpc", endpoints(2))] == [("vpc", f"10.0.3.{n}:8000") for n in (1, 2)]


def test_every_turn_of_a_conversation_has_the_bond_of_its_first() -> None:
    """What follows the first message of the user changes nothing."""
    first = [("system", "Be brief."), ("user", "What is a VPC?")]
    turns: list[list[tuple[str, Any]]] = [list(first)]
    for n in range(5):
        turns.append([*turns[-1], ("assistant", f"answer {n}"), ("user", f"and {n}?")])
    assert len({bond_of("shop", spoken(*turn)) for turn in turns}) == 1


@pytest.mark.parametrize(
    ("tenant", "made"),
    [
        ("bank", spoken(("system", "a"), ("user", "b"))),
        ("shop", spoken(("system", "a"), ("user", "b"), model="other")),
        ("shop", spoken(("system", "A"), ("user", "b"))),
        ("shop", spoken(("system", "a"), ("user", "B"))),
        ("shop", spoken(("user", "ab"))),
        ("shop", spoken(("system", "ab"), ("user", ""))),
        ("shop", spoken(("system", "a"), ("user", "b" + "x" * 5000))),
    ],
)
def test_tenant_model_and_beginning_make_the_bond(tenant: str, made: Call) -> None:
    """Another tenant's same words are another conversation, and so are other words of the same tenant."""
    assert bond_of(tenant, made) != bond_of("shop", spoken(("system", "a"), ("user", "b")))


def test_of_long_messages_the_beginning_and_the_length_count() -> None:
    """A bounded number of bytes is looked at, however large the call."""
    long = "x" * MAX_TEXT
    assert bond_of("t", spoken(("user", long + "a"))) == bond_of("t", spoken(("user", long + "b")))
    assert bond_of("t", spoken(("user", long + "a"))) != bond_of("t", spoken(("user", long + "aa")))
    many = [("system", str(n)) for n in range(20)]
    assert bond_of("t", spoken(*many, ("user", "a"))) == bond_of("t", spoken(*many, ("user", "b")))


def test_of_parts_the_texts_count() -> None:
    """A picture is no text; neither is what is no part at all."""
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:…"}}, "stray", None]
    assert bond_of("t", spoken(("user", parts))) == bond_of("t", spoken(("user", parts[:1])))
    assert bond_of("t", spoken(("user", parts))) != bond_of("t", spoken(("user", [{"text": "hear"}])))
    assert bond_of("t", spoken(("user", None))) == bond_of("t", spoken(("user", 7)))


def test_a_half_of_a_surrogate_pair_binds_as_well() -> None:
    """Nothing that stands in a body raises."""
    assert bond_of("t", spoken(("user", "\ud800"))) is not None


def test_a_text_to_complete_binds_once_it_is_long() -> None:
    """A short one grows with the next turn; a list of prompts or tokens has no one beginning."""

    def bond(prompt: Any) -> int | None:
        return bond_of("t", Call(Operation.COMPLETION, "m", False, False, 1, frozenset(), 0, {"prompt": prompt}))

    assert bond("x" * MAX_TEXT) == bond("x" * MAX_TEXT + "and so on") is not None
    assert bond("x" * MAX_TEXT) != bond("y" * MAX_TEXT)
    assert bond("short") is bond(["x" * MAX_TEXT]) is bond(None) is None


def test_what_has_no_beginning_is_not_bound() -> None:
    """Embeddings keep nothing; a call that is only described has no messages."""
    assert bond_of("t", Call(Operation.EMBEDDING, "m", False, False, 1, frozenset(), 0, {"input": "x" * 999})) is None
    assert bond_of("t", Call(Operation.CHAT, "m", False, False, 1, frozenset(), 0, {})) is None


def test_the_chance_of_a_conversation_is_its_own_and_even() -> None:
    """So a ramp gives its share of the conversations, each always to the same side."""
    chances = [chance_of(bond) for bond in bonds(4000)]
    assert all(0 <= chance < 1 for chance in chances)
    assert sum(chance < 0.1 for chance in chances) / 4000 == pytest.approx(0.1, abs=0.02)
    assert chance_of(bonds(1)[0]) == chances[0]


# ---- home ------------------------------------------------------------------------------------------------------------


def test_homes_are_spread_evenly_and_so_are_second_ones() -> None:
    """A quarter each; and what was at one that goes out spreads over the three others."""
    orders = [tuple(ranked(bond)) for bond in bonds(8000)]
    firsts = Counter(row[0] for row in orders)
    assert min(firsts.values()) > 1850
    for home in range(4):
        seconds = Counter(row[1] for row in orders if row[0] == home)
        assert len(seconds) == 3
        assert min(seconds.values()) > 0.27 * firsts[home]


def test_an_endpoint_that_goes_moves_only_what_was_there() -> None:
    """And one that is added takes only what will be there."""
    three = FOUR[:3]
    for bond in bonds(300):
        with_all, without = ranked(bond), ranked(bond, places=three)
        assert [n for n in with_all if n != 3] == without


def test_the_order_does_not_depend_on_chance() -> None:
    """Every replica sends a conversation to the same place."""
    for bond in bonds(20):
        assert len({tuple(ranked(bond, seed=seed)) for seed in range(5)}) == 1


# ---- overload --------------------------------------------------------------------------------------------------------


def test_some_calls_more_than_others_are_no_overload() -> None:
    """Up to `SLACK` more than the average a batch takes what comes."""
    (bond,) = bonds(1)
    home = ranked(bond)[0]
    counts = [SLACK - 1 if n == home else 0 for n in range(4)]
    assert ranked(bond, ours(*counts))[0] == home
    counts[home] = SLACK + 1
    assert ranked(bond, ours(*counts))[0] == home


def test_an_overloaded_home_is_left_for_the_second_and_comes_last() -> None:
    """More than the slack and half above the average: the conversation goes where it would if home was out."""
    (bond,) = bonds(1)
    home, *others = ranked(bond)
    counts = [20 if n == home else 0 for n in range(4)]
    assert ranked(bond, ours(*counts)) == [*others, home]


def test_where_all_have_much_to_do_half_more_is_borne() -> None:
    """The average counts: 130 beside 100 each is no overload, 200 is."""
    (bond,) = bonds(1)
    home, *others = ranked(bond)
    assert ranked(bond, ours(*[130 if n == home else 100 for n in range(4)])) == [home, *others]
    assert ranked(bond, ours(*[200 if n == home else 100 for n in range(4)])) == [*others, home]


@pytest.mark.parametrize("busy", [(10, QUEUED, 0.5), (10, 0, FULL)])
def test_an_engine_that_says_it_has_no_room_is_left(busy: tuple[float, float, float]) -> None:
    """Calls wait there, or its cache is full: whatever comes would wait, or push another out."""
    (bond,) = bonds(1)
    home, *others = ranked(bond)
    rows = [busy if n == home else (10, 0, 0.5) for n in range(4)]
    assert ranked(bond, said(*rows)) == [*others, home]
    assert ranked(bond, said(*[(10, QUEUED - 1, FULL - 0.01)] * 4)) == [home, *others]


def test_where_none_has_room_home_is_as_good_as_any() -> None:
    """There at least a part of the work is done."""
    (bond,) = bonds(1)
    assert ranked(bond, said(*[(10, QUEUED, 1.0)] * 4)) == ranked(bond)


def test_what_was_said_long_ago_counts_no_more() -> None:
    """After `STALE` seconds the calls of our own are all that is known."""
    (bond,) = bonds(1)
    home, *others = ranked(bond)
    rows = [(99, 9, 1.0) if n == home else (0, 0, 0.0) for n in range(4)]
    assert ranked(bond, said(*rows, at=NOW - STALE)) == [*others, home]
    assert ranked(bond, said(*rows, at=NOW - STALE - 0.1)) == [home, *others]


def test_what_we_began_since_an_engine_spoke_is_added() -> None:
    """And what we ended is taken off, though never below our own calls."""
    (bond,) = bonds(1)
    home, *others = ranked(bond)
    key = FOUR[home].key
    idle = {place.key: Reading(0, 0, 0.0, NOW - 1, 0) for place in FOUR}
    assert ranked(bond, Loads({key: 20}, idle)) == [*others, home]
    assert ranked(bond, Loads({}, {**idle, key: Reading(20, 0, 0.0, NOW - 1, 20)})) == [home, *others]
    assert ranked(bond, Loads({key: 20}, {**idle, key: Reading(1, 0, 0.0, NOW - 1, 20)})) == [*others, home]


def test_an_engine_that_says_nothing_is_taken_for_as_busy_as_the_others() -> None:
    """It is no magnet: of what is not bound it gets a part, not all."""
    loads = said((50, 0, 0.5), (50, 0, 0.5), (50, 0, 0.5), None)
    firsts = Counter(ranked(None, loads, seed=seed)[0] for seed in range(400))
    assert firsts[3] < 150


# ---- what is not bound -----------------------------------------------------------------------------------------------


def test_of_two_at_random_the_less_loaded_is_first() -> None:
    """The busiest of all is never first, the idlest most often, and every endpoint is somewhere in the order."""
    firsts: Counter[int] = Counter()
    for seed in range(400):
        made = ranked(None, ours(0, 1, 2, 3), seed=seed)
        assert sorted(made) == [0, 1, 2, 3]
        firsts[made[0]] += 1
    assert 3 not in firsts
    assert firsts[0] > firsts[1] > firsts[2] > 0


def test_with_nothing_known_every_endpoint_is_first_as_often() -> None:
    """Chance alone decides, of two endpoints, too."""
    firsts = Counter(ranked(None, seed=seed)[0] for seed in range(800))
    assert min(firsts.values()) > 150
    two = Counter(ranked(None, seed=seed, places=FOUR[:2])[0] for seed in range(400))
    assert min(two.values()) > 150


def test_room_comes_before_few_calls() -> None:
    """An engine whose cache is full is behind one with more calls."""
    for seed in range(50):
        assert ranked(None, said((1, 0, 1.0), (9, 0, 0.1), (9, 0, 0.1), (9, 0, 0.1)), seed=seed)[0] != 0


# ---- whatever is said ------------------------------------------------------------------------------------------------

KEYS: list[EndpointKey] = [*(place.key for place in FOUR), ("other", "10.0.3.1:8000")]
LOADS = st.builds(
    Loads,
    st.dictionaries(st.sampled_from(KEYS), st.integers(1, 1000)),
    st.dictionaries(
        st.sampled_from(KEYS),
        st.builds(
            Reading,
            st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1), st.floats(0, 2 * NOW), st.integers(0, 1000),
        ),
    ),
)  # fmt: skip


@given(st.integers(2, 9), LOADS, st.none() | st.integers(0, 2**64 - 1), st.integers(0, 2**32))
def test_every_place_is_in_the_order_once(count: int, loads: Loads, bond: int | None, seed: int) -> None:
    """Loads and bonds order, and neither add nor remove."""
    places = places_of("vpc", endpoints(count))
    assert sorted(ranked(bond, loads, places, seed)) == list(range(count))
