"""Tests of reading what a call used."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.usage import Usage

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


@pytest.mark.parametrize("absurd", [-1, 2**53 + 1, 1.5, "7", True, None, [], {}])
def test_an_absurd_number_counts_as_nothing(absurd: Any) -> None:
    """An upstream cannot make a bill negative, endless or of another type."""
    assert Usage.from_openai({"prompt_tokens": absurd, "completion_tokens": 2**53}) == Usage(0, 2**53)


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


@given(JSON)
def test_whatever_an_upstream_reports_is_usage_or_none(reported: Any) -> None:
    """Reading never raises, and only an object is a report."""
    usage = Usage.from_openai(reported)
    assert (usage is not None) == isinstance(reported, dict)
    assert usage is None or min(usage.prompt, usage.completion, usage.cached, usage.reasoning) >= 0
