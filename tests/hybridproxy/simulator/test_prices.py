"""What a simulated provider charges."""

from typing import Any

import pytest

from hybridproxy.simulator.behaviour import BehaviourError, parse_behaviour, show_behaviour
from hybridproxy.simulator.prices import USUAL, Tokens, read_prices

PRICE: dict[str, Any] = {
    "input": 1,
    "output": 2.5,
    "cached": 0.1,
    "written": 1.25,
    "thinking": 4,
    "tiers": [{"above": 100, "input": 2, "output": 5}, {"above": 200, "input": 3, "output": 6}],
}


@pytest.mark.parametrize(
    ("tokens", "bill"),
    [
        (Tokens(), 0),
        (Tokens(10, 4), 10 * 1000 + 4 * 2500),
        (Tokens(10, 4, cached=6), 4 * 1000 + 6 * 100 + 4 * 2500),
        (Tokens(10, 4, cached=6, written=3), 1000 + 6 * 100 + 3 * 1250 + 4 * 2500),
        (Tokens(10, 4, reasoning=1), 10 * 1000 + 4 * 4000),
        (Tokens(100, 1), 100 * 1000 + 2500),
        (Tokens(101, 1), 101 * 2000 + 5000),
        (Tokens(201, 1, cached=200, reasoning=1), 201 * 3000 + 6000),
    ],
)
def test_each_kind_of_token_has_its_price(tokens: Tokens, bill: int) -> None:
    """All of the input picks the tier; what is cached or written is not plain input too; thinking is for all output."""
    assert read_prices({"m": PRICE})["m"].charge(tokens) == bill


def test_a_part_of_a_nano_dollar_is_rounded_up() -> None:
    """Three tokens at a third of a nano-dollar and a little are two."""
    price = read_prices({"m": {"input": 0.000334, "output": 0}})["m"]
    assert [price.charge(Tokens(n)) for n in (0, 1, 2, 3)] == [0, 1, 1, 2]


def test_prices_are_shown_as_they_were_given() -> None:
    """What GET tells can be PUT again."""
    settings = parse_behaviour({"prices": {"m": PRICE, "*": {"input": 0, "output": 0.5}}})
    assert show_behaviour(settings)["prices"] == {"m": PRICE, "*": {"input": 0.0, "output": 0.5}}
    assert settings.prices["*"].charge(Tokens(7, 2)) == 1000
    assert USUAL.charge(Tokens(1, 1)) == 3000


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"m": 3},
        {"m": {"input": 1}},
        {"m": {"input": True, "output": 1}},
        {"m": {"input": -1, "output": 1}},
        {"m": {"input": 1, "output": 1, "more": 1}},
        {"m": {"input": 1, "output": 1, "tiers": {}}},
        {"m": {"input": 1, "output": 1, "tiers": [{"input": 1, "output": 1}]}},
        {"m": {"input": 1, "output": 1, "tiers": [{"above": 2, **PRICE}, {"above": 1, **PRICE}]}},
    ],
    ids=str,
)
def test_what_is_no_price_is_refused(wrong: object) -> None:
    """The mistake names the field."""
    with pytest.raises(BehaviourError, match=r"behaviour\.prices: expected"):
        parse_behaviour({"prices": wrong})
