"""One attempt's answer as it comes in pieces: its bounds, and that its outcome is told once."""

from typing import Any

import orjson
import pytest

from hybridproxy.gateway import relay
from hybridproxy.gateway.relay import AnswerAttempt, StreamAttempt
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.resilience.events import (
    Event,
    Failed,
    Finished,
)
from tests.support import make

ANSWER = orjson.dumps(
    {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
)


@pytest.fixture
def posted() -> list[Event]:
    """What attempts told."""
    return []


def attempt(kind: Any, posted: list[Event]) -> Any:
    """Make an attempt."""
    call = make.call(stream=kind is StreamAttempt)
    return kind(0, call, make.target("us"), posted.append, lambda: 0.0)


def kinds(posted: list[Event]) -> list[FaultKind | None]:
    """Return the faults that were told, None for a good end."""
    return [event.fault.kind if isinstance(event, Failed) else None for event in posted]


def test_an_answer_in_pieces_is_whole(posted: list[Event]) -> None:
    """However it was cut, the answer is the bytes that came, and it is told once that it is there."""
    one = attempt(AnswerAttempt, posted)
    one.head(200, ())
    for at in range(0, len(ANSWER), 7):
        one.body(ANSWER[at : at + 7])
    assert posted == []
    one.end()
    assert one.answer == ANSWER
    assert posted == [Finished(0)]


def test_an_answer_without_end_is_given_up(posted: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream that sends more than any answer has is broken; what it still sends changes nothing."""
    monkeypatch.setattr(relay, "MAX_ANSWER", 1000)
    one = attempt(AnswerAttempt, posted)
    one.head(200, ())
    for _ in range(5):
        one.body(b"x" * 400)
    one.end()
    one.failed(Fault(FaultKind.CUT))
    assert kinds(posted) == [FaultKind.INTEGRITY]


@pytest.mark.parametrize("kind", [AnswerAttempt, StreamAttempt])
def test_an_error_without_end_is_still_that_error(
    kind: Any, posted: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an error only the status counts once its body is too long to be one."""
    monkeypatch.setattr(relay, "MAX_ERROR_BODY", 1000)
    one = attempt(kind, posted)
    one.head(429, ((b"retry-after", b"7"),))
    for _ in range(5):
        one.body(b"x" * 400)
    one.end()
    assert kinds(posted) == [FaultKind.THROTTLED]
    (told,) = posted
    assert isinstance(told, Failed)
    assert told.fault.retry_after == 7


@pytest.mark.parametrize("kind", [AnswerAttempt, StreamAttempt])
def test_an_error_whose_body_broke_off_is_still_that_error(kind: Any, posted: list[Event]) -> None:
    """A connection that dies behind an error's head does not turn it into a cut."""
    one = attempt(kind, posted)
    one.head(503, ())
    one.body(b'{"error": {"mess')
    one.failed(Fault(FaultKind.CUT))
    assert kinds(posted) == [FaultKind.OVERLOADED]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"<html>hello</html>", b'{"choices": []}', b"null"])
def test_what_is_no_answer_is_a_broken_one(body: bytes, posted: list[Event]) -> None:
    """A 200 alone proves nothing."""
    one = attempt(AnswerAttempt, posted)
    one.head(200, ())
    if body:
        one.body(body)
    one.end()
    assert kinds(posted) == [FaultKind.INTEGRITY]


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"{}", b""])
def test_what_is_no_stream_is_a_broken_one(body: bytes, posted: list[Event]) -> None:
    """A page where a stream was asked for never reaches the caller."""
    one = attempt(StreamAttempt, posted)
    one.head(200, ())
    if body:
        one.body(body)
    one.end()
    assert kinds(posted) == [FaultKind.INTEGRITY]
