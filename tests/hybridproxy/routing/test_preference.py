"""Tests of what a route prefers."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.call import Call, Capability
from hybridproxy.model.load import NO_LOADS, Loads, Pace, PaceKey
from hybridproxy.model.price import UNKNOWN, Price, price
from hybridproxy.model.snapshot import Prefer
from hybridproxy.model.value import value
from hybridproxy.routing.preference import ANSWER, STALE, arranged, expected_tokens, measured, paced, preferred
from hybridproxy.routing.scores import Rng
from tests.support.make import call

NOW = 1000.0


class Never:
    """Chance that never explores."""

    def random(self) -> float:
        return 0.5


class Always:
    """Chance that always does."""

    def random(self) -> float:
        return 0.01


@value
class Item:
    name: str
    price: Price = UNKNOWN
    fresh: int = 0
    weight: float = 1.0

    @property
    def pace_key(self) -> PaceKey:
        return (self.name, "qwen")


def order(
    items: Sequence[Item | tuple[Item, ...]],
    *criteria: Prefer,
    asked: Call | None = None,
    paces: dict[str, float] | None = None,
    rng: Rng | None = None,
) -> str:
    """The names, the preferred first; an item alone is a group of one."""
    groups = [item if isinstance(item, tuple) else (item,) for item in items]
    loads = Loads({}, {}, {(name, "qwen"): Pace(seconds, 9, NOW) for name, seconds in (paces or {}).items()})
    found = preferred(groups, criteria, asked or call(), "qwen3", loads, NOW, rng or Never())
    return "".join(item.name for item in found)


def dollars(name: str, usd: float, **more: Any) -> Item:
    """An item at a price."""
    return Item(name, price(usd, usd), **more)


def test_what_a_call_may_cost_decides() -> None:
    """The cheapest first; a price that nobody gave comes last, however low the stand-in is."""
    assert order([dollars("a", 3), Item("b"), dollars("c", 1), dollars("d", 2)], Prefer.PRICE) == "cdab"


def test_a_hundredth_more_is_not_dearer() -> None:
    """What is nearly the cheapest keeps the route's order; else a price list's rounding would move the traffic."""
    assert order([dollars("a", 1.01), dollars("b", 1), dollars("c", 1.06)], Prefer.PRICE) == "abc"
    assert order([dollars("c", 1.06), dollars("a", 1.01), dollars("b", 1)], Prefer.PRICE) == "abc"


def test_a_long_input_may_make_another_one_the_cheapest() -> None:
    """One charges more for what is read, the other for what is written."""
    reader, writer = Item("r", price(0.1, 9)), Item("w", price(1, 1))
    assert order([reader, writer], Prefer.PRICE, asked=call(text="x" * 400_000)) == "rw"
    assert order([reader, writer], Prefer.PRICE, asked=call(text="short")) == "wr"


def test_the_tier_of_the_input_counts() -> None:
    """What is cheap for short inputs only is not for a long one."""
    tiered = Item("t", price(1, 1, tiers=((1000, price(5, 5)),)))
    assert order([dollars("a", 2), tiered], Prefer.PRICE) == "ta"
    assert order([dollars("a", 2), tiered], Prefer.PRICE, asked=call(text="x" * 8000)) == "at"


@pytest.mark.parametrize(
    ("body", "answer", "thinks"),
    [
        ({}, ANSWER, False),
        ({"max_tokens": 50}, 50, False),
        ({"max_tokens": 50, "max_completion_tokens": 70}, 70, False),
        ({"max_tokens": True}, ANSWER, False),
        ({"max_tokens": 10**30}, ANSWER, False),
        ({"max_completion_tokens": "7", "max_tokens": 9}, 9, False),
        ({"enable_thinking": True}, ANSWER, True),
        ({"enable_thinking": "yes"}, ANSWER, False),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, ANSWER, True),
        ({"reasoning_effort": "high"}, ANSWER, True),
        ({"reasoning_effort": "none"}, ANSWER, False),
        ({"chat_template_kwargs": {"enable_thinking": True}}, ANSWER, True),
    ],
)
def test_what_a_call_says_of_its_answer_is_believed_within_reason(
    body: dict[str, Any], answer: int, thinks: bool
) -> None:
    """A limit of the caller's, and whether it asks to think, of several spellings; nonsense counts for nothing."""
    asked = call()
    described = Call(asked.operation, "qwen", True, False, 1, frozenset(), 400, {**asked.body, **body})
    assert expected_tokens(described, "qwen3") == (100, answer, thinks)


def test_bytes_of_pictures_are_no_text() -> None:
    """Where there are pictures the texts alone are counted."""
    parts = [{"type": "image_url", "image_url": {"url": "data:" + "A" * 100_000}}, {"type": "text", "text": "x" * 400}]
    body = {"messages": [{"role": "user", "content": parts}]}
    asked = call()
    looks = Call(asked.operation, "qwen", True, False, 1, frozenset({Capability.VISION}), 100_500, body)
    assert 100 < expected_tokens(looks, "qwen3")[0] < 2000


def test_the_freshest_comes_first_and_what_nobody_knows_last() -> None:
    """By the day, whatever the order in the route."""
    items = [Item("a", fresh=20250923), Item("b"), Item("c", fresh=20260803), Item("d", fresh=20260803)]
    assert order(items, Prefer.FRESH) == "cdab"


def test_the_quickest_comes_first() -> None:
    """By measured times; 50 ms, or a quarter, is no difference."""
    items = [Item("a"), Item("b"), Item("c")]
    assert order(items, Prefer.LATENCY, paces={"a": 3.0, "b": 1.0, "c": 2.0}) == "bca"
    assert order(items, Prefer.LATENCY, paces={"a": 0.06, "b": 0.02, "c": 0.1}) == "abc"
    assert order(items, Prefer.LATENCY, paces={"a": 1.24, "b": 1.0, "c": 1.26}) == "abc"


def test_a_way_that_was_not_measured_is_neither_good_nor_bad() -> None:
    """It counts as one of the best, so the route's order decides between it and them."""
    items = [Item("a"), Item("b"), Item("c")]
    assert order(items, Prefer.LATENCY, paces={"a": 3.0, "b": 1.0}) == "bca"
    assert order(items, Prefer.LATENCY) == "abc"


def test_now_and_then_it_is_tried_first() -> None:
    """Else one that stands last in the route would never be measured."""
    items = [Item("a"), Item("b"), Item("c")]
    assert order(items, Prefer.LATENCY, paces={"a": 3.0, "b": 1.0}, rng=Always()) == "cba"
    assert order(items, Prefer.LATENCY, paces={"a": 3.0, "b": 1.0, "c": 2.0}, rng=Always()) == "bca"


def test_the_next_criterion_decides_what_the_first_leaves_open() -> None:
    """Lexicographic: price among those that are equally quick, freshness among those that cost the same."""
    items = [dollars("a", 2), dollars("b", 1), dollars("c", 0.5), dollars("d", 1, fresh=1)]
    paces = {"a": 1.0, "b": 1.1, "c": 2.0, "d": 1.05}
    assert order(items, Prefer.LATENCY, Prefer.PRICE, paces=paces) == "bdac"
    assert order(items, Prefer.LATENCY, Prefer.PRICE, Prefer.FRESH, paces=paces) == "dbac"
    assert order(items, Prefer.PRICE, Prefer.LATENCY, paces=paces) == "cbda"


def test_a_weighted_group_stays_one_where_nothing_tells_its_members_apart() -> None:
    """Among equals chance draws by weight, as it does without any preference."""
    rng = random.Random(1)
    group = (dollars("a", 1, weight=3), dollars("b", 1))
    firsts = Counter(order([group, dollars("c", 1)], Prefer.PRICE, rng=rng)[0] for _ in range(4000))
    assert firsts["a"] / 4000 == pytest.approx(0.75, abs=0.03)
    assert set(firsts) == {"a", "b"}


def test_weight_makes_one_group_of_all_that_is_left_open() -> None:
    """Wherever they stand in the route."""
    rng = random.Random(1)
    items = [dollars("a", 1, weight=3), dollars("b", 1), dollars("c", 5, weight=99)]
    firsts = Counter(order(items, Prefer.PRICE, Prefer.WEIGHT, rng=rng)[0] for _ in range(4000))
    assert firsts["a"] / 4000 == pytest.approx(0.75, abs=0.03)
    assert set(firsts) == {"a", "b"}


def test_freshness_alone_is_arranged_beforehand() -> None:
    """The same for every call; groups keep their members of the same day together."""
    a, b, c, d = Item("a", fresh=1), Item("b", fresh=2), Item("c", fresh=2), Item("d", fresh=1)
    assert arranged([(a, b, c), (d,)]) == ((b, c), (a,), (d,))
    assert arranged([]) == ()


def test_times_are_smoothed_and_grow_stale() -> None:
    """One slow call moves the time by a fifth; after ten minutes nothing is known any more."""
    pace = paced(None, 1.0, NOW)
    assert pace == Pace(1.0, 1, NOW)
    pace = paced(pace, 2.0, NOW + 1)
    assert pace.seconds == pytest.approx(1.2)
    assert pace.calls == 2
    assert paced(pace, 5.0, NOW + 2 + STALE) == Pace(5.0, 1, NOW + 2 + STALE)


def test_too_few_or_too_old_times_say_nothing() -> None:
    """Three calls within ten minutes do."""
    assert measured(None, NOW) is None
    assert measured(Pace(1.0, 2, NOW), NOW) is None
    assert measured(Pace(1.0, 3, NOW), NOW) == 1.0
    assert measured(Pace(1.0, 3, NOW), NOW + STALE + 1) is None


ITEMS = st.lists(
    st.builds(
        Item,
        st.text("abcdef", min_size=1, max_size=3),
        st.sampled_from([UNKNOWN, price(0, 0), price(1, 2), price(1.01, 2), price(9, 9)]),
        st.integers(0, 3),
        st.sampled_from([0.0, 1.0, 3.0]),
    ),
    max_size=7,
)
CRITERIA = st.permutations(list(Prefer)).flatmap(lambda all_: st.integers(0, 5).map(lambda n: all_[:n]))


@given(ITEMS, st.lists(st.integers(1, 3), max_size=7), CRITERIA, st.integers(0, 2**32))
def test_nobody_is_added_or_lost_and_the_same_chance_gives_the_same_order(
    items: list[Item], sizes: list[int], criteria: list[Prefer], seed: int
) -> None:
    """A preference orders what policy and health left, and does nothing else."""
    groups, left = [], list(items)
    for size in [*sizes, len(items)]:
        if left:
            groups.append(tuple(left[:size]))
            left = left[size:]
    loads = Loads({}, {}, {item.pace_key: Pace(len(item.name), 5, NOW) for item in items[::2]})
    found = preferred(groups, criteria, call(), "qwen3", loads, NOW, random.Random(seed))
    assert sorted(map(id, found)) == sorted(map(id, items))
    assert found == preferred(groups, criteria, call(), "qwen3", loads, NOW, random.Random(seed))


@given(ITEMS)
def test_without_a_criterion_the_routes_order_stands(items: list[Item]) -> None:
    """One group an item: nothing moves."""
    assert preferred([(item,) for item in items], (), call(), "qwen3", NO_LOADS, NOW, Never()) == items
