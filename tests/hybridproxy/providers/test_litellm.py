"""Tests of LiteLLM's row."""

import pytest

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import classify
from hybridproxy.providers.litellm import LITELLM


@pytest.mark.parametrize(
    ("status", "type_", "message", "kind"),
    [
        (422, "budget_exceeded", "Budget has been exceeded! Current cost: 1", FaultKind.QUOTA),
        (429, "budget_exceeded", "Budget has been exceeded! Current cost: 1", FaultKind.QUOTA),
        (400, "None", "ExceededBudget: user", FaultKind.QUOTA),
        (422, "None", "validation", FaultKind.INVALID_REQUEST),
        (429, "None", "No deployments available for selected model", FaultKind.OVERLOADED),
        (429, "None", "rate limit", FaultKind.THROTTLED),
    ],
)
def test_a_spent_budget_is_no_throttle(status: int, type_: str, message: str, kind: FaultKind) -> None:
    """Waiting does not help it, in any version."""
    body = {"error": {"message": message, "type": type_, "param": None, "code": str(status)}}
    assert classify(LITELLM.faults, status, body, backend="l").kind is kind


def test_an_error_inside_a_stream_has_its_status_as_a_text() -> None:
    """As LiteLLM writes all its codes."""
    body = {"error": {"message": "m", "type": "None", "param": None, "code": "429"}}
    fault = classify(LITELLM.faults, 200, body, backend="l")
    assert (fault.kind, fault.status) == (FaultKind.THROTTLED, 429)
