"""Tests of Anthropic's row."""

from typing import Any

import pytest

from hybridproxy.dialects.thinking import say_thinking
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.anthropic import ANTHROPIC
from hybridproxy.providers.faults import classify


def test_it_speaks_its_own_dialect_alone() -> None:
    """At an address with the version of the path and without."""
    assert ANTHROPIC.paths == {}
    wire = ANTHROPIC.wires[Dialect.ANTHROPIC]
    assert wire.paths.keys() == {Operation.CHAT, Operation.COUNT}
    assert [wire.root_at(base) for base in ("", "/v1", "/proxied/v1")] == ["/v1", "/v1", "/proxied/v1"]


@pytest.mark.parametrize(
    ("status", "type_", "message", "kind"),
    [
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", FaultKind.CONTEXT_TOO_LONG),
        (400, "invalid_request_error", "Your credit balance is too low to access the API", FaultKind.QUOTA),
        (400, "invalid_request_error", "x: Extra inputs are not permitted", FaultKind.INVALID_REQUEST),
        (402, "billing_error", "There is an issue with your billing", FaultKind.QUOTA),
        (429, "rate_limit_error", "This would exceed your rate limit", FaultKind.THROTTLED),
        (529, "overloaded_error", "Overloaded", FaultKind.OVERLOADED),
        (200, "overloaded_error", "Overloaded", FaultKind.OVERLOADED),
        (500, "api_error", "Internal server error", FaultKind.UPSTREAM_ERROR),
    ],
)
def test_its_errors(status: int, type_: str, message: str, kind: FaultKind) -> None:
    """Within a stream only the type tells."""
    body = {"type": "error", "error": {"type": type_, "message": message}}
    assert classify(ANTHROPIC.faults, status, body, backend="a").kind is kind


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"enable_thinking": True}, {"thinking": {"type": "adaptive"}}),
        ({"reasoning_effort": "minimal"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ({"thinking_budget": 100}, {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        (
            {"thinking": {"type": "adaptive"}, "reasoning_effort": "max"},
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
        ),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}},) * 2,
    ],
)
def test_thinking_is_asked_for_in_its_spelling(asked: dict[str, Any], said: dict[str, Any]) -> None:
    """A word for how hard makes it adaptive, a number of tokens does not."""
    body = dict(asked)
    say_thinking(body, ANTHROPIC.thinks)
    assert body == said
