"""Tests of vLLM's row."""

from typing import Any

import pytest

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import classify
from hybridproxy.providers.provider import Continues
from hybridproxy.providers.vllm import VLLM


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": "Unauthorized"}, FaultKind.CREDENTIAL),
        (
            400,
            {"error": {"message": "longer than the maximum model length of 4096", "code": 400}},
            FaultKind.CONTEXT_TOO_LONG,
        ),
        (503, {"error": {"message": "The queue is full.", "type": "Service Unavailable"}}, FaultKind.OVERLOADED),
        (400, {"error": {"message": "role", "type": "BadRequestError", "code": 400}}, FaultKind.INVALID_REQUEST),
        (404, {"detail": "Not Found"}, FaultKind.NOT_FOUND),
        (501, {"error": {"message": "no embeddings", "code": 501}}, FaultKind.NOT_FOUND),
        (200, {"error": {"message": "generation failed", "code": 500}}, FaultKind.UPSTREAM_ERROR),
    ],
)
def test_each_shape_is_read(status: int, body: Any, kind: FaultKind) -> None:
    """A string, an object, an event of a stream: one kind each."""
    assert classify(VLLM.faults, status, body, backend="vpc").kind is kind


def test_it_writes_on_from_a_last_message_left_open() -> None:
    """Both fields go together: the second is on by default and excludes the first. Nobody thinks in between."""
    body = {"continue_final_message": True, "add_generation_prompt": False}
    assert VLLM.continuation == Continues(body=body, template={"enable_thinking": False})


def test_it_tells_its_usage_while_it_streams() -> None:
    """So a stream that is cut off has its tokens counted."""
    assert VLLM.running_usage


def test_what_it_says_of_its_load_and_what_it_takes_of_tenants() -> None:
    """Three names of its page, the field for the cache, and a priority that is a number."""
    assert VLLM.metrics is not None
    assert VLLM.metrics.path == "/metrics"
    assert (VLLM.salt, VLLM.prioritises) == ("cache_salt", True)
