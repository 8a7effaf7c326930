"""Tests of Fireworks' row."""

from typing import Any

import pytest

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import classify
from hybridproxy.providers.fireworks import FIREWORKS


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (
            {"messages": [], "max_tokens": 5},
            {"messages": [], "max_tokens": 5, "context_length_exceeded_behavior": "error"},
        ),
        (
            {
                "messages": [],
                "max_tokens": 5,
                "max_completion_tokens": 6,
                "context_length_exceeded_behavior": "truncate",
            },
            {"messages": [], "max_completion_tokens": 6, "context_length_exceeded_behavior": "truncate"},
        ),
        ({"input": "a"}, {"input": "a"}),
    ],
)
def test_nothing_is_cut_off_in_silence_and_one_limit_is_enough(given: dict[str, Any], sent: dict[str, Any]) -> None:
    """Unless the caller wants it so; with both limits it would refuse the call."""
    assert FIREWORKS.prepare is not None
    FIREWORKS.prepare(given, ())
    assert given == sent


def test_a_deployment_that_wakes_up_is_overloaded() -> None:
    """Minutes, for which another backend serves."""
    body = {"error": {"code": "DEPLOYMENT_SCALING_UP", "message": "scaled to zero"}}
    assert classify(FIREWORKS.faults, 503, body, backend="f").kind is FaultKind.OVERLOADED
