"""Tests of reading what a call used."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.usage import MAX_TOKENS, Usage, cost_in, cost_of, count_in, count_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["prompt_tokens"]), inner),
)


def test_tokens_are_read_with_what_was_cached_and_what_was_thinking() -> None:
    """The detail objects say how much of each number was cheaper or hidden."""
    reported = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 12},
    }
    assert Usage.from_openai(reported) == Usage(prompt=100, completion=20, cached=64, reasoning=12)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 758, "completion_tokens": 102, "total_tokens": 1725}, Usage(758, 967, reasoning=865)),
        ({"prompt_tokens": 21, "total_tokens": 81, "completion_tokens": 0}, Usage(21, 60, reasoning=60)),
        (
            {
                "prompt_tokens": 21, "total_tokens": 91, "completion_tokens": 10,
                "completion_tokens_details": {"reasoning_tokens": 60},
            },
            Usage(21, 70, reasoning=60),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}, Usage(9, 8)),
        ({"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 3}, Usage(9, 8)),
        ({"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": MAX_TOKENS + 1}, Usage(9, 8)),
    ],
)  # fmt: skip
def test_thoughts_that_are_in_the_total_alone_are_output(told: dict[str, Any], usage: Usage) -> None:
    """Gemini counts the visible answer and bills what it thought as well: only its total has both."""
    assert Usage.from_openai(told) == usage


def test_what_a_cache_had_may_stand_beside_the_rest() -> None:
    """DeepSeek says it twice; the detail counts where it is there."""
    reported = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}
    assert Usage.from_openai(reported) == Usage(9, 1, cached=4)
    assert Usage.from_openai(reported | {"prompt_tokens_details": {"cached_tokens": 5}}) == Usage(9, 1, cached=5)


@pytest.mark.parametrize("absurd", [-1, MAX_TOKENS + 1, 2**63, 1.5, "7", True, None, [], {}])
def test_an_absurd_number_counts_as_nothing(absurd: Any) -> None:
    """An upstream cannot make a bill negative, endless or of another type."""
    assert Usage.from_openai({"prompt_tokens": absurd, "completion_tokens": MAX_TOKENS}) == Usage(0, MAX_TOKENS)


def test_what_an_upstream_reports_is_no_estimate() -> None:
    """Only what we counted ourselves is marked as one, by whoever counted it."""
    reported = Usage.from_openai({"prompt_tokens": 3, "completion_tokens": 2, "estimated": True})
    assert reported == Usage(3, 2)
    assert reported != Usage(3, 2, estimated=True)


@pytest.mark.parametrize("details", [None, [], "cached", 5])
def test_details_that_are_none_count_as_nothing(details: Any) -> None:
    """Some servers send null there, some nothing."""
    told = {"prompt_tokens": 3, "completion_tokens": 2}
    more = {"prompt_tokens_details": details, "completion_tokens_details": details}
    assert Usage.from_openai(told | more) == Usage(3, 2)


@pytest.mark.parametrize(
    "reported",
    [
        {"prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3}},
        {"prompt_tokens_details": {"cached_tokens": 4, "cache_creation_input_tokens": 3}},
        {"prompt_tokens_details": {"cached_tokens": 4}, "cache_creation_input_tokens": 3},
    ],
    ids=["OpenRouter", "DashScope", "LiteLLM"],
)
def test_what_was_put_into_a_cache_is_a_part_of_the_input(reported: Any) -> None:
    """Each has a word of its own for it."""
    usage = Usage.from_openai({"prompt_tokens": 9, "completion_tokens": 1} | reported)
    assert usage == Usage(9, 1, cached=4, written=3)


@pytest.mark.parametrize(
    ("told", "nano"),
    [
        (3.4e-06, 3400), (0.1, 100_000_000), (0, 0), (2, 2 * 10**9), ("0.00012", 120_000), (1e-10, 0), (5e-10, 1),
        (0.1 + 0.2, 300_000_000), (-1e-6, None), (float("nan"), None), (float("inf"), None), (10_001, None),
        ("NaN", None), ("1e400", None), ("", None), ("free", None), ("1" * 41, None), (True, None), (None, None),
        ([1], None), ({"total_cost": 1}, None),
    ],
)  # fmt: skip
def test_a_cost_is_a_decimal_number_of_dollars(told: Any, nano: int | None) -> None:
    """Read as it was written, to the nano-dollar; what is no number, below nothing or absurd is no cost."""
    assert cost_of(told) == nano
    assert Usage.from_openai({"cost": told}, "cost") == Usage(0, 0, cost=nano)


def test_a_cost_is_read_only_where_its_provider_has_it() -> None:
    """Elsewhere the same word may stand for something else, in another currency."""
    assert Usage.from_openai({"prompt_tokens": 1, "cost": 0.5}) == Usage(1, 0)
    assert Usage.from_openai({"prompt_tokens": 1, "estimated_cost": 0.5}, "estimated_cost") == Usage(
        1, 0, cost=5 * 10**8
    )


@pytest.mark.parametrize(
    ("details", "nano"), [({"upstream_inference_cost": 0.002}, 2_100_000), ({}, None), (None, None)]
)
def test_with_a_key_of_ones_own_the_hosts_bill_is_added(details: Any, nano: int | None) -> None:
    """OpenRouter's cost is then its fee alone; where the host's is not told, nothing is known."""
    usage = {"cost": 0.0001, "is_byok": True, "cost_details": details}
    assert Usage.from_openai(usage, "cost") == Usage(0, 0, cost=nano)
    assert cost_in(usage) == {}


def test_a_cost_goes_from_one_dialect_to_another_as_a_number() -> None:
    """And nothing else that may stand in its place."""
    assert cost_in({"cost": 0.25}) == {"cost": 0.25}
    assert cost_in({"cost": {"a": [1]}}) == cost_in({}) == {}


def test_two_reports_are_added() -> None:
    """What both cost together is known only where both told it."""
    one, two = Usage(1, 2, 3, 4, written=5, cost=6), Usage(10, 20, 30, 40, estimated=True, written=50, cost=60)
    assert one.plus(two) == Usage(11, 22, 33, 44, estimated=True, written=55, cost=66)
    assert one.plus(Usage(0, 0)) == Usage(1, 2, 3, 4, written=5)


@given(JSON)
def test_whatever_an_upstream_reports_is_usage_or_none(reported: Any) -> None:
    """Reading never raises, and only an object is a report."""
    usage = Usage.from_openai(reported)
    assert (usage is not None) == isinstance(reported, dict)
    assert usage is None or min(usage.prompt, usage.completion, usage.cached, usage.reasoning) >= 0


@pytest.mark.parametrize(
    ("told", "count"), [(7, 7), (0, 0), (-1, 0), (2**60, 0), (True, 0), (7.0, 0), ("7", 0), (None, 0)]
)
def test_a_number_that_cannot_be_one_of_tokens_is_none(told: Any, count: int) -> None:
    """What upstreams tell is read in one place, whichever their dialect."""
    assert count_of(told) == count_in({"tokens": told}, "tokens") == count
    assert count_in({}, "tokens") == count_in(None, "tokens") == count_in([7], "tokens") == 0
