"""Tests of vLLM's row, which also serves SGLang and TensorRT-LLM."""

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
        (
            200,
            {"error": {"object": "error", "message": "The request queue is full.", "code": 503}},
            FaultKind.OVERLOADED,
        ),
        (
            400,
            {"object": "error", "message": "role", "type": "BadRequestError", "code": 400},
            FaultKind.INVALID_REQUEST,
        ),
        (400, {"error": "1 validation error"}, FaultKind.INVALID_REQUEST),
        (404, {"detail": "Not Found"}, FaultKind.NOT_FOUND),
        (501, {"error": {"message": "no embeddings", "code": 501}}, FaultKind.NOT_FOUND),
        (200, {"error": {"message": "generation failed", "code": 500}}, FaultKind.UPSTREAM_ERROR),
    ],
)
def test_each_engines_shape_is_read(status: int, body: Any, kind: FaultKind) -> None:
    """A string, an object, a flat object, an event of a stream: one kind each."""
    assert classify(VLLM.faults, status, body, backend="vpc").kind is kind


def test_it_writes_on_from_a_last_message_left_open() -> None:
    """Both fields go together: the second is on by default and excludes the first. Nobody thinks in between."""
    body = {"continue_final_message": True, "add_generation_prompt": False}
    assert VLLM.continuation == Continues(body=body, template={"enable_thinking": False})


def test_it_tells_its_usage_while_it_streams() -> None:
    """So a stream that is cut off has its tokens counted."""
    assert VLLM.running_usage
