"""What an upstream of Anthropic's dialect answers becomes a chat completion, whole or in chunks."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.anthropic import decoder as anthropic_decoder
from hybridproxy.dialects.anthropic.decoder import AnthropicDecoder, answer, usage_of
from hybridproxy.dialects.anthropic.voice import AnthropicVoice
from hybridproxy.dialects.openai import DONE
from hybridproxy.dialects.sse import Splitter
from hybridproxy.dialects.tap import Event, StreamTap, read_answer
from hybridproxy.dialects.translator import Reading, UntranslatableError
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.dialect import Dialect

READING = Reading("qwen", 5)
USAGE = {"input_tokens": 10, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 30, "output_tokens": 1}
START = {"type": "message_start", "message": {"id": "msg_1", "type": "message", "model": "claude-up", "usage": USAGE}}
END = (
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 7},
    },
    {"type": "message_stop"},
)


def wire(*bodies: dict[str, Any]) -> bytes:
    """Return a stream of these events."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (body["type"].encode(), orjson.dumps(body)) for body in bodies)


def decoded(data: bytes, *, size: int = 1 << 16) -> list[bytes]:
    """Return the chunks that a stream becomes, read in blocks of so many bytes."""
    splitter, decoder = Splitter(whole=True), AnthropicDecoder(READING)
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    return [chunk for part in parts for event in splitter.feed(part) for chunk in decoder.feed(event)]


def deltas(*bodies: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the chunks of a stream say in their only choice."""
    found = [orjson.loads(chunk[6:]) for chunk in decoded(wire(*bodies)) if chunk.startswith(b"data: {")]
    return [body["choices"][0]["delta"] for body in found if body["choices"]]


def block(index: int, start: dict[str, Any], *said: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the events of one block."""
    return (
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in said),
        {"type": "content_block_stop", "index": index},
    )


HELLO = block(
    0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hel"}, {"type": "text_delta", "text": "lo"}
)


def test_a_text_chunk_by_chunk() -> None:
    """With id and model of the upstream's, the time of ours, usage in a chunk of its own, and the marker at the end."""
    chunks = decoded(wire(START, {"type": "ping"}, *HELLO, *END) + b": comment\n\n")
    head = {"id": "msg_1", "object": "chat.completion.chunk", "created": 5, "model": "claude-up"}

    def chunk(delta: Any, **more: Any) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None, **more}]}

    assert [orjson.loads(one[6:]) if one.startswith(b"data: {") else one for one in chunks] == [
        chunk({"role": "assistant", "content": ""}),
        b":\n\n",
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, finish_reason="stop", native_finish_reason="end_turn"),
        {**head, "choices": [], "usage": usage_of({**USAGE, "output_tokens": 7})},
        DONE,
        b":\n\n",
    ]
    assert usage_of(USAGE) == {
        "prompt_tokens": 100,
        "completion_tokens": 1,
        "total_tokens": 101,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    assert usage_of({"output_tokens": "x", "output_tokens_details": {"thinking_tokens": 3}})["completion_tokens"] == 0


def test_the_tap_reads_it_like_any_other_stream() -> None:
    """Output, finish, usage, the end."""
    tap = StreamTap()
    kinds = [tap.read(chunk) for chunk in decoded(wire(START, *HELLO, *END))]
    assert kinds == [Event.QUIET, Event.OUTPUT, Event.OUTPUT, Event.OUTPUT, Event.USAGE, Event.DONE]
    assert (tap.finished, tap.text) == (True, 5)
    assert tap.usage is not None
    assert (tap.usage.prompt, tap.usage.completion, tap.usage.cached) == (100, 7, 60)


def test_calls_of_tools_are_numbered_among_themselves() -> None:
    """Whatever blocks stand between them; one without arguments has the empty object."""
    said = deltas(
        START,
        *block(0, {"type": "text", "text": "Hm"}),
        *block(
            1,
            {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"x"'},
            {"type": "input_json_delta", "partial_json": ":1}"},
        ),
        *block(2, {"type": "server_tool_use"}, {"type": "input_json_delta", "partial_json": "{}"}),
        *block(3, {"type": "tool_use", "id": "t2", "name": "g", "input": {}}),
        *block(4, {"type": "tool_use", "id": "t3", "name": "h", "input": {"y": 2}}),
    )

    def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, **more, "function": {"arguments": arguments}}]}

    def begun(index: int, id_: str, name: str, arguments: str = "") -> dict[str, Any]:
        function = {"name": name, "arguments": arguments}
        return {"tool_calls": [{"index": index, "id": id_, "type": "function", "function": function}]}

    assert said[1:] == [
        {"content": "Hm"},
        begun(0, "t1", "f"),
        call(0, '{"x"'),
        call(0, ":1}"),
        begun(1, "t2", "g"),
        call(1, "{}"),
        begun(2, "t3", "h", '{"y":2}'),
    ]


def test_thought_is_told_as_it_comes_and_again_with_its_signature() -> None:
    """So a caller that sends the message back sends what the model wants to see."""
    said = deltas(
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "I "},
            {"type": "thinking_delta", "thinking": "think"},
            {"type": "signature_delta", "signature": "s"},
        ),
        *block(1, {"type": "redacted_thinking", "data": "d"}),
        *block(2, {"type": "thinking", "thinking": "unsigned"}),
        *block(3, {"type": "text"}, {"type": "citations_delta", "citation": {}}),
    )
    assert said == [
        {"reasoning_content": "I "},
        {"reasoning_content": "think"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "I think", "signature": "s"}]},
        {"thinking_blocks": [{"type": "redacted_thinking", "data": "d"}]},
        {"reasoning_content": "unsigned"},
    ]


def test_thought_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It flows all the same; what can be signed no more is not."""
    monkeypatch.setattr(anthropic_decoder, "MAX_THOUGHT", 5)
    long = {"type": "thinking_delta", "thinking": "thought"}
    signature = {"type": "signature_delta", "signature": "s"}
    assert deltas(*block(0, {"type": "thinking"}, long, signature)) == [{"reasoning_content": "thought"}]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("max_tokens", "length"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "stop"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("something_new", "stop"),
    ],
)
def test_every_stop_reason_ends_the_answer(reason: str, finish: str) -> None:
    """Its own name stays beside OpenAI's."""
    end = {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": "END"}}
    chunks = decoded(wire(START, end))
    (choice,) = orjson.loads(chunks[1][6:])["choices"]
    assert (choice["finish_reason"], choice["native_finish_reason"], choice["stop_reason"]) == (finish, reason, "END")
    running = decoded(
        wire(START, {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {"output_tokens": 2}})
    )
    assert [bool(orjson.loads(chunk[6:])["choices"]) for chunk in running] == [True, False]


def test_an_error_is_one_and_damage_is_seen() -> None:
    """Whatever cannot be read comes as it is, so that nobody takes the answer for whole."""
    tap = StreamTap()
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert [tap.read(chunk) for chunk in decoded(wire(error))] == [Event.ERROR]
    assert tap.error == {"error": error["error"]}
    assert [StreamTap().read(chunk) for chunk in decoded(wire({"type": "error"}))] == [Event.ERROR]
    for data in (b"data: {\n\n", b"data: 7\n\n", b"event: x\ndata: {\ndata: x\n\n", b"data: \xff\n\n"):
        assert [StreamTap().read(chunk) for chunk in decoded(data)] == [Event.GARBLED]


@pytest.mark.parametrize(
    "said",
    [
        b"{}",
        b'{"code":"InternalError","message":"broken"}',
        b'{"type":"server_error","message":"broken"}',
        b'{"type":"error","error":' + b'{"a":' * 500 + b"1" + b"}" * 501,
    ],
)
def test_what_is_called_an_error_is_one_whatever_is_in_it(said: bytes) -> None:
    """The SDK goes by the event's name, and no caller hears words of an upstream's that nobody cleaned."""
    (chunk,) = decoded(b"event: error\ndata: " + said + b"\n\n")
    assert StreamTap().read(chunk) is Event.ERROR


def test_an_event_without_a_type_is_what_it_is_called() -> None:
    """The SDK takes it so, too."""
    assert decoded(b"event: message_stop\ndata: {}\n\n") == [DONE]


def test_absurd_counts_are_nothing() -> None:
    """Their sum could not be written."""
    most = 2**64 - 1
    counts = {"input_tokens": most, "cache_read_input_tokens": most, "output_tokens": -1}
    (end,) = decoded(wire({"type": "message_delta", "delta": {}, "usage": counts}))
    assert orjson.loads(end[6:])["usage"]["total_tokens"] == 0


def test_what_is_new_or_odd_is_passed_over() -> None:
    """OpenRouter's marker is an end like the real one."""
    odd = (
        b'data: {"type":"new"}\n\ndata: {"type":7}\n\n'
        b'data: {"type":"content_block_start"}\n\n'
        b'data: {"type":"content_block_start","content_block":{"type":"new"}}\n\n'
        b'data: {"type":"content_block_delta"}\n\ndata: {"type":"content_block_delta","delta":{"type":7}}\n\n'
        b'data: {"type":"content_block_delta","delta":{"type":"new"}}\n\n'
    )
    assert decoded(odd) == []
    assert decoded(b"event: data\ndata: [DONE]\n\n") == [DONE]
    (start,) = decoded(b'data: {"type":"message_start","message":7}\n\n')
    assert orjson.loads(start[6:])["model"] == "qwen"
    (end,) = decoded(b'data: {"type":"message_delta","delta":7}\n\n')
    assert orjson.loads(end[6:])["usage"]["prompt_tokens"] == 0


WHOLE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-up",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": USAGE,
}


def test_a_whole_text() -> None:
    """Without `created`, which nobody told."""
    message = {"role": "assistant", "content": "Hello"}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": "stop",
        "native_finish_reason": "end_turn",
    }
    made = answer(Operation.CHAT, WHOLE)
    assert made == {
        "id": "msg_1",
        "model": "claude-up",
        "object": "chat.completion",
        "choices": [choice],
        "usage": usage_of(USAGE),
    }
    read = read_answer(Operation.CHAT, made)
    assert read is not None
    assert read.text == 5


def test_a_whole_answer_of_many_blocks() -> None:
    """Thought with and without signature, calls with and without input; blocks that nobody knows are left out."""
    signed = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    redacted = {"type": "redacted_thinking", "data": "d"}
    blocks = [
        signed,
        redacted,
        {"type": "thinking", "thinking": "!", "signature": ""},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": 7, "name": "g"},
        {"type": "server_tool_use"},
        7,
    ]
    made = answer(Operation.CHAT, {**WHOLE, "content": blocks, "stop_reason": None})
    (choice,) = made["choices"]
    assert choice["finish_reason"] is None
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "Hm!",
        "thinking_blocks": [signed, redacted],
        "tool_calls": [
            {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
            {"id": "", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }


def test_what_is_no_message() -> None:
    """A count and an error are given as they came."""
    assert answer(Operation.COUNT, {"input_tokens": 7}) == {"input_tokens": 7}
    error = {"type": "error", "error": {"type": "api_error", "message": "x"}}
    assert answer(Operation.CHAT, error) == error
    for body in ({}, {"type": "message"}, {"type": "message", "content": {}}, {"type": "x", "content": []}):
        with pytest.raises(UntranslatableError):
            answer(Operation.CHAT, body)


def test_an_input_too_deep_to_be_written_again() -> None:
    """The parser reads more than the writer writes; such a call has no arguments, which no client takes for some."""
    deep: Any = {}
    for _ in range(300):
        deep = {"a": deep}
    made = answer(Operation.CHAT, {**WHOLE, "content": [{"type": "tool_use", "id": "t", "name": "f", "input": deep}]})
    assert made["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == ""


STREAM = wire(
    START,
    *block(
        0,
        {"type": "thinking"},
        {"type": "thinking_delta", "thinking": "ü"},
        {"type": "signature_delta", "signature": "s"},
    ),
    *block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "你好"}),
    *block(
        2, {"type": "tool_use", "id": "t", "name": "f", "input": {}}, {"type": "input_json_delta", "partial_json": "{}"}
    ),
    *END,
)


@given(st.integers(1, 200))
def test_wherever_the_bytes_are_split_the_chunks_are_the_same(size: int) -> None:
    """Even within a character."""
    assert decoded(STREAM, size=size) == decoded(STREAM)


def test_what_was_decoded_can_be_said_again() -> None:
    """A caller of Anthropic's dialect whose stream is read on its way hears the same blocks."""
    voice = AnthropicVoice(Call(Operation.CHAT, "qwen", True, True, 1, frozenset(), 9, {}, Dialect.ANTHROPIC), "req_1")
    chunks = decoded(STREAM)
    said = b"".join(voice.feed(chunk) for chunk in chunks if chunk != DONE) + voice.end()
    kinds = ("content_block_delta", "content_block_stop", "message_stop")

    def told(data: bytes) -> list[Any]:
        events = [orjson.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: ")]
        return [event for event in events if event["type"] in kinds]

    assert told(said) == told(STREAM)
    assert b'"stop_reason":"end_turn"' in said
    assert b'"cache_read_input_tokens":60,"output_tokens":7' in said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
KINDS = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "error", "x"]
)
NAMES = ("message", "content_block", "delta", "usage", "error", "index")
EVENTS = st.fixed_dictionaries({"type": KINDS}, optional=dict.fromkeys(NAMES, JSON))


@given(st.lists(EVENTS.map(wire) | st.binary(max_size=9)))
def test_nothing_in_a_stream_makes_it_raise(parts: list[bytes]) -> None:
    """Nor in a whole answer."""
    for chunk in decoded(b"".join(parts)):
        assert chunk.endswith(b"\n\n")


@given(st.lists(JSON | st.fixed_dictionaries({"type": st.sampled_from(["text", "thinking", "tool_use"])})), JSON)
def test_nothing_in_an_answer_makes_it_raise(blocks: list[Any], usage: Any) -> None:
    """What is no block is none."""
    made = answer(Operation.CHAT, {**WHOLE, "content": blocks, "usage": usage, "stop_reason": usage})
    assert made["object"] == "chat.completion"
