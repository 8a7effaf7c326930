"""Tests of reading a provider's own list of models."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.lists import MAX_LISTED, Listed, Lists, count, is_whole, read_list

OPENROUTER = Lists(
    context="context_length", input="pricing.prompt", output="pricing.completion", per_million=1e6,
    removal="expiration_date",
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["data", "id", "pricing", "prompt"]), inner),
)


def test_prices_for_a_token_become_prices_for_a_million() -> None:
    """OpenRouter writes texts, US dollars for one token."""
    entry = {
        "id": "qwen/qwen3-max",
        "context_length": 262144,
        "pricing": {"prompt": "0.0000012", "completion": "0.000006"},
        "expiration_date": "2026-12-31T00:00:00Z",
    }
    (found,) = read_list(OPENROUTER, {"data": [entry]}) or ()
    assert (found.id, found.context, found.removal) == ("qwen/qwen3-max", 262144, "2026-12-31")
    assert found.input == pytest.approx(1.2)
    assert found.output == pytest.approx(6)


def test_a_list_may_be_the_whole_answer_and_a_price_one_of_a_list() -> None:
    """Together has a bare list, Fireworks a price an entry, Gemini a folder before the name, Novita small units."""
    bare = Lists(entries="", context="context_length", input="pricing.input", output="pricing.output")
    assert read_list(bare, [{"id": "m", "context_length": 5, "pricing": {"input": 0.3, "output": 0}}]) == (
        Listed("m", 5, 0.3, 0.0),
    )
    several = Lists(input="pricing.sku=in.amount", output="pricing.sku=out.amount", before="models/")
    prices = [7, {"sku": "out", "amount": "2.5"}]
    assert read_list(several, {"data": [{"id": "models/m", "pricing": prices}]}) == (Listed("m", output=2.5),)
    assert read_list(several, {"data": [{"id": "models/m", "pricing": "free"}]}) == (Listed("m"),)
    small = Lists(input="p", per_million=0.0001)
    (found,) = read_list(small, {"data": [{"id": "m", "p": 900}]}) or ()
    assert found.input == pytest.approx(0.09)


def test_a_list_may_be_of_some_names_alone() -> None:
    """What Fireworks deployed for somebody is on no list, and so cannot be missing there."""
    fireworks = PROVIDERS["fireworks"].lists
    assert fireworks is not None
    assert fireworks.is_about("accounts/fireworks/models/qwen3p7-plus")
    assert not fireworks.is_about("accounts/acme/deployments/abc123")
    assert not fireworks.is_about("accounts/fireworks/models/qwen3p7-plus#accounts/acme/deployments/abc123")
    assert Lists().is_about("anything")


def test_a_list_in_pages_is_whole_when_all_its_entries_came() -> None:
    """Those without a name count too; who does not say how many there are has not said all."""
    pages = Lists(page="n", total="output.total", entries="output.models")
    body = {"output": {"total": 3, "models": [{"id": "a"}, {}]}}
    assert count(pages, body) == 2
    assert [is_whole(pages, body, entries) for entries in (2, 3)] == [False, True]
    assert not is_whole(pages, {"output": {"total": "3"}}, 3)
    assert is_whole(Lists(), {}, 0)
    assert (count(Lists(entries=""), [1, 2]), count(Lists(), {"data": 5})) == (2, 0)


@pytest.mark.parametrize("price", [None, True, "free", "-1", -1, float("nan"), "1e999", 10**400, [1]])
def test_what_is_no_price_is_not_known(price: Any) -> None:
    """Nor is it a reason to leave the model out."""
    assert read_list(Lists(input="price"), {"data": [{"id": "m", "price": price}]}) == (Listed("m"),)


@pytest.mark.parametrize("entry", [None, {}, {"id": ""}, {"id": 5}, {"id": "a\nb"}, {"id": "x" * 257}])
def test_an_entry_without_a_name_is_none(entry: Any) -> None:
    """The others stay."""
    assert read_list(Lists(), {"data": [entry, {"id": "m"}]}) == (Listed("m"),)


@pytest.mark.parametrize("context", [None, 0, -1, "8192", True, 1.5])
def test_a_window_is_a_whole_number(context: Any) -> None:
    """Or it is not known."""
    assert read_list(Lists(context="c", removal="r"), {"data": [{"id": "m", "c": context, "r": 5}]}) == (Listed("m"),)


@pytest.mark.parametrize("body", [None, [], {}, {"data": {}}, "text"])
def test_an_answer_that_is_no_list_is_none(body: Any) -> None:
    """An error, for one."""
    assert read_list(Lists(), body) is None


def test_a_list_has_an_end() -> None:
    """Whoever sends more gets no more of our time."""
    assert len(read_list(Lists(), {"data": [{"id": "m"}] * (MAX_LISTED + 1)}) or ()) == MAX_LISTED


@given(JSON)
def test_nothing_in_a_list_raises(body: Any) -> None:
    """Whatever it is."""
    read_list(OPENROUTER, body)
    read_list(Lists(entries="", input="pricing.prompt=x.y"), body)
