"""Tests of what an upstream that speaks the Responses API says."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.gather import Gatherer
from hybridproxy.dialects.responses.reading import ResponsesDecoder, answer
from hybridproxy.dialects.responses.request import decode
from hybridproxy.dialects.responses.voice import ResponsesVoice
from hybridproxy.dialects.sse import Splitter
from hybridproxy.dialects.tap import Event, StreamTap, read_answer
from hybridproxy.dialects.translator import Asking, Reading, UntranslatableError
from hybridproxy.model.call import Operation

READING = Reading("qwen", 9)
NAMES = {"id": "resp_1", "created_at": 5.0, "model": "gpt"}
USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 1},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 5,
}
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
CALL = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}


def said(kind: str, **fields: Any) -> bytes:
    """Return an event."""
    return f"event: {kind}\ndata: ".encode() + orjson.dumps({"type": kind, **fields}) + b"\n\n"


def ended(status: str = "completed", **fields: Any) -> bytes:
    """Return the last event of a stream."""
    return said(f"response.{status}", response={**NAMES, "status": status, "output": [], **fields})


def fed(*events: bytes) -> list[bytes]:
    """Return the chunks of a stream."""
    decoder = ResponsesDecoder(READING)
    return [chunk for event in events for chunk in decoder.feed(event)]


def gathered(*events: bytes) -> dict[str, Any]:
    """Return the completion that a stream makes."""
    gatherer = Gatherer()
    for chunk in fed(*events):
        gatherer.feed(chunk)
    return gatherer.answer()


CREATED = said("response.created", response={**NAMES, "status": "in_progress"})


def test_a_stream_is_read() -> None:
    """Thought, text, refusal, log probabilities, a call in pieces, how it finished and what it used."""
    token = {"token": "lo", "logprob": -1.0, "top_logprobs": []}
    completion = gathered(
        CREATED,
        said("response.in_progress", response=NAMES),
        said("response.output_item.added", output_index=0, item={"type": "reasoning"}),
        said("response.reasoning_text.delta", delta="h"),
        said("response.reasoning_summary_text.delta", delta="m"),
        said("response.output_item.added", output_index=1, item={"type": "message"}),
        said("response.output_text.delta", delta="Hel", logprobs=[]),
        said("response.output_text.delta", delta="lo", logprobs=[token]),
        said("response.refusal.delta", delta="No."),
        said("response.output_item.added", output_index=2, item={**CALL, "arguments": ""}),
        said("response.function_call_arguments.delta", output_index=2, delta="{"),
        said("response.function_call_arguments.delta", output_index=2, delta="}"),
        said("response.output_item.done", output_index=2, item=CALL),
        ended(usage=USAGE, output=[MESSAGE, CALL]),
    )
    assert (completion["id"], completion["created"], completion["model"]) == ("resp_1", 5, "gpt")
    (choice,) = completion["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "reasoning_content": "hm",
        "content": "Hello",
        "refusal": "No.",
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    assert [token["token"] for token in choice["logprobs"]["content"]] == ["lo"]
    assert completion["usage"]["prompt_tokens_details"] == {"cached_tokens": 1, "cache_write_tokens": 0}
    assert completion["usage"]["completion_tokens_details"] == {"reasoning_tokens": 1}


def test_the_tap_knows_each_event() -> None:
    """What is output, how it ended, and that the last event is held."""
    tap = StreamTap()
    kinds = [
        [tap.read(chunk) for chunk in fed(event)]
        for event in (
            CREATED,
            said("response.output_text.delta", delta="x"),
            said("response.output_item.added", item={"type": "web_search_call"}),
            ended(usage=USAGE),
        )
    ]
    assert kinds == [[Event.QUIET], [Event.OUTPUT], [Event.OUTPUT], [Event.OUTPUT, Event.USAGE, Event.DONE]]
    assert tap.finished
    assert tap.usage is not None
    assert (tap.usage.prompt, tap.usage.completion, tap.usage.cached, tap.usage.reasoning) == (3, 2, 1, 1)


@pytest.mark.parametrize(
    ("status", "fields", "finish"),
    [
        ("completed", {}, "stop"),
        ("incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ("incomplete", {"incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ("incomplete", {"incomplete_details": None}, "stop"),
    ],
)
def test_how_it_finished(status: str, fields: dict[str, Any], finish: str) -> None:
    """Streamed and whole alike."""
    assert gathered(CREATED, ended(status, **fields))["choices"][0]["finish_reason"] == finish
    body = {**NAMES, "object": "response", "status": status, "output": [], **fields}
    assert answer(Operation.CHAT, body)["choices"][0]["finish_reason"] == finish


def test_what_has_no_deltas_is_told_from_the_whole() -> None:
    """Some servers send none, or not for calls."""
    message = gathered(ended(output=[MESSAGE, CALL, 7]))["choices"][0]["message"]
    assert (message["content"], message["tool_calls"][0]["function"]["arguments"]) == ("Hello", "{}")
    done = said("response.output_item.done", output_index=0, item=CALL)
    for before in ([], [said("response.output_item.added", output_index=0, item={**CALL, "arguments": ""})]):
        message = gathered(*before, done, done, ended(output=[CALL]))["choices"][0]["message"]
        assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (said("error", code="c", message="m", param=None, sequence_number=3), {"code": "c", "message": "m"}),
        (said("error", error={"code": "c", "message": "m", "metadata": {"error_type": "e", "x": []}}), {"code": "c"}),
        (said("response.failed", response={**NAMES, "error": {"code": "c", "message": "m"}}), {"code": "c"}),
        (said("response.failed", response=7), {"message": "the response failed"}),
        (b'data: {"error":"broken"}\n\n', {"message": "broken"}),
        (b'event: error\ndata: {"code":"c"}\n\n', {"code": "c"}),
        (b'event: error\ndata: {"type":"server_error","message":"m"}\n\n', {"message": "m"}),
        (b'event: error\ndata: {"x":[]}\n\n', {"message": ""}),
    ],
)
def test_an_error_is_one_in_every_form(event: bytes, error: dict[str, Any]) -> None:
    """An event of its own, a response that failed, or a body that slipped into the stream."""
    (chunk,) = fed(event)
    told = orjson.loads(chunk[6:])["error"]
    assert error.items() <= told.items()
    assert StreamTap().read(chunk) is Event.ERROR


def test_what_means_nothing_says_nothing() -> None:
    """Comments pass; what has no form of its own is left out."""
    assert fed(b":\n\n") == [b":\n\n"]
    for event in (
        said("response.queued"),
        said("response.web_search_call.completed", item_id="x"),
        said("response.output_text.delta", delta=7),
        said("response.refusal.delta"),
        said("response.output_item.added", item=7),
        said("response.output_item.done", item=MESSAGE),
        said("response.output_item.done", item=7),
        said("response.function_call_arguments.delta", output_index=4, delta="{"),
        b"data: {}\n\n",
    ):
        assert fed(event) == []
    added = said("response.output_item.added", output_index=0, item=CALL)
    assert len(fed(added, said("response.function_call_arguments.delta", output_index=0, delta=7))) == 1
    empty = said("response.output_item.done", output_index=0, item={**CALL, "arguments": ""})
    assert len(fed(added, empty, said("response.output_item.done", output_index=0, item={**CALL, "arguments": 7}))) == 1


def test_a_marker_that_the_api_has_not_is_one() -> None:
    """Some send it, after the end or in its place."""
    assert fed(b"data: [DONE]\n\n") == [b"data: [DONE]\n\n"]
    assert fed(ended(), b"data: [DONE]\n\n")[-2:] == [b"data: [DONE]\n\n"] * 2


def test_what_cannot_be_read_is_given_as_it_came() -> None:
    """Whoever judges the stream cannot read it either."""
    for event in (b"event: x\ndata: {\n\n", b"data: 7\n\n", b"data: a\ndata: b\n\n"):
        (chunk,) = fed(event)
        assert StreamTap().read(chunk) is Event.GARBLED
    assert fed(said("response.created", response=7))[0].startswith(b'data: {"id":"","object"')


def test_a_whole_answer_is_read() -> None:
    """As the same completion."""
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "h"}], "content": []}
    other = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "m"}, 7]}
    refusal = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}
    odd = {"type": "function_call", "arguments": 7}
    output = [thought, other, MESSAGE, refusal, CALL, odd, {"type": "web_search_call"}, 7]
    body = {**NAMES, "object": "response", "status": "completed", "output": output, "usage": USAGE}
    made = answer(Operation.CHAT, body)
    message = made["choices"][0]["message"]
    assert (message["content"], message["refusal"], message["reasoning_content"]) == ("Hello", "No.", "hm")
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["f", ""]
    read = read_answer(Operation.CHAT, made)
    assert read is not None
    assert read.usage is not None
    assert (read.usage.prompt, read.usage.completion, read.text) == (3, 2, len("Hello") + len("No.") + len("hm"))


def test_an_error_is_given_as_it_came() -> None:
    """And what is neither answer nor error is refused."""
    failed = {**NAMES, "object": "response", "status": "failed", "error": {"code": "server_error", "message": "m"}}
    assert answer(Operation.CHAT, failed) is failed
    for body in ({}, {"object": "response", "status": "queued"}, {"object": "response", "status": []}, {"object": "x"}):
        with pytest.raises(UntranslatableError):
            answer(Operation.CHAT, body)
    bare = answer(
        Operation.CHAT, {"object": "response", "status": "completed", "output": 7, "usage": 7, "created_at": "x"}
    )
    assert (bare["choices"][0]["message"]["content"], bare["usage"], bare["created"]) == ("", None, 0)


DELTAS = st.lists(
    st.tuples(st.sampled_from(["content", "reasoning_content", "refusal"]), st.text(min_size=1, max_size=4))
)


@given(DELTAS, st.integers(1, 9))
def test_what_is_said_here_is_read_as_it_was(deltas: list[tuple[str, str]], size: int) -> None:
    """The voice and the reading are each other's reverse, wherever the bytes are split."""
    call = decode(Asking(Operation.CHAT), orjson.dumps({"model": "q", "input": "hi"}))
    speaker, splitter, gatherer, decoder = (
        ResponsesVoice(call, "r"),
        Splitter(whole=True),
        Gatherer(),
        ResponsesDecoder(READING),
    )
    stream = b""
    for name, text in deltas:
        chunk = {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {name: text}, "finish_reason": None}]}
        stream += speaker.feed(b"data: " + orjson.dumps(chunk) + b"\n\n")
    stream += speaker.end()
    for start in range(0, len(stream), size * 7):
        for event in splitter.feed(stream[start : start + size * 7]):
            for chunk_ in decoder.feed(event):
                gatherer.feed(chunk_)
    message = gatherer.answer()["choices"][0]["message"]
    for name in ("content", "reasoning_content", "refusal"):
        assert (message.get(name) or "") == "".join(text for kind, text in deltas if kind == name)


ANY = st.recursive(
    st.none() | st.integers(-9, 2**53) | st.floats() | st.text(max_size=4),
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "item",
                    "response",
                    "output",
                    "usage",
                    "error",
                    "delta",
                    "output_index",
                    "content",
                    "text",
                    "arguments",
                ]
            ),
            x,
            max_size=4,
        )
    ),
    max_leaves=10,
)
KINDS = st.sampled_from(
    [
        *("response.created", "response.output_text.delta", "response.output_item.added", "response.output_item.done"),
        *(
            "response.function_call_arguments.delta",
            "response.completed",
            "response.incomplete",
            "response.failed",
            "error",
            "x",
        ),
    ]
)


@given(st.lists(st.tuples(KINDS, ANY)), st.lists(st.binary(max_size=20)))
def test_nothing_makes_it_raise(bodies: list[tuple[str, Any]], damage: list[bytes]) -> None:
    """Nor whoever reads its chunks."""
    events = [
        said(kind, **{k: v for k, v in (body.items() if isinstance(body, dict) else ()) if k != "type"})
        for kind, body in bodies
    ]
    events += [b"data: " + data.replace(b"\n", b" ") + b"\n\n" for data in damage]
    tap = StreamTap()
    for chunk in fed(*events):
        assert chunk.endswith(b"\n\n")
        tap.read(chunk)
    for _, body in bodies:
        if isinstance(body, dict):
            read_answer(Operation.CHAT, answer(Operation.CHAT, {**body, "object": "response", "status": "completed"}))
