"""What tokens cost."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.price import FREE, MILLION, NANO, UNKNOWN, Price, dollars, price
from hybridproxy.model.usage import Usage


def test_a_price_in_dollars_a_million_is_kept_in_whole_nano_dollars() -> None:
    """As providers print it: 0.20 dollars for a million tokens of input, 0.60 of output."""
    assert price(0.20, 0.60) == Price(200_000_000, 600_000_000)
    assert price(0.20, 0.60).known


def test_an_answer_costs_its_input_and_its_output() -> None:
    """A million tokens in and half a million out cost 50 cents; a thousand and a hundred 26 hundred-thousandths."""
    assert price(0.20, 0.60).of(Usage(1_000_000, 500_000)) == NANO // 2
    assert price(0.20, 0.60).of(Usage(1000, 100)) == 260_000


def test_what_a_call_asked_to_keep_has_a_price_of_its_own_when_it_is_read() -> None:
    """DashScope takes a fifth for what it found by itself, a tenth for what the call asked for; in each tier."""
    tiers = ((1000, price(2.0, 4.0, cached=0.4, asked=0.2)),)
    listed = price(1.0, 2.0, cached=0.2, written=1.25, tiers=tiers, asked=0.1)
    found, large = Usage(1000, 0, cached=900, written=100), Usage(2000, 0, cached=1000)
    assert listed.of(found) == 900 * 200 + 100 * 1250
    assert listed.tells_asking
    assert not price(1.0, 2.0, cached=0.2).tells_asking
    assert price(1.0, 2.0, tiers=((9, price(2.0, 3.0, asked=0.1)),)).tells_asking
    assert listed.asking().of(found) == 900 * 100 + 100 * 1250
    assert (listed.of(large), listed.asking().of(large)) == (1000 * 2400, 1000 * 2200)
    assert price(1.0, 2.0, cached=0.2).asking().of(found) == price(1.0, 2.0, cached=0.2).of(found)


@pytest.mark.parametrize(("tokens", "cost"), [(0, 0), (1, 1), (2, 1), (3, 2)])
def test_half_a_nano_dollar_is_money_too(tokens: int, cost: int) -> None:
    """Parts are rounded up, so that nothing that was used is free."""
    assert Price(MILLION // 2, 0).of(Usage(tokens, 0)) == cost


def test_a_price_that_nobody_gave_is_not_nothing() -> None:
    """Else a budget would never end; it says of itself that it is a stand-in, and output weighs more."""
    assert not UNKNOWN.known
    assert 0 < UNKNOWN.of(Usage(100, 0)) < UNKNOWN.of(Usage(0, 100))


def test_a_server_in_the_vpc_is_free_and_no_stand_in() -> None:
    """Nobody sends a bill for it; whoever gave no price though somebody does is charged a stand-in."""
    assert FREE.of(Usage(10**6, 10**6)) == 0
    assert not FREE.stands_in
    assert UNKNOWN.stands_in
    assert not price(0, 0).stands_in


def test_whose_list_a_price_is_from_makes_it_no_other_price() -> None:
    """It is for the record alone."""
    assert replace(price(1, 2), source="catalogue") == price(1, 2)


@pytest.mark.parametrize(("amount", "text"), [(0, "0.000000000"), (20_001, "0.000020001"), (3 * NANO, "3.000000000")])
def test_money_is_written_to_the_nano_dollar(amount: int, text: str) -> None:
    """As a decimal number, so that no reader rounds it."""
    assert dollars(amount) == text


TIERED = price(
    1, 6, thinking=8, cached=0.2, written=1.25,
    tiers=((32_000, price(2, 12)), (128_000, price(3, 15, thinking=30))),
)  # fmt: skip
"""One dollar up to 32,000 tokens of input, two up to 128,000, then three."""


@pytest.mark.parametrize(
    ("prompt", "dollars"), [(0, 1), (32_000, 1), (32_001, 2), (128_000, 2), (128_001, 3), (10**9, 3)]
)
def test_the_input_picks_one_tier_for_the_whole_call(prompt: int, dollars: int) -> None:
    """DashScope's rule: it is not only what lies beyond the bound that costs more."""
    assert TIERED.tier(prompt).input == dollars * NANO
    assert TIERED.of(Usage(prompt, 0)) == prompt * dollars * NANO // MILLION


def test_output_of_a_model_that_thinks_may_cost_more() -> None:
    """All of the answer then, and only where there is such a price."""
    assert TIERED.of(Usage(0, 1000, reasoning=1)) == 8_000_000
    assert TIERED.of(Usage(0, 1000)) == 6_000_000
    assert price(1, 6).of(Usage(0, 1000, reasoning=1)) == 6_000_000


def test_input_from_a_cache_may_cost_less() -> None:
    """A part of the input that is larger than the input is nobody's discount."""
    assert TIERED.of(Usage(1000, 0, cached=500)) == 600_000
    assert TIERED.of(Usage(1000, 0, cached=5000)) == 200_000
    assert price(1, 6).of(Usage(1000, 0, cached=500)) == 1_000_000


def test_input_that_is_put_into_a_cache_may_cost_more() -> None:
    """It is a part of the input and charged once; what came from the cache was not put into it as well."""
    assert TIERED.of(Usage(1000, 0, written=400)) == 600_000 + 500_000
    assert TIERED.of(Usage(1000, 0, cached=500, written=400)) == 100_000 + 100_000 + 500_000
    assert TIERED.of(Usage(1000, 0, cached=500, written=9000)) == 100_000 + 625_000
    assert TIERED.of(Usage(1000, 0, cached=5000, written=9000)) == 200_000
    assert price(1, 6).of(Usage(1000, 0, written=400)) == 1_000_000


def test_what_a_call_may_cost_is_told_before_it_is_made() -> None:
    """By the tier of its estimated input, and by whether it will think."""
    assert TIERED.expected(1000, 1000) == 7_000_000
    assert TIERED.expected(1000, 1000, thinks=True) == 9_000_000
    assert TIERED.expected(200_000, 0) == 600_000_000
    assert price(1, 6).expected(1000, 1000, thinks=True) == 7_000_000


def test_what_a_call_may_cost_at_most_is_what_is_dearer_thinking_or_not() -> None:
    """A price for thinking may be higher than the other, lower, or not there."""
    assert TIERED.at_most(1000, 1000) == 9_000_000
    assert TIERED.at_most(200_000, 0) == 600_000_000
    assert price(1, 6, thinking=3).at_most(1000, 1000) == price(1, 6).at_most(1000, 1000) == 7_000_000


USAGES = st.builds(Usage, st.integers(0, 2**53), st.integers(0, 2**53))


@given(st.builds(Price, st.integers(0, 10**13), st.integers(0, 10**13)), USAGES, USAGES)
def test_costs_are_whole_and_parts_cost_no_less_than_the_whole(tariff: Price, one: Usage, two: Usage) -> None:
    """No rounding error of floating numbers, however large the sums are."""
    whole = tariff.of(Usage(one.prompt + two.prompt, one.completion + two.completion))
    assert type(whole) is int
    assert whole <= tariff.of(one) + tariff.of(two) <= whole + 1
