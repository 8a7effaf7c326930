"""Refusals and errors as the caller sees them."""

import orjson
import pytest

from hybridproxy.gateway.reply import (
    MAX_RETRY_AFTER,
    BodyError,
    fault_reply,
    misdirected,
    refusal_reply,
    request_error_reply,
)
from hybridproxy.model.fault import FACTS, Fault, FaultKind
from hybridproxy.model.plan import Refusal, RefusalKind


@pytest.mark.parametrize("kind", FaultKind)
def test_every_fault_is_an_error_in_openais_shape(kind: FaultKind) -> None:
    """Whatever goes wrong has a status, a type, a code and words, and tells the SDK not to repeat what was tried.

    What was not even tried, since our quota is used up, it may ask for again.
    """
    reply = fault_reply(Fault(kind, "something", "vpc", status=503, retry_after=1e9), {})
    error = orjson.loads(reply.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == reply.code == FACTS[kind].code
    assert error["message"].startswith("vpc: ")
    assert reply.status == FACTS[kind].status >= 400
    told = {} if kind is FaultKind.LIMITED else {"x-should-retry": "false"}
    assert reply.headers == {**told, "retry-after": str(MAX_RETRY_AFTER)}


@pytest.mark.parametrize("kind", RefusalKind)
def test_every_refusal_has_its_status(kind: RefusalKind) -> None:
    """A refusal says why; only where waiting helps it says how long."""
    reply = refusal_reply(Refusal(kind, "because"), {})
    assert orjson.loads(reply.body)["error"]["message"] == "because"
    assert 400 <= reply.status <= 503
    assert "retry-after" not in reply.headers
    assert refusal_reply(Refusal(kind, "because", retry_after=0.1), {}).headers["retry-after"] == "1"


def test_a_body_that_was_not_read_ends_the_connection() -> None:
    """Otherwise its rest would be taken for the next request."""
    reply = request_error_reply(BodyError(413, "too large", code="body_too_large"))
    assert (reply.status, reply.close) == (413, True)


def test_a_call_of_another_plane_is_told_where_it_did_not_belong() -> None:
    """421 with a code of its own; its body was not read, so the connection ends."""
    reply = misdirected()
    assert (reply.status, reply.close, reply.code) == (421, True, "misdirected_request")
    assert orjson.loads(reply.body)["error"]["code"] == "misdirected_request"
