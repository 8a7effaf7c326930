"""Chunks become the events of Anthropic's stream: blocks one after the other, and nothing of them lost."""

from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hybridproxy.dialects.anthropic import voice as anthropic_voice
from hybridproxy.dialects.anthropic.voice import MAX_LOOKS, AnthropicVoice
from hybridproxy.dialects.gather import MAX_CALLS
from hybridproxy.dialects.sse import Splitter, fields_of
from hybridproxy.dialects.translator import Problem
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.dialect import Dialect
from tests.support.deltas import CALLS_THAT_CHANGE, SEVERAL_AT_ONCE, STREAMS, THOUGHT_THEN_TEXT, Pieces

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "qwen-up"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}
EMPTY = {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}
Event = dict[str, Any]


def voice(operation: Operation = Operation.CHAT, **body: Any) -> AnthropicVoice:
    """Return the voice of a call."""
    call = Call(operation, "qwen", True, True, 1, frozenset(), 9, body, Dialect.ANTHROPIC)
    return AnthropicVoice(call, "req_1")


def chunk(delta: Any, finish: Any = None, **more: Any) -> bytes:
    """Return a chunk of one choice."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + orjson.dumps({**HEAD, "choices": [choice], **more}) + b"\n\n"


def calls(*pieces: tuple[int, str | None, str]) -> bytes:
    """Return a chunk with pieces of calls: index, name of one that begins, and a part of its arguments."""
    made = []
    for index, name, arguments in pieces:
        head = {} if name is None else {"id": f"call_{index}", "type": "function"}
        function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
        made.append({"index": index, **head, "function": function})
    return chunk({"tool_calls": made})


def read(data: bytes) -> list[Event]:
    """Return the events in these bytes; the name of each stands in its data too."""
    made = []
    for event in Splitter(whole=True).feed(data):
        fields = fields_of(event)
        assert fields is not None
        body = orjson.loads(fields.data)
        assert body["type"] == fields.name.decode()
        made.append(body)
    return made


def said(*chunks: bytes, ends: bool = True, by: AnthropicVoice | None = None) -> list[Event]:
    """Return the events that chunks become."""
    heard = voice() if by is None else by
    data = b"".join(map(heard.feed, chunks))
    return read(data + heard.end() if ends else data)


def blocks(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Return the blocks of a stream, put together as a client does; it never sees them interleave."""
    made: list[dict[str, Any]] = []
    flows = False
    for event in events:
        if event["type"] == "content_block_start":
            assert not flows
            assert event["index"] == len(made)
            made.append({**event["content_block"], "pieces": 0})
            flows = True
        elif event["type"] == "content_block_delta":
            assert flows
            assert event["index"] == len(made) - 1
            delta = event["delta"]
            name = delta["type"].removesuffix("_delta").replace("input_json", "input")
            before = made[-1].get(name) or ""
            made[-1][name] = before + (delta.get(name) or delta.get("partial_json") or "")
            made[-1]["pieces"] += 1
        elif event["type"] == "content_block_stop":
            assert flows
            assert event["index"] == len(made) - 1
            flows = False
    return [{name: value for name, value in block.items() if name != "pieces" or value > 1} for block in made]


def test_a_text_event_by_event() -> None:
    """As the real service sends them; the tokens of the input are known at the end alone."""
    events = said(
        b":\n\n",
        chunk({"role": "assistant", "content": ""}),
        b":\n\n",
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({"content": ""}),
        chunk({"content": ""}, "stop"),
        b"data: " + orjson.dumps({**HEAD, "choices": [], "usage": USAGE}) + b"\n\n",
    )
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "qwen-up", "content": []}
    ended = {"stop_reason": None, "stop_sequence": None, "usage": EMPTY}
    delta = {"type": "content_block_delta", "index": 0}
    used = {"input_tokens": 7, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 2, "output_tokens": 4}
    assert events == [
        {"type": "message_start", "message": {**message, **ended}},
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {**delta, "delta": {"type": "text_delta", "text": "Hel"}},
        {**delta, "delta": {"type": "text_delta", "text": "lo"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": used},
        {"type": "message_stop"},
    ]


@pytest.mark.parametrize("delta", [None, 7, {}])
def test_why_it_ended_is_said_where_nothing_else_is(delta: Any) -> None:
    """A finish reason may stand alone; an answer that was cut short never looks like a whole one."""
    found = said(chunk({"content": "hi"}), chunk(delta, "length"))
    assert found[-2]["delta"]["stop_reason"] == "max_tokens"
    alone = [event["type"] for event in said(chunk(delta, "length"))]
    assert alone == ["message_start", "message_delta", "message_stop"]


def test_an_answer_that_came_whole_is_heard() -> None:
    """Some servers answer so."""
    whole = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
    (block,) = blocks(said(b"data: " + orjson.dumps(whole) + b"\n\n"))
    assert block["text"] == "hi"


def test_a_stream_that_broke_has_no_end() -> None:
    """The event of the error is the last; it names the request."""
    heard = voice()
    heard.feed(chunk({"content": "Hel"}))
    (event,) = read(heard.error(Problem(503, "it is overloaded", "upstream_error", "upstream_overloaded")))
    assert (event["type"], event["error"]["type"], event["request_id"]) == ("error", "overloaded_error", "req_1")


def test_thought_then_text_then_refusal() -> None:
    """Blocks of their own; usage in a chunk of the answer is taken too, and the stop sequence that is known."""
    events = said(
        chunk({"reasoning": "I "}),
        chunk({"reasoning_content": "think"}),
        chunk({"content": "so"}, usage=USAGE),
        chunk({"refusal": "no"}, usage=None),
        b"data: " + orjson.dumps({"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}) + b"\n\n",
        by=voice(stop=["END"]),
    )
    assert blocks(events) == [
        {"type": "thinking", "thinking": "I think", "signature": "", "pieces": 2},
        {"type": "text", "text": "sono", "pieces": 2},
    ]
    assert events[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "END"}
    assert events[-2]["usage"]["output_tokens"] == 4


def test_signed_thoughts() -> None:
    """The signature closes its block; what was redacted is a block; what comes only signed is said whole."""
    signed = {"type": "thinking", "thinking": "all", "signature": "s1"}
    events = said(
        chunk({"reasoning_content": "all"}),
        chunk({"thinking_blocks": [signed]}),
        chunk({"thinking_blocks": [{"type": "redacted_thinking", "data": "d"}]}),
        chunk({"thinking_blocks": [{**signed, "signature": "s2"}, {**signed, "thinking": "", "signature": "s3"}]}),
        chunk({"reasoning_content": "more"}),
        chunk({"content": "x"}, "stop"),
    )
    assert blocks(events) == [
        {"type": "thinking", "thinking": "all", "signature": "s1", "pieces": 2},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "thinking", "thinking": "all", "signature": "s2", "pieces": 2},
        {"type": "thinking", "thinking": "", "signature": "s3"},
        {"type": "thinking", "thinking": "more", "signature": ""},
        {"type": "text", "text": "x"},
    ]


def test_calls_one_after_the_other_flow() -> None:
    """The second begins when the arguments of the first are whole."""
    chunks = (calls((0, "f", "")), calls((0, None, '{"x"')), calls((0, None, ":1}")), calls((1, "g", "{")))
    events = said(*chunks, ends=False)
    assert [block.get("name") for block in blocks(events)] == ["f", "g"]
    events = said(*chunks, calls((1, None, "}")), calls((0, None, " late")), chunk({}, "tool_calls"))
    assert blocks(events) == [
        {"type": "tool_use", "id": "call_0", "name": "f", "input": '{"x":1}', "pieces": 2},
        {"type": "tool_use", "id": "call_1", "name": "g", "input": "{}", "pieces": 2},
    ]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_calls_that_alternate_are_put_in_order() -> None:
    """What belongs to the second waits until the first is whole, or until the end."""
    chunks = (calls((0, "f", "{"), (1, "g", "[")), calls((1, None, "2")), calls((0, None, "}")), calls((1, None, "]")))
    assert blocks(said(*chunks, chunk({}, "tool_calls"))) == [
        {"type": "tool_use", "id": "call_0", "name": "f", "input": "{}", "pieces": 2},
        {"type": "tool_use", "id": "call_1", "name": "g", "input": "[2]", "pieces": 3},
    ]


def test_text_between_calls_keeps_its_place() -> None:
    """It waits like a call; several pieces of it are one block."""
    events = said(calls((0, "f", "{")), chunk({"content": "a"}), chunk({"content": "b"}), calls((0, None, "}")))
    assert [block["type"] for block in blocks(events)] == ["tool_use", "text"]
    assert blocks(events)[1]["text"] == "ab"


def test_a_call_whose_name_comes_late_waits_for_it() -> None:
    """Its arguments too. One that never gets a name is said without, at the end."""
    late = chunk({"tool_calls": [{"index": 0, "function": {"name": "f"}}]})
    nameless = chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})
    assert said(nameless, ends=False)[1:] == []
    (block,) = blocks(said(nameless, late, calls((0, None, ""))))
    assert (block["name"], block["id"], block["input"]) == ("f", "toolu_1_0", "{}")
    (block,) = blocks(said(nameless, chunk({}, "stop")))
    assert (block["name"], block["input"]) == ("", "{}")


def test_what_is_no_call_is_passed_over() -> None:
    """A number for a name, no index that is one, and more calls than any answer has."""
    odd = [{"index": "x"}, 7, {"index": 0, "id": "a", "function": {"name": 7, "arguments": 8}}, {"function": 9}]
    (block,) = blocks(said(chunk({"tool_calls": odd})))
    assert block == {"type": "tool_use", "id": "a", "name": "", "input": {}}
    many = [calls((index, "f", "{}")) for index in range(MAX_CALLS + 5)]
    assert len(blocks(said(*many))) == MAX_CALLS


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more of it the call before is taken for finished, whatever it lacks."""
    monkeypatch.setattr(anthropic_voice, "MAX_WAITING", 10)
    events = said(calls((0, "f", "{")), calls((1, "g", "x" * 11)), calls((0, None, "lost")), ends=False)
    assert [block["input"] for block in blocks(events)] == ["{", "x" * 11]
    nameless = chunk({"tool_calls": [{"index": 0, "function": {"arguments": "x" * 11}}]})
    (block,) = blocks(said(nameless, ends=False))
    assert (block["name"], block["input"]) == ("", "x" * 11)
    long = said(calls((0, "f", '{"a":"' + "x" * 20)), calls((0, None, '"}')), calls((1, "g", "{}")), ends=False)
    assert [block["name"] for block in blocks(long)] == ["f"]  # its arguments were too long to be looked at


def test_it_is_not_looked_at_for_ever_whether_arguments_are_whole() -> None:
    """Pieces that look like an end, and are none, cost no more than a few looks; it all comes at the end."""
    chunks = [calls((0, "f", '{"a":"')), calls((1, "g", "{}")), *[calls((0, None, "}"))] * (MAX_LOOKS + 5)]
    heard = voice()
    events = said(*chunks, calls((0, None, '"}')), ends=False, by=heard)
    assert [block["name"] for block in blocks(events)] == ["f"]
    first, second = blocks([*events, *read(heard.end())])
    assert first["input"] == '{"a":"' + "}" * (MAX_LOOKS + 5) + '"}'
    assert second["input"] == "{}"


def test_arguments_that_are_whole_but_no_object_may_go_on() -> None:
    """After 1 may come a 2."""
    events = said(calls((0, "f", "1")), calls((1, "g", "{}")), calls((0, None, "2")))
    assert [block["input"] for block in blocks(events)] == ["12", "{}"]


def test_an_answer_without_content_is_a_message() -> None:
    """It has its beginning and its end."""
    events = said(chunk({"role": "assistant"}), chunk({}, "stop"))
    assert [event["type"] for event in events] == ["message_start", "message_delta", "message_stop"]
    assert said() == [{"type": "message_stop"}]  # whatever there was came from the upstream itself


def test_whole_answers() -> None:
    """A message, or a count as it is."""
    body = {"id": "1", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    assert orjson.loads(voice().answer(body))["content"] == [{"type": "text", "text": "x"}]
    assert voice(Operation.COUNT).answer({"input_tokens": 7}) == b'{"input_tokens":7}'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
NAMES = ("content", "reasoning_content", "refusal", "tool_calls", "thinking_blocks", "role")
DELTAS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON))


@given(st.lists(st.binary(max_size=9) | JSON.map(orjson.dumps) | DELTAS.map(lambda d: chunk(d)[6:-2])))
def test_nothing_in_a_chunk_makes_it_raise(data: list[bytes]) -> None:
    """Whatever it is; and what comes out is events."""
    events = said(*(b"data: " + one.replace(b"\n", b"") + b"\n\n" for one in data))
    assert events[-1] == {"type": "message_stop"}
    blocks(events)


PIECES = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["text", "thinking", "call"]), st.text("ab{}1", max_size=3))
)


@given(PIECES)
def test_nothing_is_lost_and_nothing_interleaves(pieces: list[tuple[int, str, str]]) -> None:
    """In whichever order an upstream says the pieces, each block has all of its own, in their order."""
    wanted: dict[str, str] = {}
    chunks = []
    for index, kind, text in pieces:
        name = f"call_{index}" if kind == "call" else kind
        begins = name not in wanted
        wanted[name] = wanted.get(name, "") + text
        if kind == "call":
            chunks.append(calls((index, "f" if begins else None, text)))
        else:
            chunks.append(chunk({"content" if kind == "text" else "reasoning_content": text}))
    found: dict[str, str] = {}
    for block in blocks(said(*chunks)):
        kind = block["type"]
        name = block["id"] if kind == "tool_use" else kind
        text = (block["input"] or "") if kind == "tool_use" else block[kind]
        found[name] = found.get(name, "") + text
    whole = {name: text for name, text in wanted.items() if text or name.startswith("call")}
    # arguments that were a whole object end there: nothing can be added to one
    assert {name: whole[name].startswith(text) for name, text in found.items()} == dict.fromkeys(whole, True)


@given(STREAMS)
@example(THOUGHT_THEN_TEXT)
@example(CALLS_THAT_CHANGE)
@example(SEVERAL_AT_ONCE)
def test_what_is_usual_is_said_as_everything_else_is(pieces: Pieces) -> None:
    """The short way, which nearly all chunks go, says the same bytes as the long one."""
    short, long = voice(), voice()
    for delta, finish in pieces:
        assert short.feed(chunk(delta, finish)) == long.feed(chunk(delta, finish))
        long._flowing = b""
    assert short.end() == long.end()
