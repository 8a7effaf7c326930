"""The row of Anthropic's dialect: everything that a dialect can have, it has."""

import orjson

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.dialects.anthropic.dialect import ANTHROPIC
from hybridproxy.dialects.translator import Asking, Problem, Reading
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect


def test_its_paths_are_those_of_the_real_service() -> None:
    """Messages, and their tokens; Claude Code appends them to the host alone."""
    assert ANTHROPIC.paths == {
        "/v1/messages": (Operation.CHAT, ""),
        "/v1/messages/count_tokens": (Operation.COUNT, ""),
    }
    assert TRANSLATORS[Dialect.ANTHROPIC] is ANTHROPIC


def test_what_a_caller_asks_can_be_asked_of_an_upstream_and_the_answer_told() -> None:
    """Both ways, each function of the row with the next."""
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    call = ANTHROPIC.decode(Asking(Operation.CHAT), orjson.dumps(body))
    assert ANTHROPIC.request is not None
    assert ANTHROPIC.repeat is not None
    asked = ANTHROPIC.request(dict(call.body), call.stream)
    assert asked.body.keys() == ANTHROPIC.repeat(call, "m").body.keys()
    assert ANTHROPIC.voice is not None
    assert ANTHROPIC.decoder is not None
    voice, decoder = ANTHROPIC.voice(call, "req_1"), ANTHROPIC.decoder(Reading("m", 5))
    start = {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {}}}
    (chunk,) = decoder.feed(b"event: message_start\ndata: " + orjson.dumps(start) + b"\n\n")
    assert voice.feed(chunk).startswith(b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1"')
    assert ANTHROPIC.problem(Problem(503, "x", "upstream_error", "upstream_overloaded"), "req_1")[0] == 529
    assert ANTHROPIC.answer is not None
    assert ANTHROPIC.answer(Operation.COUNT, {"input_tokens": 1}) == {"input_tokens": 1}
