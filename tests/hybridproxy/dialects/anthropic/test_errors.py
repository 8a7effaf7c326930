"""Errors in Anthropic's words: the SDK raises the class that the real service's errors raise."""

import orjson
import pytest

from hybridproxy.dialects.anthropic.errors import problem
from hybridproxy.dialects.translator import Problem


@pytest.mark.parametrize(
    ("status", "code", "said", "type_"),
    [
        (400, "invalid_request", 400, "invalid_request_error"),
        (401, "invalid_api_key", 401, "authentication_error"),
        (403, "region_refused", 403, "permission_error"),
        (404, "model_not_found", 404, "not_found_error"),
        (405, "method_not_allowed", 405, "invalid_request_error"),
        (408, "body_timeout", 408, "timeout_error"),
        (413, "body_too_large", 413, "request_too_large"),
        (421, "misdirected_request", 421, "invalid_request_error"),
        (429, "upstream_throttled", 429, "rate_limit_error"),
        (500, "internal_error", 500, "api_error"),
        (502, "upstream_cut", 502, "api_error"),
        (503, "upstream_overloaded", 529, "overloaded_error"),
        (503, "no_backend_left", 529, "overloaded_error"),
        (503, "audit_unavailable", 503, "api_error"),
        (504, "answer_timeout", 504, "timeout_error"),
    ],
)
def test_status_and_type(status: int, code: str, said: int, type_: str) -> None:
    """Our own code stands in the details."""
    found, body = problem(Problem(status, "it broke", "some_type", code), "req_1")
    error = {"type": type_, "message": "it broke", "details": {"error_code": code}}
    assert found == said
    assert orjson.loads(body) == {"type": "error", "error": error, "request_id": "req_1"}


def test_the_field_at_fault_is_in_the_message() -> None:
    """There is no field for it; a message that names it already does so once."""

    def message(text: str) -> str:
        told = Problem(400, text, "invalid_request_error", "invalid_request", "messages.0.role")
        found: str = orjson.loads(problem(told, "")[1])["error"]["message"]
        return found

    assert message("it is wrong") == "messages.0.role: it is wrong"
    assert message("'messages.0.role' is wrong") == "'messages.0.role' is wrong"


def test_a_prompt_that_is_too_long_is_told_in_the_words_that_clients_know() -> None:
    """Claude Code shortens the conversation then."""
    for text in ("the input is longer than the window", "prompt is too long: 9 tokens"):
        body = orjson.loads(problem(Problem(400, text, "", "context_length_exceeded"), "")[1])
        assert body["error"]["message"].startswith("prompt is too long: ")
        assert body["error"]["message"].count("prompt is too long") == 1
        assert body["request_id"] is None
