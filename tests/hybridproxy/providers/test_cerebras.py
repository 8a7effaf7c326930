"""Tests of Cerebras' row."""

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.cerebras import CEREBRAS
from hybridproxy.providers.faults import classify


def test_a_full_queue_is_not_our_limit() -> None:
    """Everybody waits, so another backend serves at once and ours is left alone for no longer than an ill one."""
    body = {"message": "high traffic", "type": "too_many_requests_error", "param": "queue", "code": "queue_exceeded"}
    assert classify(CEREBRAS.faults, 429, body, backend="c").kind is FaultKind.OVERLOADED
    body["code"] = "request_quota_exceeded"
    assert classify(CEREBRAS.faults, 429, body, backend="c").kind is FaultKind.THROTTLED
