"""A whole chat completion becomes Anthropic's message."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.anthropic.answer import (
    OWN_REASONS,
    encode_model,
    encode_models,
    message_id,
    stopped,
    tool_id,
    tool_input,
    usage_of,
    whole_message,
)

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def message(said: Any, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    """Return the message that an answer with this message is."""
    choice = {"index": 0, "message": said, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "model": "qwen-up", "choices": [choice], "usage": USAGE, **more}
    found: dict[str, Any] = orjson.loads(
        whole_message(body, model="qwen", stops=frozenset({"END"}), request_id="req_1")
    )
    return found


def test_a_text() -> None:
    """With id, model, stop reason, and the tokens of the input that no cache had apart from the others."""
    assert message({"role": "assistant", "content": "Hello"}) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "qwen-up",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 60,
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 5},
        },
    }


def test_thought_text_and_calls_in_this_order() -> None:
    """A call without an id gets one; arguments that are no object are kept as they were written."""
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"function": {"name": 7, "arguments": "{not"}},
        {"id": "", "function": None},
        7,
    ]
    found = message({"content": "Hm.", "reasoning": "thought", "tool_calls": calls}, "tool_calls")
    assert found["content"] == [
        {"type": "thinking", "thinking": "thought", "signature": ""},
        {"type": "text", "text": "Hm."},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "toolu_1_1", "name": "", "input": {"INVALID_JSON": "{not"}},
        {"type": "tool_use", "id": "toolu_1_2", "name": "", "input": {}},
    ]
    assert found["stop_reason"] == "tool_use"


def test_signed_thoughts_keep_their_signatures() -> None:
    """Where the blocks have the text; where only the text beside them has it; where it is not to be read."""
    signed = {"type": "thinking", "thinking": "all of it", "signature": "s"}
    redacted = {"type": "redacted_thinking", "data": "d"}
    empty = {"type": "thinking", "signature": "s"}
    for blocks, wanted in (
        ([signed, redacted], [signed, redacted]),
        ([empty], [{**empty, "thinking": "beside"}]),
        ([redacted], [{"type": "thinking", "thinking": "beside", "signature": ""}, redacted]),
        ([7, {"type": "redacted_thinking"}, {"type": "thinking", "signature": ""}], None),
        ("x", None),
    ):
        found = message({"content": "", "reasoning_content": "beside", "thinking_blocks": blocks})
        unsigned = [{"type": "thinking", "thinking": "beside", "signature": ""}]
        assert found["content"] == (unsigned if wanted is None else wanted)
    assert message({"content": "", "thinking_blocks": [signed]})["content"] == [signed]


def test_a_refusal_is_text_and_a_stop_reason() -> None:
    """As with Anthropic's own models."""
    found = message({"content": None, "refusal": "I will not"}, "content_filter")
    assert found["content"] == [{"type": "text", "text": "I will not"}]
    assert found["stop_reason"] == "refusal"


@pytest.mark.parametrize(
    ("choice", "called", "wanted"),
    [
        ({"finish_reason": "stop"}, False, ("end_turn", None)),
        ({"finish_reason": "stop"}, True, ("tool_use", None)),
        ({"finish_reason": "length"}, True, ("max_tokens", None)),
        ({"finish_reason": "function_call"}, False, ("tool_use", None)),
        ({"finish_reason": "eos"}, False, ("end_turn", None)),
        ({"finish_reason": 7}, False, ("end_turn", None)),
        ({"finish_reason": "stop", "stop_reason": "END"}, False, ("stop_sequence", "END")),
        ({"finish_reason": "stop", "matched_stop": "END"}, False, ("stop_sequence", "END")),
        ({"finish_reason": "stop", "stop_reason": 151645}, False, ("end_turn", None)),
        ({"finish_reason": "stop", "stop_reason": "other"}, False, ("end_turn", None)),
        ({"finish_reason": "length", "stop_reason": "END"}, False, ("max_tokens", None)),
        ({"finish_reason": "stop", "native_finish_reason": "pause_turn"}, False, ("pause_turn", None)),
        (
            {"finish_reason": "stop", "native_finish_reason": "stop_sequence", "stop_reason": "END"},
            False,
            ("stop_sequence", "END"),
        ),
        ({"finish_reason": "stop", "native_finish_reason": "STOP"}, False, ("end_turn", None)),
    ],
)
def test_why_an_answer_ended(choice: dict[str, Any], called: bool, wanted: tuple[str, str | None]) -> None:
    """Which stop sequence it was is told where the upstream told it."""
    assert stopped(choice, frozenset({"END"}), called=called) == wanted


def test_every_reason_of_anthropics_has_one_of_openais() -> None:
    """For callers of the other dialects."""
    assert set(OWN_REASONS.values()) == {"stop", "length", "tool_calls", "content_filter"}


def test_usage_that_was_not_reported_or_makes_no_sense() -> None:
    """Is nothing; never less than nothing."""
    nothing = {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}
    assert usage_of(None) == usage_of({"prompt_tokens": "9", "completion_tokens": -1}) == nothing
    odd = {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}, "completion_tokens_details": None}
    assert usage_of(odd) == {**nothing, "cache_read_input_tokens": 9}


@pytest.mark.parametrize(
    "told",
    [
        {"prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2}},  # OpenRouter
        {"prompt_tokens_details": {"cached_tokens": 4, "cache_creation_input_tokens": 2}},  # DashScope
        {"prompt_tokens_details": {"cached_tokens": 4}, "cache_creation_input_tokens": 2},  # LiteLLM
        {"prompt_cache_hit_tokens": 4, "cache_creation_input_tokens": 2},  # DeepSeek's word for what was read
    ],
)
def test_what_a_cache_had_and_got_is_told_apart_whatever_it_is_called(told: dict[str, Any]) -> None:
    """The rest of the input is what is left, so that nothing is counted twice."""
    said = usage_of({"prompt_tokens": 9, "completion_tokens": 1, **told})
    assert (said["input_tokens"], said["cache_read_input_tokens"], said["cache_creation_input_tokens"]) == (3, 4, 2)


def test_names() -> None:
    """Of messages and of calls; an answer without an id is named by its request."""
    assert message_id({"id": "msg_7"}, "req_1") == "msg_7"
    assert message_id({"id": 7}, "req_1") == message_id({}, "req_1") == "msg_req_1"
    assert tool_id({"id": 7}, "msg_7", 0) == "toolu_7_0"
    assert message({"content": "x"}, model=7)["model"] == "qwen"


def test_arguments_too_deep_to_be_written_again_are_kept_as_text() -> None:
    """The parser reads more than the writer writes."""
    deep = '{"a":' * 300 + "1" + "}" * 300
    assert tool_input(deep) == {"INVALID_JSON": deep}
    assert tool_input("[1]") == {"INVALID_JSON": "[1]"}
    assert tool_input("") == {}


def test_the_models_are_on_one_page() -> None:
    """Each with a date, which nobody knows."""
    known = {"type": "model", "id": "m", "display_name": "m", "created_at": "1970-01-01T00:00:00Z"}
    assert orjson.loads(encode_model("m")) == known
    page = {"data": [known], "has_more": False, "first_id": "m", "last_id": "m"}
    assert orjson.loads(encode_models(["m"])) == page
    assert orjson.loads(encode_models([])) == {"data": [], "has_more": False, "first_id": None, "last_id": None}


@given(JSON, JSON)
def test_whatever_an_upstream_says_is_a_message(said: Any, finish: Any) -> None:
    """With the fields that the SDK reads."""
    assert message(said, finish)["type"] == "message"
    for choices in (None, [], [said], said):
        made = orjson.loads(whole_message({"choices": choices}, model="m", stops=frozenset(), request_id="r"))
        assert made["content"] == [] or choices == [said]
