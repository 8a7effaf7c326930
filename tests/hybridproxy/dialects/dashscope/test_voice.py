"""Tests of what callers in DashScope's own protocol hear."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hybridproxy.dialects.dashscope import voice as dashscope_voice
from hybridproxy.dialects.dashscope.request import MULTIMODAL, TEXT, decode
from hybridproxy.dialects.dashscope.voice import DashScopeVoice, told
from hybridproxy.dialects.sse import fields_of, split_events
from hybridproxy.dialects.translator import Asking, Problem
from hybridproxy.model.call import Operation
from tests.support.deltas import CALLS_THAT_CHANGE, SEVERAL_AT_ONCE, STREAMS, THOUGHT_THEN_TEXT, Pieces

ID = "req_1"
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
NATIVE_USAGE = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
UNKNOWN = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def voice(*, variant: str = TEXT, **parameters: Any) -> DashScopeVoice:
    """Return the voice of a call with these parameters."""
    body = {"model": "qwen-plus", "input": {"messages": [{"role": "user", "content": "hi"}]}, "parameters": parameters}
    return DashScopeVoice(decode(Asking(Operation.CHAT, variant, events=True), orjson.dumps(body)), ID)


def spoken(**parameters: Any) -> DashScopeVoice:
    """Return the voice of a call for messages in increments."""
    return voice(**{"result_format": "message", "incremental_output": True, **parameters})


def chunk(delta: Any = None, finish: Any = None, index: Any = 0, **more: Any) -> bytes:
    """Return a chunk of OpenAI's with one choice."""
    choice = {"index": index, "delta": delta, "finish_reason": finish, **more.pop("beside", {})}
    return b"data: " + orjson.dumps({"id": "c", "choices": [choice], **more}) + b"\n\n"


def usage_chunk() -> bytes:
    """Return the last chunk, which has the usage and no choice."""
    return b"data: " + orjson.dumps({"choices": [], "usage": USAGE}) + b"\n\n"


def heard(one: DashScopeVoice, *chunks: bytes) -> list[dict[str, Any]]:
    """Return the data of the events that a caller hears of these chunks and the end, whose framing is the service's."""
    events = split_events(b"".join([*map(one.feed, chunks), one.end()]))
    bodies = []
    for n, event in enumerate(events, 1):
        head, _, data = event.removesuffix(b"\n\n").rpartition(b"\n")
        assert head == b"id:%d\nevent:result\n:HTTP_STATUS/200" % n
        assert data.startswith(b"data:{")
        bodies.append(orjson.loads(data[5:]))
        assert bodies[-1].pop("request_id") == ID
    return bodies


def messages(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the message of the only choice of each event."""
    found = []
    for body in bodies:
        (choice,) = body["output"]["choices"]
        message = choice["message"]
        assert message.pop("role") == "assistant"
        assert choice["index"] == 0
        found.append(message | {"finish": choice["finish_reason"]})
    return found


CHUNKS = (chunk({"role": "assistant", "content": ""}), chunk({"content": "He"}), chunk({"content": "llo\n\"'"}))


def test_a_stream_of_increments() -> None:
    """Each event says what is new; the last has the finish reason, and the usage that came behind it."""
    bodies = heard(spoken(), *CHUNKS, chunk({}, "stop"), usage_chunk())
    assert messages(bodies) == [
        {"content": "He", "finish": "null"},
        {"content": "llo\n\"'", "finish": "null"},
        {"content": "", "finish": "stop"},
    ]
    assert [body["usage"] for body in bodies] == [UNKNOWN, UNKNOWN, NATIVE_USAGE]


def test_a_stream_that_repeats_the_whole_text() -> None:
    """The service's default, here as one text."""
    bodies = heard(voice(), *CHUNKS, chunk({"content": "!"}, "length"), usage_chunk())
    assert [body["output"] for body in bodies] == [
        {"text": "He", "finish_reason": "null"},
        {"text": "Hello\n\"'", "finish_reason": "null"},
        {"text": "Hello\n\"'!", "finish_reason": "null"},
        {"text": "Hello\n\"'!", "finish_reason": "length"},
    ]


def test_usage_that_comes_with_each_chunk_goes_on_with_each_event() -> None:
    """With its details, where there are any."""
    usage = {
        **USAGE,
        "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    later = {**USAGE, "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {}}
    (first, last) = heard(spoken(), chunk({"content": "a"}, usage=usage), chunk({}, "stop", usage=later))
    assert first["usage"] == {
        **NATIVE_USAGE,
        "prompt_tokens_details": {"cached_tokens": 3, "cache_creation_input_tokens": 1},
        "output_tokens_details": {"reasoning_tokens": 1},
    }
    assert last["usage"] == {**NATIVE_USAGE, "prompt_tokens_details": {"cached_tokens": 3}}


def piece(arguments: str | None, *, index: int = 0, id_: str | None = None, name: str | None = None) -> bytes:
    """Return a chunk with a piece of a call of a tool."""
    call = {"index": index, "id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
    return chunk({"tool_calls": [call]})


TOOL_CHUNKS = (
    piece('{"ci', id_="c1", name="weather"),
    piece('ty":1}'),
    piece(None, index=1, id_="c2", name="time"),
    piece("{}", index=1),
    chunk({}, "tool_calls"),
)


def tool(index: int, id_: str, arguments: str, name: str | None = None) -> dict[str, Any]:
    """Return a call of a tool as the service has it."""
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"index": index, "id": id_, "type": "function", "function": function}


def test_calls_of_tools_come_in_pieces() -> None:
    """Id and name with the first; the others have an empty id."""
    found = messages(heard(spoken(), *TOOL_CHUNKS))
    assert [message.get("tool_calls") for message in found] == [
        [tool(0, "c1", '{"ci', "weather")],
        [tool(0, "", 'ty":1}')],
        [tool(1, "c2", "", "time")],
        [tool(1, "", "{}")],
        None,
    ]
    assert found[-1]["finish"] == "tool_calls"


def test_calls_of_tools_are_repeated_whole() -> None:
    """Where each event repeats what was said."""
    found = messages(heard(voice(result_format="message"), *TOOL_CHUNKS))
    whole = [tool(0, "c1", '{"city":1}', "weather"), tool(1, "c2", "{}", "time")]
    assert found[0]["tool_calls"] == [tool(0, "c1", '{"ci', "weather")]
    assert found[-1] == {"content": "", "tool_calls": whole, "finish": "tool_calls"}


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thought_comes_before_the_text(field: str) -> None:
    """Under the one name that the service has for it."""
    chunks = (chunk({field: "hm"}), chunk({field: " so"}), chunk({"content": "Hi"}), chunk({}, "stop"))
    assert messages(heard(spoken(), *chunks)) == [
        {"content": "", "reasoning_content": "hm", "finish": "null"},
        {"content": "", "reasoning_content": " so", "finish": "null"},
        {"content": "Hi", "reasoning_content": "", "finish": "null"},
        {"content": "", "reasoning_content": "", "finish": "stop"},
    ]
    assert messages(heard(voice(result_format="message"), *chunks))[-1] == {
        "content": "Hi", "reasoning_content": "hm so", "finish": "stop",
    }  # fmt: skip


def test_models_that_see_answer_in_parts() -> None:
    """None where there is no text."""
    found = messages(heard(voice(variant=MULTIMODAL, incremental_output=True), *CHUNKS, chunk({}, "stop")))
    assert [message["content"] for message in found] == [[{"text": "He"}], [{"text": "llo\n\"'"}], []]


@pytest.mark.parametrize(
    "second",
    [
        chunk({"content": ""}),
        chunk({"content": "", "role": "assistant"}, beside={"logprobs": {"content": []}}),
        chunk({"content": None, "reasoning_content": None}),
        chunk("?"),
    ],
)
def test_a_second_chunk_that_says_nothing_is_no_event(second: bytes) -> None:
    """However it says it."""
    found = messages(heard(spoken(), chunk({"content": "a"}), second, chunk({"content": "b"}), chunk({}, "stop")))
    assert [message["content"] for message in found] == ["a", "b", ""]


def test_a_refusal_is_what_the_model_says() -> None:
    """The service has no field of its own for it."""
    assert messages(heard(spoken(), chunk({"refusal": "no"}), chunk({}, "stop")))[0]["content"] == "no"


def test_several_choices_come_beside_each_other() -> None:
    """Each with its own finish reason at the end."""
    bodies = heard(
        spoken(n=2),
        chunk({"content": "a"}),
        chunk({"content": "b"}, index=1),
        chunk({}, "stop"),
        chunk({}, "length", index=1),
    )
    found = [
        [(c["index"], c["message"]["content"], c["finish_reason"]) for c in body["output"]["choices"]]
        for body in bodies
    ]
    assert found == [[(0, "a", "null")], [(1, "b", "null")], [(0, "", "stop"), (1, "", "length")]]


def entry(token: str) -> dict[str, Any]:
    """Return how probable a token was."""
    return {"token": token, "logprob": -0.5, "bytes": [1], "top_logprobs": []}


def test_probabilities_stand_beside_the_message() -> None:
    """In increments, or all so far."""
    chunks = [chunk({"content": t}, beside={"logprobs": {"content": [entry(t)]}}) for t in ("a", "b")]
    for cumulative, last in ((False, None), (True, {"content": [entry("a"), entry("b")]})):
        one = spoken(logprobs=True, incremental_output=not cumulative)
        bodies = heard(one, *chunks, chunk({}, "stop", beside={"logprobs": {"content": []}}))
        choices = [body["output"]["choices"][0] for body in bodies]
        assert choices[0]["logprobs"] == {"content": [entry("a")]}
        assert choices[-1].get("logprobs") == last


def test_a_long_text_is_repeated_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent would grow with its square; nothing is lost, for the last event has all of it."""
    monkeypatch.setattr(dashscope_voice, "OFTEN", 100)
    monkeypatch.setattr(dashscope_voice, "SHARE", 10)
    bodies = heard(voice(), *[chunk({"content": "x"})] * 1000, chunk({}, "stop"))
    texts = [body["output"]["text"] for body in bodies]
    assert [len(text) for text in texts[:100]] == list(range(1, 101))
    assert len(texts) < 150
    assert len(texts[-1]) == 1000


@pytest.mark.parametrize(
    "piece",
    [
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "x" * 50}}]}),
        chunk({"content": "x"}, beside={"logprobs": {"content": [{"token": "x" * 50}]}}),
    ],
)
def test_so_are_long_calls_and_probabilities(piece: bytes) -> None:
    """They are repeated like the text."""
    one = voice(result_format="message")
    events = sum(bool(one.feed(piece)) for _ in range(10_000))
    assert events < 3000
    assert one.end().count(b"x" * 50) >= 10_000


def test_increments_are_never_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much was said before them."""
    monkeypatch.setattr(dashscope_voice, "OFTEN", 10)
    monkeypatch.setattr(dashscope_voice, "SHARE", 1)
    thought = [chunk({"reasoning_content": "abc"})] * 50
    said = heard(spoken(), *thought, chunk({}, "stop"))
    assert len(said) == 51


def test_comments_pass_and_what_says_nothing_does_not() -> None:
    """A sign of life, a role, an event that nobody can read."""
    one = spoken()
    assert one.feed(b":\n\n") == b":\n\n"
    for event in (chunk({"role": "assistant"}), b"data: {\n\n", b"data: []\n\n", b"data: {}\n\n", usage_chunk()):
        assert one.feed(event) == b""
    one = spoken()
    assert one.feed(chunk({"content": "a"}, index="x")) == b""
    assert one.end() == b""


def test_the_end_of_a_stream_that_passed_as_it_came_is_its_own() -> None:
    """Nothing is said behind the upstream's last event."""
    assert spoken().end() == b""


def test_an_error_ends_a_stream() -> None:
    """With the words by which the SDKs know it."""
    one = spoken()
    one.feed(chunk({"content": "a"}))
    event = one.error(Problem(429, "too many", "upstream_error", "upstream_throttled"))
    assert event.startswith(b"id:2\nevent:error\n:HTTP_STATUS/429\nstatus:429\ndata:{")
    fields = fields_of(event)
    assert fields is not None
    assert orjson.loads(fields.data) == {"code": "Throttling.RateQuota", "message": "too many", "request_id": ID}


# ---- whole answers ---------------------------------------------------------------------------------------------------


def answered(one: DashScopeVoice, *choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the whole answer that a caller gets of a chat completion."""
    body: dict[str, Any] = orjson.loads(one.answer({"choices": list(choices), "usage": USAGE, **more}))
    assert body.pop("request_id") == ID
    return body


def test_a_whole_answer_is_a_text() -> None:
    """With the usage."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    assert answered(voice(), choice) == {"output": {"text": "Hi", "finish_reason": "stop"}, "usage": NATIVE_USAGE}


def test_a_whole_answer_is_a_message() -> None:
    """With thought, calls of tools and probabilities."""
    message = {
        "content": None,
        "reasoning_content": "hm",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
    }
    choice = {"message": message, "finish_reason": "tool_calls", "logprobs": {"content": [entry("a")]}}
    assert answered(spoken(), choice)["output"]["choices"] == [
        {
            "message": {
                "role": "assistant", "content": "", "reasoning_content": "hm",
                "tool_calls": [tool(0, "c1", "{}", "weather")],
            },
            "index": 0,
            "finish_reason": "tool_calls",
            "logprobs": {"content": [entry("a")]},
        }
    ]  # fmt: skip


def test_a_whole_answer_of_a_model_that_sees_is_in_parts() -> None:
    """As its events are."""
    found = answered(voice(variant=MULTIMODAL), {"message": {"content": "cat"}, "finish_reason": None})
    assert found["output"]["choices"][0]["message"]["content"] == [{"text": "cat"}]
    assert found["output"]["choices"][0]["finish_reason"] == "stop"


def test_an_answer_without_usage_has_no_tokens() -> None:
    """And one with nonsense neither."""
    for usage in (None, "x", {"prompt_tokens": -1, "completion_tokens": 2**64}):
        assert answered(voice(), {"message": "?"}, usage=usage)["usage"] == UNKNOWN


def test_embeddings() -> None:
    """Vectors with the places of their texts."""
    asking = Asking(Operation.EMBEDDING)
    call = decode(asking, orjson.dumps({"model": "m", "input": {"texts": ["a", "b"]}}))
    data = [{"index": 1, "embedding": [0.5]}, {"embedding": [1.0]}, "?"]
    for usage, total in (({"total_tokens": 4}, 4), (None, 0)):
        body = orjson.loads(DashScopeVoice(call, ID).answer({"data": data, "usage": usage}))
        assert body == {
            "output": {
                "embeddings": [
                    {"text_index": 1, "embedding": [0.5]},
                    {"text_index": 1, "embedding": [1.0]},
                    {"text_index": 2, "embedding": None},
                ]
            },
            "usage": {"total_tokens": total},
            "request_id": ID,
        }


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "wanted"),
    [
        (400, "invalid_request", (400, "InvalidParameter")),
        (400, "context_length_exceeded", (400, "InvalidParameter")),
        (400, "content_policy_violation", (400, "DataInspectionFailed")),
        (401, "invalid_api_key", (401, "InvalidApiKey")),
        (403, "region_refused", (403, "AccessDenied")),
        (403, "access_denied", (403, "AccessDenied")),
        (404, "model_not_found", (404, "ModelNotFound")),
        (405, "method_not_allowed", (405, "InvalidURL")),
        (408, "body_too_slow", (500, "RequestTimeOut")),
        (413, "body_too_large", (413, "RequestEntityTooLarge")),
        (415, "encoding", (415, "InvalidParameter")),
        (429, "upstream_throttled", (429, "Throttling.RateQuota")),
        (429, "tenant_budget", (429, "Throttling.RateQuota")),
        (500, "internal_error", (500, "InternalError")),
        (502, "upstream_cut", (500, "InternalError")),
        (503, "upstream_overloaded", (503, "ModelUnavailable")),
        (504, "answer_timeout", (500, "RequestTimeOut")),
    ],
)
def test_each_error_has_the_services_code(status: int, code: str, wanted: tuple[int, str]) -> None:
    """And its status, which the SDKs tell their callers."""
    found, body = told(Problem(status, "words", "type", code), ID)
    assert (found, orjson.loads(body)["code"]) == wanted
    assert orjson.loads(body) == {"code": wanted[1], "message": "words", "request_id": ID}


@pytest.mark.parametrize(
    ("words", "said"),
    [("no such role", "input.messages[0].role: no such role"), ("'input.messages[0].role' is bad",) * 2],
)
def test_an_error_names_the_field_at_fault(words: str, said: str) -> None:
    """In its message: the service's errors have no other place for it."""
    _, body = told(Problem(400, words, "type", "invalid_request", "input.messages[0].role"), ID)
    assert orjson.loads(body)["message"] == said


# ---- whatever comes --------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        "content", "delta", "message", "tool_calls", "function", "arguments", "name", "index", "id", "logprobs",
        "usage", "reasoning_content", "refusal", "finish_reason", "choices", "prompt_tokens", "prompt_tokens_details",
    ]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**64 - 1) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
CHOICES = st.lists(st.dictionaries(NAMES, JSON, max_size=5), min_size=1, max_size=3)


@given(st.lists(CHOICES | JSON, max_size=3), JSON, st.sampled_from(["text", "message"]), st.booleans())
def test_nothing_in_an_answer_raises(parts: list[Any], usage: Any, form: str, incremental: bool) -> None:
    """Streamed, or whole where the choices are objects."""
    one = voice(result_format=form, incremental_output=incremental)
    for choices in parts:
        one.feed(b"data: " + orjson.dumps({"choices": choices, "usage": usage}) + b"\n\n")
        if type(choices) is list and choices and all(type(choice) is dict for choice in choices):
            orjson.loads(one.answer({"choices": choices, "usage": usage}))
    one.end()


def test_what_is_nested_too_deeply_is_left_out() -> None:
    """It reads deeper nesting than it writes."""
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    text = b'{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[%b]}}]}' % str(deep).encode()
    event = spoken().feed(b"data: " + text + b"\n\n")
    assert b'"content":"a"' in event
    assert b"logprobs" not in event


def test_the_tools_of_an_answer_are_bounded() -> None:
    """More are no answer to any request."""
    one = voice(result_format="message")
    for n in range(1000):
        one.feed(chunk({"tool_calls": [{"index": n, "id": "c"}, "?", {"index": "x"}]}))
    (last,) = heard_end(one)
    assert len(last["output"]["choices"][0]["message"]["tool_calls"]) == 512


def heard_end(one: DashScopeVoice) -> list[dict[str, Any]]:
    """Return the data of the last events."""
    return [orjson.loads(event.rpartition(b"\ndata:")[2]) for event in split_events(one.end())]


TEXTS = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=8)


@given(TEXTS)
def test_increments_make_what_the_others_repeat(texts: list[str]) -> None:
    """However the text was cut into chunks."""
    chunks = [*(chunk({"content": text}) for text in texts), chunk({}, "stop"), usage_chunk()]
    pieces = [message["content"] for message in messages(heard(spoken(), *chunks))]
    whole = [message["content"] for message in messages(heard(voice(result_format="message"), *chunks))]
    assert whole[-1] == "".join(pieces) == "".join(texts)
    assert whole[:-1] == ["".join(texts[:n]) for n in range(1, len(texts) + 1)]


def test_an_answer_that_came_whole_is_heard() -> None:
    """Some servers answer a stream so."""
    whole = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
    found = heard(voice(incremental_output=True), b"data: " + orjson.dumps(whole) + b"\n\n")
    assert "".join(body["output"]["text"] for body in found) == "hi"


@given(STREAMS)
@example(THOUGHT_THEN_TEXT)
@example(CALLS_THAT_CHANGE)
@example(SEVERAL_AT_ONCE)
def test_what_is_usual_is_said_as_everything_else_is(pieces: Pieces) -> None:
    """The short way, which nearly all chunks go, says the same bytes as the long one."""
    short, long = (voice(result_format="message", incremental_output=True) for _ in range(2))
    long._plain = False
    for delta, finish in pieces:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"
        assert short.feed(chunk) == long.feed(chunk)
    assert short.end() == long.end()
