"""Tests of SGLang's row."""

from typing import Any

import pytest

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import classify
from hybridproxy.providers.metrics import Metrics
from hybridproxy.providers.provider import Continues
from hybridproxy.providers.sglang import SGLANG


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (503, {"object": "error", "message": "The request queue is full.", "code": 503}, FaultKind.OVERLOADED),
        (
            200,
            {"error": {"object": "error", "message": "The request queue is full.", "code": 503}},
            FaultKind.OVERLOADED,
        ),
        (400, {"object": "error", "message": "role", "type": "BadRequest", "code": 400}, FaultKind.INVALID_REQUEST),
        (401, {"error": "Unauthorized"}, FaultKind.CREDENTIAL),
    ],
)
def test_errors_are_read_flat_and_in_an_object(status: int, body: Any, kind: FaultKind) -> None:
    """By HTTP they are flat, in a stream they are not; a full queue is the same fault in both."""
    assert classify(SGLANG.faults, status, body, backend="vpc").kind is kind


def test_it_writes_on_from_a_last_message() -> None:
    """With the one flag; nobody thinks in between."""
    assert SGLANG.continuation == Continues(body={"continue_final_message": True}, template={"enable_thinking": False})


def test_what_it_says_of_its_load_and_whose_cache_is_whose() -> None:
    """Names of its own; the same field for the salt as vLLM's; a priority is not passed on, whichever end is first."""
    names = Metrics("/metrics", "sglang:num_running_reqs", "sglang:num_queue_reqs", "sglang:token_usage")
    assert SGLANG.metrics == names
    assert (SGLANG.salt, SGLANG.prioritises) == ("cache_salt", False)
