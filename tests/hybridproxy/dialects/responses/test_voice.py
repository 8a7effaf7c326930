"""Tests of what a caller of the Responses API hears; every event is one of the SDK's."""

import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from hybridproxy.dialects.gather import MAX_CALLS, Gatherer
from hybridproxy.dialects.responses.request import decode
from hybridproxy.dialects.responses.voice import ResponsesVoice
from hybridproxy.dialects.sse import Splitter, fields_of, split_events
from hybridproxy.dialects.translator import Asking, Problem
from hybridproxy.model.call import Operation
from hybridproxy.providers import PROVIDERS
from tests.support.wire import transcripts

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
SIGNED = {"type": "thinking", "signature": "s"}


def voice(**fields: Any) -> ResponsesVoice:
    """Return the voice of a call."""
    return ResponsesVoice(
        decode(Asking(Operation.CHAT), orjson.dumps({"model": "q", "input": "hi", **fields})), "req_1"
    )


def chunk(delta: Any, finish: Any = None, **more: Any) -> bytes:
    """Return a chunk as the relay gives it."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    body = {"id": "chatcmpl-7", "created": 5, "model": "qwen", "choices": [choice]}
    return b"data: " + orjson.dumps(body) + b"\n\n"


def called(index: int, arguments: str, id_: str = "", name: str = "") -> bytes:
    """Return a chunk with a piece of a call."""
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return chunk({"tool_calls": [{"index": index, "id": id_, "function": function}]})


def read(said: bytes) -> list[dict[str, Any]]:
    """Return the events, each judged by the SDK's types."""
    events = []
    for event in split_events(said):
        fields = fields_of(event)
        assert fields is not None
        body = orjson.loads(fields.data)
        assert fields.name.decode() == body["type"] == EVENTS.validate_python(body).type
        events.append(body)
    return events


def heard(*chunks: bytes, **fields: Any) -> list[dict[str, Any]]:
    """Return the events of a stream that ended well."""
    speaker = voice(**fields)
    events = read(b"".join(map(speaker.feed, chunks)) + speaker.end())
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def names(events: list[dict[str, Any]]) -> list[str]:
    """Return what the events are called."""
    return [event["type"].removeprefix("response.") for event in events]


def test_a_text_is_a_message() -> None:
    """From `created` to `completed`, with the usage that came last."""
    usage = b"data: " + orjson.dumps({"id": "chatcmpl-7", "choices": [], "usage": USAGE}) + b"\n\n"
    events = heard(
        chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"}), chunk({"content": "lo"}, "stop"), usage
    )
    assert names(events) == [
        *("created", "in_progress", "output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.delta", "output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    response = events[-1]["response"]
    assert (response["id"], response["created_at"], response["model"]) == ("resp_7", 5, "qwen")
    assert Response.model_validate(response).output_text == "Hello"
    assert response["usage"]["total_tokens"] == 5
    assert events[0]["response"]["output"] == []


def test_thought_text_and_calls_are_items() -> None:
    """One after the other, but calls all open to the end."""
    events = heard(
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "Let me look."}),
        called(0, "", "a", "f"),
        called(1, "{", "b", "g"),
        called(0, "{}"),
        called(1, "}"),
        chunk({}, "tool_calls"),
    )
    assert names(events)[2:] == [
        *("output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.done"),
        *("content_part.done", "output_item.done", "output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done", "output_item.added", "output_item.added"),
        *["function_call_arguments.delta"] * 3,
        *("function_call_arguments.done", "output_item.done", "function_call_arguments.done", "output_item.done"),
        "completed",
    ]
    output = events[-1]["response"]["output"]
    assert [(item["type"], item["status"]) for item in output] == [
        ("reasoning", "completed"),
        ("message", "completed"),
        ("function_call", "completed"),
        ("function_call", "completed"),
    ]
    assert [(item["call_id"], item["name"], item["arguments"]) for item in output[2:]] == [
        ("a", "f", "{}"),
        ("b", "g", "{}"),
    ]
    assert output == [event["item"] for event in events if event["type"] == "response.output_item.done"]


def test_a_summary_is_given_where_one_was_asked_for() -> None:
    """In events of its own; some upstreams call the thought by another name."""
    events = heard(chunk({"reasoning": "hm"}), chunk({"content": "x"}, "stop"), reasoning={"summary": "auto"})
    assert names(events)[2:8] == [
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
    ]


def test_signed_thoughts_are_sealed() -> None:
    """With the thought that came before, or without any."""
    events = heard(
        chunk({"reasoning_content": "hm"}),
        chunk({"thinking_blocks": [SIGNED]}),
        called(0, "{}", "a", "f"),
        chunk({}, "tool_calls"),
    )
    assert events[-1]["response"]["output"][0]["encrypted_content"].startswith("thinking-blocks-1.")
    hidden = heard(chunk({"thinking_blocks": [{"type": "redacted_thinking", "data": "d"}], "content": "x"}, "stop"))
    thought, message = hidden[-1]["response"]["output"]
    assert (thought["type"], thought["summary"], message["content"][0]["text"]) == ("reasoning", [], "x")
    late = heard(chunk({"content": "x"}), chunk({"thinking_blocks": [SIGNED]}, "stop"))
    assert [item["type"] for item in late[-1]["response"]["output"]] == ["message", "reasoning"]


def test_thoughts_and_texts_may_take_turns() -> None:
    """Each turn is an item."""
    events = heard(*(chunk({name: "x"}) for name in ("content", "reasoning_content", "content")), chunk({}, "stop"))
    output = events[-1]["response"]["output"]
    assert [item["id"] for item in output] == ["msg_7_0", "rs_7_1", "msg_7_2"]


def test_a_refusal_is_a_part_of_the_message() -> None:
    """With the events of a refusal."""
    events = heard(chunk({"content": "Well."}), chunk({"refusal": "No."}, "stop"))
    (message,) = events[-1]["response"]["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert "refusal.delta" in names(events)


def test_log_probabilities_come_with_their_text() -> None:
    """A token without text has some too, and nothing at all has none."""
    probable = {"content": [{"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}]}
    events = heard(
        chunk({"content": "a"}, logprobs=probable),
        chunk({"content": None}, logprobs=probable),
        chunk({"content": ""}, logprobs={"content": [7]}),
        chunk({}, "stop"),
        include=["message.output_text.logprobs"],
    )
    (message,) = events[-1]["response"]["output"]
    assert message["content"][0]["logprobs"] == probable["content"] * 2
    assert names(events).count("output_text.delta") == 2


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [("length", "incomplete", "max_output_tokens"), ("content_filter", "incomplete", "content_filter")],
)
def test_an_answer_cut_short_is_incomplete(finish: str, status: str, reason: str) -> None:
    """And so is what was being said."""
    events = heard(chunk({"reasoning_content": "hm"}), chunk({"content": "Hel"}), chunk({}, finish))
    assert names(events)[-1] == status
    response = events[-1]["response"]
    assert (response["status"], response["incomplete_details"]) == (status, {"reason": reason})
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    calls = heard(called(0, "{", "a", "f"), chunk({}, finish))
    assert calls[-1]["response"]["output"][0]["status"] == "incomplete"


def test_an_answer_of_nothing_is_an_empty_message() -> None:
    """As `output_text` says of it."""
    for events in (heard(chunk({}, "stop")), heard()):
        assert Response.model_validate(events[-1]["response"]).output_text == ""
        assert len(events[-1]["response"]["output"]) == 1


def test_two_calls_under_one_index_are_two() -> None:
    """Gemini's layer numbers none of them."""
    events = heard(
        called(0, "{}", "a", "f"), called(0, "{}", "b", "g"), called(0, "", "b", "g"), chunk({}, "tool_calls")
    )
    assert [item["call_id"] for item in events[-1]["response"]["output"]] == ["a", "b"]


def test_a_call_without_an_id_gets_one() -> None:
    """By which its output can be sent back."""
    events = heard(called(0, "{}", "", "f"), chunk({}, "tool_calls"))
    assert events[-1]["response"]["output"][0]["call_id"] == "call_7_0"


def test_no_answer_has_more_calls_than_any_would() -> None:
    """Nor is what numbers them oddly one."""
    odd = chunk({"tool_calls": [7, {"index": "x", "id": "a"}, {"index": 1, "id": "b", "function": "f"}]})
    assert len(heard(odd, chunk({}, "tool_calls"))[-1]["response"]["output"]) == 1
    many = [called(index, "", "a", "f") for index in range(MAX_CALLS + 1)]
    assert len(heard(*many, chunk({}, "tool_calls"))[-1]["response"]["output"]) == MAX_CALLS


def test_a_comment_keeps_the_connection_alive() -> None:
    """What cannot be read is not said."""
    speaker = voice()
    assert speaker.feed(b":\n\n") == b":\n\n"
    assert speaker.feed(b"data: {\n\n") == speaker.feed(b"data: 7\n\n") == b""
    assert names(read(speaker.feed(b'data: {"choices":[7]}\n\n'))) == ["created", "in_progress"]
    assert speaker.feed(b'data: {"choices":[{"delta":7}]}\n\n') == b""


PROBLEM = Problem(502, "it broke off", "upstream_error", "upstream_cut", None)


def test_an_answer_that_breaks_off_has_failed() -> None:
    """The SDK raises at the first event; the object in the other has what was said."""
    speaker = voice()
    speaker.feed(chunk({"content": "Hel"}))
    error, failed = read(speaker.error(PROBLEM))
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"] == {"code": "server_error", "message": "it broke off"}
    assert failed["response"]["output"][0]["content"][0]["text"] == "Hel"
    assert failed["response"]["output"][0]["status"] == "incomplete"
    assert (error["type"], error["code"], error["message"]) == ("error", "upstream_cut", "it broke off")
    assert error["error"] == {
        "type": "upstream_error",
        "code": "upstream_cut",
        "message": "it broke off",
        "param": None,
    }
    assert failed["sequence_number"] == error["sequence_number"] + 1
    throttled = voice()
    throttled.feed(chunk({}))
    assert read(throttled.error(Problem(429, "m", "t", "c")))[1]["response"]["error"]["code"] == "rate_limit_exceeded"


def test_where_an_upstreams_own_bytes_broke_off_only_the_error_is_said() -> None:
    """The response there has another name than any that could be given here."""
    (error,) = read(voice().error(PROBLEM))
    assert error["type"] == "error"


def test_a_whole_answer_is_one_object() -> None:
    """Which is the same as the end of a stream of it."""
    message = {"role": "assistant", "content": "Hello", "reasoning_content": "hm"}
    choice = {"index": 0, "message": message, "finish_reason": "length"}
    body = {"id": "chatcmpl-7", "created": 5, "model": "qwen", "choices": [choice], "usage": USAGE}
    whole = orjson.loads(voice().answer(body))
    Response.model_validate(whole)
    streamed = heard(
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "Hello"}, "length"),
        b"data: " + orjson.dumps({"usage": USAGE}) + b"\n\n",
    )
    assert whole == streamed[-1]["response"]
    assert orjson.loads(voice().answer({}))["output"][0]["content"][0]["text"] == ""


ANY = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=3), lambda x: st.lists(x, max_size=2), max_leaves=4
)
CALLS = st.lists(
    ANY
    | st.fixed_dictionaries(
        {},
        optional={
            "index": st.integers(0, 2) | ANY,
            "id": st.sampled_from(["", "a", "b"]) | ANY,
            "function": st.fixed_dictionaries(
                {}, optional={"name": st.sampled_from(["", "f"]) | ANY, "arguments": st.text(max_size=3) | ANY}
            )
            | ANY,
        },
    ),
    max_size=3,
)
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": st.text(max_size=3) | ANY,
        "reasoning_content": st.text(max_size=3) | ANY,
        "refusal": st.text(max_size=3) | ANY,
        "thinking_blocks": st.just([SIGNED]) | ANY,
        "tool_calls": CALLS | ANY,
    },
)
CHUNKS = st.builds(chunk, DELTAS | ANY, st.sampled_from([None, "stop", "length"]) | ANY, logprobs=ANY)


@given(st.lists(CHUNKS, max_size=12), st.booleans())
def test_any_order_of_any_chunks_is_a_stream_the_sdk_reads(chunks: list[bytes], summarises: bool) -> None:
    """No text is lost or made up, every item that is added is done, and nothing raises."""
    events = heard(*chunks, reasoning={"summary": "auto" if summarises else None})
    output = events[-1]["response"]["output"]
    done = {event["output_index"]: event["item"] for event in events if event["type"] == "response.output_item.done"}
    added = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
    assert sorted(added) == sorted(done) == list(range(len(output)))
    assert output == [done[index] for index in range(len(output))]
    texts = [
        delta for body in map(fields_of, chunks) if body for delta in [orjson.loads(body.data)["choices"][0]["delta"]]
    ]
    given_ = [delta["content"] for delta in texts if isinstance(delta, dict) and isinstance(delta.get("content"), str)]
    said = [part["text"] for item in output if item["type"] == "message" for part in item["content"] if "text" in part]
    assert "".join(said) == "".join(given_)


STREAMS = [
    pytest.param(transcript.body, id=f"{name}-{transcript.name}")
    for name in PROVIDERS
    for transcript in transcripts(name).values()
    if transcript.streams and transcript.notes.get("text") and b"chat.completion.chunk" in transcript.body
]


@pytest.mark.parametrize("body", STREAMS)
def test_recorded_streams_come_out_as_they_do_gathered(body: bytes) -> None:
    """What providers really send, streamed and put together."""
    gatherer, speaker = Gatherer(), voice()
    said = b""
    for event in Splitter().feed(body):
        gatherer.feed(event)
        said += speaker.feed(event)
    last = read(said.replace(b":\n\n", b"") + speaker.end())[-1]["response"]
    whole = orjson.loads(voice().answer(gatherer.answer()))
    assert Response.model_validate(last).output_text == Response.model_validate(whole).output_text
    assert (last["usage"], last["status"]) == (whole["usage"], whole["status"])
    assert [item["type"] for item in last["output"]] == [item["type"] for item in whole["output"]]


def test_no_number_of_pieces_in_a_chunk_keeps_a_worker_busy() -> None:
    """The time grows with the bytes."""
    piece = {"index": 0, "function": {"arguments": "x"}}
    speaker = voice()
    speaker.feed(called(0, "", "a", "f"))
    began = time.thread_time()
    said = speaker.feed(chunk({"tool_calls": [piece] * 20_000}))
    assert time.thread_time() - began < 2  # 0.03 on a quiet machine that counts no coverage
    assert said.count(b"\n\n") == 20_000


def test_an_answer_that_came_whole_is_heard() -> None:
    """Some servers answer a stream so."""
    whole = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
    last = heard(b"data: " + orjson.dumps(whole) + b"\n\n")[-1]
    assert last["response"]["output"][0]["content"][0]["text"] == "hi"
