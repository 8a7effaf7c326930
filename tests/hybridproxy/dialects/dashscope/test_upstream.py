"""Tests of how an upstream in DashScope's own protocol is asked and understood."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hybridproxy.dialects.dashscope.request import MULTIMODAL, TEXT, decode
from hybridproxy.dialects.dashscope.upstream import DashScopeDecoder, answer, request
from hybridproxy.dialects.sse import Splitter, data_of
from hybridproxy.dialects.tap import Event, StreamTap
from hybridproxy.dialects.translator import Asking, Reading, UntranslatableError
from hybridproxy.model.call import Call, Operation

HI = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
READING = Reading("qwen", 7)


# ---- requests --------------------------------------------------------------------------------------------------------


def test_a_chat_is_asked_for_in_messages() -> None:
    """Parameters in their place; what the service does not know is dropped by name."""
    body = {
        "model": "qwen-plus", "messages": HI, "temperature": 0.5, "top_p": None, "max_tokens": 9, "user": "u",
        "stream_options": {"include_usage": True}, "logit_bias": {},
    }  # fmt: skip
    made = request(body, False)
    assert made.body == {
        "model": "qwen-plus",
        "input": {"messages": HI},
        "parameters": {"temperature": 0.5, "max_tokens": 9, "result_format": "message"},
    }
    assert (made.headers, made.dropped, made.variant) == ((), ("user", "logit_bias"), TEXT)


def test_a_stream_comes_in_increments() -> None:
    """It is asked for in a header."""
    made = request({"model": "qwen-plus", "messages": HI, "stream": True}, True)
    assert made.body["parameters"] == {"result_format": "message", "incremental_output": True}
    assert (made.headers, made.dropped) == ((("x-dashscope-sse", "enable"),), ())


def test_models_that_see_and_calls_with_pictures_have_another_path() -> None:
    """There everything is in parts."""
    made = request({"model": "qwen3.7-plus", "messages": HI}, False)
    assert (made.variant, made.body["input"]["messages"][0]["content"]) == (MULTIMODAL, [{"text": "hi"}])
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x.png"}}]}]
    made = request({"model": "qwen-plus", "messages": picture}, False)
    assert (made.variant, made.body["input"]["messages"][0]["content"]) == (MULTIMODAL, [{"image": "x.png"}])


def test_embeddings_are_asked_for() -> None:
    """Of one text or several."""
    made = request({"model": "m", "input": "a", "encoding_format": "base64"}, False)
    assert made.body == {"model": "m", "input": {"texts": ["a"]}}
    assert (made.dropped, made.variant) == (("encoding_format",), "")
    made = request({"model": "m", "input": ["a", "b"], "dimensions": 64}, False)
    assert made.body == {"model": "m", "input": {"texts": ["a", "b"]}, "parameters": {"dimension": 64}}


# ---- whole answers ---------------------------------------------------------------------------------------------------

USAGE = {
    "input_tokens": 5, "output_tokens": 2, "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 3, "cache_creation_input_tokens": 1},
    "output_tokens_details": {"reasoning_tokens": 1},
}  # fmt: skip
OPENAI_USAGE = {
    "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 1},
}  # fmt: skip
NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def said(*choices: Any, **more: Any) -> dict[str, Any]:
    """Return an answer of the service, whole or an event's."""
    return {"output": {"choices": list(choices)}, "usage": USAGE, "request_id": "r1", **more}


def choice(content: Any = "", finish: Any = "null", *, index: Any = 0, **message: Any) -> dict[str, Any]:
    """Return a choice of the service."""
    message = {"role": "assistant", "content": content, **message}
    return {"message": message, "index": index, "finish_reason": finish}


def call(arguments: str, *, id_: str = "", name: str | None = None, index: int = 0) -> dict[str, Any]:
    """Return a call of a tool, or a piece of one, as the service has it."""
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"index": index, "id": id_, "type": "function", "function": function}


def test_a_whole_answer_becomes_a_completion() -> None:
    """With thought, calls of tools, probabilities and usage."""
    logprobs = {"content": [{"token": "a"}]}
    given_ = choice("Hi", "stop", reasoning_content="hm") | {"logprobs": logprobs}
    assert answer(Operation.CHAT, said(given_)) == {
        "id": "r1",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "reasoning_content": "hm"},
                "finish_reason": "stop",
                "logprobs": logprobs,
            }
        ],
        "usage": OPENAI_USAGE,
    }


def test_one_text_is_an_answer_too() -> None:
    """As it comes where nobody asks for messages."""
    body = {"output": {"text": "Hi", "finish_reason": "stop"}, "usage": {"input_tokens": 1}, "request_id": 5}
    made = answer(Operation.CHAT, body)
    assert made["choices"] == [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]
    assert (made["id"], made["usage"]) == (None, {**NO_USAGE, "prompt_tokens": 1, "total_tokens": 1})


def test_parts_of_an_answer_are_one_text() -> None:
    """Of a model that sees."""
    made = answer(Operation.CHAT, said(choice([{"text": "a"}, {"box": 1}, "x", {"text": "b"}], "stop")))
    assert made["choices"][0]["message"]["content"] == "ab"


@pytest.mark.parametrize(
    ("said_", "heard"), [("tool_calls", "tool_calls"), ("stop", "tool_calls"), ("length", "length")]
)
def test_an_answer_that_calls_tools_ends_with_that(said_: str, heard: str) -> None:
    """Also where the service says `stop`, as it once did; one that was cut short still was."""
    made = answer(Operation.CHAT, said(choice("", said_, tool_calls=[call("{}", id_="c1", name="weather"), "x"])))
    (found,) = made["choices"]
    assert found["finish_reason"] == heard
    assert found["message"]["tool_calls"] == [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    ]


def test_an_answer_without_usage_has_no_tokens() -> None:
    """And one with nonsense neither."""
    for usage in (None, "x", {"input_tokens": -1, "output_tokens": 2**60}):
        assert answer(Operation.CHAT, said(choice("a", "stop"), usage=usage))["usage"] == NO_USAGE
    cached = {"prompt_tokens_details": {"cached_tokens": 3}}
    assert answer(Operation.CHAT, said(choice("a", "stop"), usage=cached))["usage"] == {**NO_USAGE, **cached}


def test_embeddings_become_data() -> None:
    """With the place of each text."""
    output = {"embeddings": [{"text_index": 1, "embedding": [0.5]}]}
    for usage, total in (({"total_tokens": 4}, 4), (None, 0)):
        assert answer(Operation.EMBEDDING, {"output": output, "usage": usage}) == {
            "object": "list",
            "data": [{"object": "embedding", "index": 1, "embedding": [0.5]}],
            "usage": {"prompt_tokens": total, "total_tokens": total},
        }


def test_an_error_stays_what_it_is() -> None:
    """The table of faults reads it."""
    for body in ({"code": "InvalidParameter", "message": "no"}, {"message": "no"}):
        assert answer(Operation.CHAT, body) is body


@pytest.mark.parametrize("body", [{}, {"output": []}, said(), said("x"), {"output": {}}, {"output": {"text": 1}}])
def test_what_is_no_answer_is_none(body: Any) -> None:
    """A 200 alone proves nothing."""
    with pytest.raises(UntranslatableError):
        answer(Operation.CHAT, body)


@pytest.mark.parametrize("output", [{}, {"embeddings": {}}, {"embeddings": ["x"]}])
def test_what_are_no_embeddings_are_none(output: Any) -> None:
    """The same."""
    with pytest.raises(UntranslatableError):
        answer(Operation.EMBEDDING, {"output": output})


# ---- streams ---------------------------------------------------------------------------------------------------------


def event(body: Any, *, n: int = 1, name: str = "result", status: int = 200) -> bytes:
    """Return an event as the service writes it."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return b"id:%d\nevent:%b\n:HTTP_STATUS/%d\ndata:%b\n\n" % (n, name.encode(), status, data)


def native(**parameters: Any) -> Call:
    """Return a call whose own words went upstream."""
    body = {"model": "qwen", "input": {"messages": HI}, "parameters": parameters}
    return decode(Asking(Operation.CHAT, TEXT, events=True), orjson.dumps(body))


def read(*events: bytes, reading: Reading = READING) -> list[Any]:
    """Return the chunks that events say."""
    decoder = DashScopeDecoder(reading)
    chunks = [chunk for one in events for chunk in decoder.feed(one)]
    assert all(chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") for chunk in chunks)
    return [orjson.loads(data_of(chunk) or b"") for chunk in chunks]


HEAD = {"id": "r1", "object": "chat.completion.chunk", "created": 7, "model": "qwen"}


def test_a_stream_becomes_chunks() -> None:
    """With the usage in each, and once more behind the finish reason, where callers of OpenAI's look for it."""
    chunks = read(event(said(choice("He"))), event(said(choice("llo", "stop")), n=2))
    assert chunks == [
        {**HEAD, "choices": [delta(content="He")], "usage": OPENAI_USAGE},
        {**HEAD, "choices": [delta("stop", content="llo")], "usage": OPENAI_USAGE},
        {**HEAD, "choices": [], "usage": OPENAI_USAGE},
    ]


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return a choice of a chunk."""
    return {"index": 0, "delta": {"role": "assistant", **fields}, "finish_reason": finish}


def test_one_text_stands_for_all_the_answers_that_were_asked_for() -> None:
    """Else a whole answer would count as one of which the second part is missing."""
    events = [event({"output": {"text": "Hi", "finish_reason": finish}}) for finish in ("null", "stop")]
    chunks = read(*events, reading=Reading("qwen", 7, native(n=2)))
    assert [[made["finish_reason"] for made in chunk["choices"]] for chunk in chunks] == [[None], ["stop", "stop"]]
    assert [made["index"] for made in chunks[1]["choices"]] == [0, 1]


def test_events_without_usage_or_without_choices_are_read() -> None:
    """A chunk each."""
    chunks = read(event(said(choice("a"), usage=None)), event({"output": {"choices": []}, "usage": USAGE}))
    assert [("usage" in chunk, len(chunk["choices"])) for chunk in chunks] == [(False, 1), (True, 0)]


def test_the_usage_comes_when_the_last_choice_has_ended() -> None:
    """Of several."""
    chunks = read(
        event(said(choice("a", index=0), choice("b", index=1))),
        event(said(choice("", "stop", index=0))),
        event(said(choice("", "stop", index=1))),
    )
    assert [len(chunk["choices"]) for chunk in chunks] == [2, 1, 1, 0]


def test_calls_of_tools_and_thought_are_read() -> None:
    """In pieces; the end is that of a call of tools, whatever the service calls it."""
    chunks = read(
        event(said(choice([], reasoning_content="hm"))),
        event(said(choice("", tool_calls=[call('{"a', id_="c1", name="weather")]))),
        event(said(choice("", tool_calls=[call('":1}')]))),
        event(said(choice("", "stop"))),
    )
    assert [chunk["choices"][0]["delta"] for chunk in chunks[:3]] == [
        {"role": "assistant", "content": "", "reasoning_content": "hm"},
        {
            "role": "assistant", "content": "", "tool_calls": [
                {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"a'}}
            ],
        },
        {"role": "assistant", "content": "", "tool_calls": [{"index": 0, "function": {"arguments": '":1}'}}]},
    ]  # fmt: skip
    assert chunks[3]["choices"][0]["finish_reason"] == "tool_calls"


def test_an_error_in_a_stream_is_one() -> None:
    """By the event's name, by the status in its comment, or because there is no output."""
    body = {"code": "InvalidParameter", "message": "no", "request_id": "r1"}
    wanted = {"error": {"message": "no", "code": "InvalidParameter"}}
    with_status = {"error": {**wanted["error"], "http_status": 400}}
    assert read(event(body, name="error", status=400)) == [with_status]
    assert read(event(said(choice("a")) | body, name="error")) == [wanted]
    assert read(event(body)) == [wanted]
    assert read(event(said(choice("a")), status=429)) == [{"error": {"message": "", "code": None, "http_status": 429}}]


def test_events_without_empty_lines_between_them_are_read() -> None:
    """Some gateways leave them out."""
    both = event(said(choice("a")))[:-1] + event(said(choice("b")), n=2)
    (whole,) = Splitter(whole=True).feed(both)
    assert [chunk["choices"][0]["delta"]["content"] for chunk in read(whole)] == ["a", "b"]
    broken = event(said(choice("a")))[:-1] + event({"code": "x", "message": "no"}, name="error", status=400)
    (whole,) = Splitter(whole=True).feed(broken)
    assert ["error" in chunk for chunk in read(whole)] == [False, True]


def test_a_comment_passes() -> None:
    """It keeps the connection alive."""
    assert DashScopeDecoder(READING).feed(b":\n\n") == (b":\n\n",)


@pytest.mark.parametrize("data", [b"[]", b"{", b"x\ndata:y", b'{"output":{"choices":["x"]}}', b"1\ndata:{}"])
def test_what_cannot_be_read_is_no_chunk_either(data: bytes) -> None:
    """Text may be missing, and that is told."""
    chunks = DashScopeDecoder(READING).feed(event(data))
    assert [StreamTap().read(chunk) for chunk in chunks] == [Event.GARBLED] * len(chunks) != []


def test_what_is_nested_too_deeply_is_no_chunk() -> None:
    """It reads deeper nesting than it writes."""
    deep = b"[" * 300 + b"]" * 300
    data = b'{"output":{"choices":[{"message":{"content":"a"},"logprobs":{"content":%b}}]}}' % deep
    (chunk,) = DashScopeDecoder(READING).feed(event(data))
    assert StreamTap().read(chunk) is Event.GARBLED


def test_a_text_that_is_repeated_counts_once() -> None:
    """A caller in its own words gets the events as they are; what is counted is what is new in them."""
    events = (
        event(said(choice("", reasoning_content="h"))),
        event(said(choice("", reasoning_content="hm"))),
        event(said(choice("He", reasoning_content="hm"))),
        event(said(choice("Hello", reasoning_content="hm"))),
        event(said(choice("Hello", "stop", reasoning_content="hm"))),
    )
    whole, pieces = replace(READING, native=native()), replace(READING, native=native(incremental_output=True))
    texts = [chunk["choices"][0]["delta"] for chunk in read(*events, reading=whole) if chunk["choices"]]
    assert [text["content"] for text in texts] == ["", "", "He", "llo", ""]
    assert [text["reasoning_content"] for text in texts] == ["h", "m", "", "", ""]
    assert read(events[4], reading=pieces)[0]["choices"][0]["delta"]["content"] == "Hello"


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), min_size=1, max_size=8))
def test_increments_say_what_the_others_repeat(pieces: list[tuple[str, str]]) -> None:
    """A stream of either kind is the same text and the same thought."""
    found = []
    for repeats in (False, True):
        texts, thoughts, events = "", "", []
        for text, thought in pieces:
            texts, thoughts = (texts + text, thoughts + thought) if repeats else (text, thought)
            events.append(event(said(choice(texts, reasoning_content=thoughts))))
        reading = replace(READING, native=native(incremental_output=not repeats))
        deltas = [made["delta"] for chunk in read(*events, reading=reading) for made in chunk["choices"]]
        found.append(["".join(delta.get(name, "") for delta in deltas) for name in ("content", "reasoning_content")])
    assert found[0] == found[1] == ["".join(parts) for parts in zip(*pieces, strict=True)]


NAMES = st.sampled_from(
    [
        "output", "choices", "message", "content", "text", "tool_calls", "function", "arguments", "name", "index", "id",
        "finish_reason", "usage", "input_tokens", "prompt_tokens_details", "code", "request_id", "logprobs",
    ]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**64 - 1) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=14,
)
CHOICES = st.lists(st.dictionaries(NAMES, JSON, max_size=5), max_size=3)
BODIES = JSON | st.fixed_dictionaries({"output": st.fixed_dictionaries({"choices": CHOICES}), "usage": JSON})


@given(st.lists(BODIES, max_size=3), st.booleans(), st.sampled_from(Operation))
def test_nothing_that_an_upstream_says_raises(bodies: list[Any], repeats: bool, operation: Operation) -> None:
    """Streamed or whole."""
    decoder = DashScopeDecoder(replace(READING, native=native(incremental_output=not repeats)))
    tap = StreamTap()
    for body in bodies:
        for chunk in decoder.feed(event(body)):
            tap.read(chunk)
        if isinstance(body, dict):
            try:
                made = answer(operation, body)
            except UntranslatableError:
                continue
            assert made is body or made["object"]


@given(st.binary(max_size=60))
def test_no_bytes_raise(data: bytes) -> None:
    """Whatever comes."""
    for one in Splitter(whole=True).feed(b"data:" + data + b"\n\n"):
        DashScopeDecoder(READING).feed(one)


STREAM = b"".join(
    [
        event(said(choice("", reasoning_content="hm"))),
        b":heartbeat\n\n",
        event(said(choice("Grüße, ")), n=2),
        event(said(choice("", tool_calls=[call("{}", id_="c", name="w")])), n=3),
        event(said(choice("Welt", "stop")), n=4),
    ]
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_any_split_gives_the_same_chunks(cuts: list[int]) -> None:
    """Wherever the bytes were cut on their way."""
    ends = [0, *sorted(cuts), len(STREAM)]
    splitter = Splitter(whole=True)
    events = [e for a, b in pairwise(ends) for e in splitter.feed(STREAM[a:b])]
    assert splitter.rest == b""
    assert events == Splitter(whole=True).feed(STREAM)
    assert len(events) == 5


PIECES = st.sampled_from([None, "", "a", "é你", 7])
CALLED = st.fixed_dictionaries({}, optional={"name": PIECES, "arguments": PIECES})
CALLS = st.none() | st.lists(
    st.fixed_dictionaries({}, optional={"index": st.sampled_from([0, 1, "x"]), "id": PIECES, "function": CALLED})
    | st.none(),
    max_size=2,
)
MESSAGES = st.fixed_dictionaries(
    {}, optional={"content": PIECES | st.just([{"text": "b"}]), "reasoning_content": PIECES, "tool_calls": CALLS}
)


CALL: dict[str, Any] = {"index": 0, "id": "", "function": {"arguments": "é"}}


@given(st.lists(st.tuples(MESSAGES, st.sampled_from(["null", "null", "stop", None])), max_size=5))
@example([({"content": "", "tool_calls": [CALL]}, "null"), ({"content": "", "tool_calls": [CALL] * 2}, "null")])
@example([({"content": "", "reasoning_content": "a"}, "null"), ({"content": "", "reasoning_content": 7}, "null")])
def test_what_is_usual_is_read_as_everything_else_is(pieces: list[tuple[Any, Any]]) -> None:
    """The short way, which nearly all events go, says what the long one does."""
    events = [event(said({"index": 0, "message": message, "finish_reason": finish})) for message, finish in pieces]
    short, long = DashScopeDecoder(READING), DashScopeDecoder(READING)
    with pytest.MonkeyPatch.context() as patch:
        heard = [list(short.feed(one)) for one in events]
        patch.setattr(DashScopeDecoder, "_increment", lambda *_: b"")
        assert heard == [list(long.feed(one)) for one in events]
