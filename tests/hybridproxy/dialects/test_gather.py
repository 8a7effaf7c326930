"""Tests of a whole answer that is put together out of a stream."""

import time
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.gather import MAX_CALLS, Gatherer
from hybridproxy.dialects.sse import Splitter
from hybridproxy.dialects.tap import read_answer
from hybridproxy.model.call import Operation
from hybridproxy.providers import PROVIDERS
from tests.support.wire import transcripts

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "qwen"}
BELOW = st.none() | st.integers(-(2**53), 2**53) | st.text()
NO_CHUNKS = (b":\n\n", b"data: [DONE]\n\n", b"data: {\n\n", b"data: 7\n\n", b'data: {"choices":[7,{"index":"x"}]}\n\n')
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def gathered(*bodies: Any) -> dict[str, Any]:
    """Return the answer that these chunks make."""
    gatherer = Gatherer()
    for body in bodies:
        gatherer.feed(b"data: " + orjson.dumps(body) + b"\n\n")
    return gatherer.answer()


def chunk(delta: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk of one choice."""
    return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]}


def test_text_and_thought_are_joined() -> None:
    """With the names of the first chunk, and the usage of the last."""
    answer = gathered(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "Hm"}),
        chunk({"content": "Hel"}, audio=None),
        chunk({"content": "lo", "refusal": None}, "stop"),
        {**HEAD, "id": "other", "choices": [], "usage": USAGE},
    )
    message = {"role": "assistant", "reasoning_content": "Hm", "content": "Hello"}
    choice = {"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}
    assert answer == {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}


def test_sound_in_pieces_becomes_one_sound() -> None:
    """Models that speak only do so in a stream; a call in the older form comes in pieces likewise."""
    answer = gathered(
        chunk({"role": "assistant", "audio": {"id": "s", "transcript": "He"}}),
        chunk({"audio": {"data": "AAAA", "transcript": None}}),
        chunk({"audio": {"data": "BBBB", "transcript": "llo"}}),
        chunk({"audio": {"expires_at": 9}}),
        chunk({"function_call": {"name": "f", "arguments": '{"x'}}),
        chunk({"function_call": {"arguments": '":1}'}}, "stop"),
    )
    message = answer["choices"][0]["message"]
    assert message["audio"] == {"id": "s", "transcript": "Hello", "data": "AAAABBBB", "expires_at": 9}
    assert message["function_call"] == {"name": "f", "arguments": '{"x":1}'}
    assert gathered(chunk({"x": 1}), chunk({"x": {"data": "a"}}))["choices"][0]["message"]["x"] == {"data": "a"}


def test_a_text_beside_a_delta_is_the_same_text_again() -> None:
    """Together says it twice; the answer is one of a chat."""
    answer = gathered(chunk({"content": "a"}, text="a"), chunk({"content": "b"}, text="b"), chunk({}, "stop", text=""))
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "ab"}


def test_tool_calls_in_pieces_become_whole_ones() -> None:
    """Two at once, their arguments split anywhere; the id and the name come with the first piece."""
    first = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x'}}
    second = {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}
    answer = gathered(
        chunk({"tool_calls": [first, second]}),
        chunk({"tool_calls": [{"index": 1, "id": "", "function": {"arguments": "{}"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '":1}'}}, {"index": 0, "function": None}, 7]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": None}}]}),
        chunk({"tool_calls": None}, "tool_calls"),
    )
    message = answer["choices"][0]["message"]
    assert message["content"] is None
    assert [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message["tool_calls"]] == [
        ("a", "f", '{"x":1}'),
        ("b", "g", "{}"),
    ]


def test_more_tool_calls_than_any_request_has_are_left_out() -> None:
    """What an upstream sends is bounded."""
    answer = gathered(*(chunk({"tool_calls": [{"index": n, "id": "x"}]}) for n in range(MAX_CALLS + 5)))
    assert len(answer["choices"][0]["message"]["tool_calls"]) == MAX_CALLS


def test_lists_go_on_and_other_fields_are_kept() -> None:
    """Log probabilities, details of the thinking, and whatever else a delta brings."""
    answer = gathered(
        chunk({"content": "a", "reasoning_details": [1]}, logprobs={"content": [{"token": "a"}], "refusal": None}),
        chunk({"content": "b", "reasoning_details": [2], "x": 1}, "stop", logprobs={"content": [{"token": "b"}]}),
    )
    choice = answer["choices"][0]
    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}]}
    assert (choice["message"]["reasoning_details"], choice["message"]["x"]) == ([1, 2], 1)


def test_a_long_sound_is_joined_once() -> None:
    """Each piece onto all before would take time with the square of its length, on the loop of every caller."""
    piece, gatherer = "UklG" * 1024, Gatherer()
    event = b"data: " + orjson.dumps(chunk({"audio": {"data": piece, "transcript": 5}})) + b"\n\n"
    began = time.process_time()
    for _ in range(5000):
        gatherer.feed(event)
    assert gatherer.answer()["choices"][0]["message"]["audio"] == {"data": piece * 5000}
    assert time.process_time() - began < 2


def test_a_list_that_follows_something_else_stands_in_for_it() -> None:
    """No answer is like that, and nothing raises."""
    said = gathered(chunk({"x": 1.5}), chunk({"x": [1]}), chunk({"x": [2]}))["choices"][0]["message"]
    assert said["x"] == [1, 2]


def test_a_completion_has_a_text() -> None:
    """Choices are told apart by their index."""
    answer = gathered(
        {"id": "c", "choices": [{"index": 1, "text": "b"}, {"index": 0, "text": ""}]},
        {"id": "c", "choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]},
    )
    assert answer["object"] == "text_completion"
    assert [(c["index"], c["text"]) for c in answer["choices"]] == [(0, "a"), (1, "b")]


def test_what_is_no_chunk_changes_nothing() -> None:
    """Whoever reads the stream has judged it; comments and the mark of the end pass by."""
    gatherer = Gatherer()
    for event in NO_CHUNKS:
        gatherer.feed(event)
    assert gatherer.answer() == {"object": "text_completion", "choices": []}


def test_every_providers_stream_makes_an_answer() -> None:
    """As long as the stream says, with its usage."""
    for name in (name for name, row in PROVIDERS.items() if row.paths):
        for transcript in transcripts(name).values():
            if not transcript.streams or "text" not in transcript.notes:
                continue
            gatherer = Gatherer()
            for event in Splitter().feed(transcript.body):
                gatherer.feed(event)
            answer = read_answer(Operation.CHAT, gatherer.answer())
            assert answer is not None
            assert answer.text == int(transcript.notes["text"])
            assert answer.usage is not None


@given(st.recursive(BELOW, lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_nothing_in_a_chunk_makes_it_raise(value: Any) -> None:
    """Whatever stands where a chunk has something else."""
    bodies = ({"choices": value}, {"choices": [value]}, chunk(value), chunk({"tool_calls": value}), {"usage": value})
    for body in (value, *bodies):
        gathered(body)


def test_an_answer_that_came_whole_is_taken() -> None:
    """Some servers answer a stream so."""
    whole = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
    assert gathered(whole)["choices"][0]["message"]["content"] == "hi"
