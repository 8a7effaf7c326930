"""Tests of Gemini's row."""

from typing import Any

import pytest

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import classify
from hybridproxy.providers.gemini import GEMINI


@pytest.mark.parametrize(
    ("status", "name", "message", "kind"),
    [
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", FaultKind.CREDENTIAL),
        (400, "FAILED_PRECONDITION", "User location is not supported for the API use.", FaultKind.FORBIDDEN),
        (400, "INVALID_ARGUMENT", "Unknown name", FaultKind.INVALID_REQUEST),
        (429, "RESOURCE_EXHAUSTED", "quota", FaultKind.THROTTLED),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_a_400_may_be_our_keys_doing(status: int, name: str, message: str, kind: FaultKind, *, listed: bool) -> None:
    """By its words; and an error may stand in a list."""
    body: Any = {"error": {"code": status, "message": message, "status": name}}
    assert classify(GEMINI.faults, status, [body] if listed else body, backend="g").kind is kind
