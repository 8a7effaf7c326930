"""What tokens cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.price import MILLION, NANO, UNKNOWN, Price, price
from hybridproxy.model.usage import Usage


def test_a_price_in_dollars_a_million_is_kept_in_whole_nano_dollars() -> None:
    """As providers print it: 0.20 dollars for a million tokens of input, 0.60 of output."""
    assert price(0.20, 0.60) == Price(200_000_000, 600_000_000)
    assert price(0.20, 0.60).known


def test_an_answer_costs_its_input_and_its_output() -> None:
    """A million tokens in and half a million out cost 50 cents; a thousand and a hundred 26 hundred-thousandths."""
    assert price(0.20, 0.60).of(Usage(1_000_000, 500_000)) == NANO // 2
    assert price(0.20, 0.60).of(Usage(1000, 100)) == 260_000


@pytest.mark.parametrize(("tokens", "cost"), [(0, 0), (1, 1), (2, 1), (3, 2)])
def test_half_a_nano_dollar_is_money_too(tokens: int, cost: int) -> None:
    """Parts are rounded up, so that nothing that was used is free."""
    assert Price(MILLION // 2, 0).of(Usage(tokens, 0)) == cost


def test_a_price_that_nobody_gave_is_not_nothing() -> None:
    """Else a budget would never end; it says of itself that it is a stand-in, and output weighs more."""
    assert not UNKNOWN.known
    assert 0 < UNKNOWN.of(Usage(100, 0)) < UNKNOWN.of(Usage(0, 100))


USAGES = st.builds(Usage, st.integers(0, 2**53), st.integers(0, 2**53))


@given(st.builds(Price, st.integers(0, 10**13), st.integers(0, 10**13)), USAGES, USAGES)
def test_costs_are_whole_and_parts_cost_no_less_than_the_whole(tariff: Price, one: Usage, two: Usage) -> None:
    """No rounding error of floating numbers, however large the sums are."""
    whole = tariff.of(Usage(one.prompt + two.prompt, one.completion + two.completion))
    assert type(whole) is int
    assert whole <= tariff.of(one) + tariff.of(two) <= whole + 1
