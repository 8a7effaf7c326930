"""Tests of llama.cpp's row."""

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import classify
from hybridproxy.providers.llama_cpp import LLAMA_CPP
from hybridproxy.providers.provider import CONTROL_FIELDS


def test_a_prompt_that_is_too_long_is_the_callers_doing_with_any_status() -> None:
    """A long text to embed is a 500 there."""
    body = {"error": {"code": 500, "type": "server_error", "message": "input is too large to process. increase …"}}
    assert classify(LLAMA_CPP.faults, 500, body, backend="l").kind is FaultKind.CONTEXT_TOO_LONG
    body["error"] = {"code": 400, "type": "exceed_context_size_error", "message": "request exceeds"}
    assert classify(LLAMA_CPP.faults, 400, body, backend="l").kind is FaultKind.CONTEXT_TOO_LONG


def test_a_caller_chooses_no_slot() -> None:
    """Another tenant's prompt may be in it."""
    assert "id_slot" in CONTROL_FIELDS
    assert LLAMA_CPP.caches_prefixes
    assert not LLAMA_CPP.salt
