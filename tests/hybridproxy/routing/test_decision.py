"""Tests of a decision as people see it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.plan import Candidate
from hybridproxy.routing.decision import MAX_HEADER, decision, header, listed
from tests.support.make import caller

KEPT = Candidate("together-us", kept=True, reason="region asia")
CANDIDATES = st.lists(st.builds(Candidate, st.text(max_size=60), kept=st.booleans(), reason=st.text(max_size=200)))


def test_a_decision_says_who_from_where_and_what_became_of_every_backend() -> None:
    """The same value stands in `explain`, in the header and in the log."""
    dropped = Candidate("vpc", kept=False, reason="not in the route for region asia")
    assert decision("qwen", caller(), [KEPT, dropped]) == {
        "caller": {"country": "SG", "source": "database", "region": "asia"},
        "tenant": "shop",
        "model": "qwen",
        "candidates": listed([KEPT, dropped]),
    }
    assert listed([KEPT]) == [{"backend": "together-us", "kept": True, "reason": "region asia"}]


@given(CANDIDATES)
def test_the_header_is_bounded_ascii_json_that_begins_with_the_best(candidates: list[Candidate]) -> None:
    """No load balancer refuses it, nothing in it can end the line, and what was left out is counted."""
    value = decision("qwen", caller(), candidates)
    text = header(value)
    assert len(text) <= MAX_HEADER
    assert text.isascii()
    assert text.isprintable()
    read = json.loads(text)
    kept = read["candidates"]
    assert kept == value["candidates"][: len(kept)]
    assert read.get("truncated", 0) == len(candidates) - len(kept)


@pytest.mark.parametrize("count", [0, 3])
def test_where_not_even_the_caller_fits_only_the_number_is_left(count: int) -> None:
    """A value of any size gives a header that is short enough."""
    text = header(decision("q" * MAX_HEADER, caller(), [KEPT] * count))
    assert json.loads(text) == {"truncated": count}
