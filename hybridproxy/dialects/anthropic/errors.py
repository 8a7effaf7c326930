"""Errors in Anthropic's words: platform.claude.com/docs/en/api/errors (2026-11), and the classes of its SDK (2.12).

The SDK takes the class from the status. A 503 of ours is the 529 that the real service gives when it is overloaded.
Clients like Claude Code know by the words "prompt is too long" that they have to shorten a conversation.
"""

from typing import Final

import orjson

from hybridproxy.dialects.translator import Problem

_TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OVERLOADED: Final = frozenset({"upstream_overloaded", "no_backend_left", "overloaded"})
_TOO_LONG: Final = "prompt is too long"


def problem(told: Problem, request_id: str) -> tuple[int, bytes]:
    """Return status and body of an error."""
    status = 529 if told.code in _OVERLOADED else told.status
    type_ = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    message = told.message
    if told.param and told.param not in message:
        message = f"{told.param}: {message}"
    if told.code == "context_length_exceeded" and _TOO_LONG not in message:
        message = f"{_TOO_LONG}: {message}"
    error = {"type": type_, "message": message, "details": {"error_code": told.code}}
    return status, orjson.dumps({"type": "error", "error": error, "request_id": request_id or None})
