"""Tests of TensorRT-LLM's row."""

from typing import Any

import pytest

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import classify
from hybridproxy.providers.tensorrt import TENSORRT_LLM


@pytest.mark.parametrize(
    "body",
    [{"error": "1 validation error"}, {"object": "error", "message": "CUDA error", "type": "BadRequestError"}],
)
def test_a_400_is_the_callers_doing(body: Any) -> None:
    """Its own faults are told so, too, and a caller could put their words there."""
    assert classify(TENSORRT_LLM.faults, 400, body, backend="vpc").kind is FaultKind.INVALID_REQUEST


def test_what_its_files_do_not_say_is_not_assumed() -> None:
    """No continuation, no page that reading does not empty, no field for a cache of one's own, no priority."""
    row = TENSORRT_LLM
    assert (row.continuation, row.metrics, row.salt, row.prioritises) == (None, None, "", False)
    assert row.caches_prefixes
