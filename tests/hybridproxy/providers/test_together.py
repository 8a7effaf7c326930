"""Tests of Together's row."""

from typing import Any

import pytest

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import classify
from hybridproxy.providers.together import TOGETHER


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"logprobs": True, "top_logprobs": 5}, {"logprobs": 5}),
        ({"logprobs": True, "top_logprobs": 50}, {"logprobs": 20}),
        ({"logprobs": True}, {"logprobs": 1}),
        ({"logprobs": True, "top_logprobs": True}, {"logprobs": 1}),
        ({"logprobs": True, "top_logprobs": 0}, {"logprobs": 1}),
        ({"logprobs": False, "top_logprobs": 5}, {}),
        ({"logprobs": 3}, {"logprobs": 3}),
        ({"temperature": 1}, {"temperature": 1}),
    ],
)
def test_the_pair_for_log_probabilities_is_one_number_there(given: dict[str, Any], sent: dict[str, Any]) -> None:
    """What the caller asked for is asked for, in Together's spelling."""
    assert TOGETHER.prepare is not None
    TOGETHER.prepare(given, ())
    assert given == sent


def test_403_is_about_the_context() -> None:
    """It must not quarantine the credential."""
    body = {"error": {"message": "input and max_tokens", "type": "x", "param": None, "code": None}}
    assert classify(TOGETHER.faults, 403, body, backend="t").kind is FaultKind.CONTEXT_TOO_LONG


def test_it_is_not_known_to_continue() -> None:
    """Its description has no field for it, and what a last message of the assistant does is not documented."""
    assert TOGETHER.continuation is None
