"""Tests of what a request of the Responses API asks for."""

import time
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.request import RequestError
from hybridproxy.dialects.responses.request import decode, repeat
from hybridproxy.dialects.translator import Asking
from hybridproxy.model.call import Call, Capability, Operation
from hybridproxy.model.dialect import Dialect

ASKING = Asking(Operation.CHAT, headers=(("x-dashscope-session-cache", "enable"),))
TOOL = {"type": "function", "name": "f", "parameters": {}}


def asked(**fields: Any) -> Call:
    """Return the call that a request asks for."""
    return decode(ASKING, orjson.dumps({"model": "qwen", "input": "hi", **fields}))


def test_the_shortest_request_is_a_chat() -> None:
    """Usage is always told in this dialect, and nothing is kept."""
    call = asked()
    assert call.body == {"model": "qwen", "messages": [{"role": "user", "content": "hi"}]}
    assert call.native == {"model": "qwen", "input": "hi"}
    assert (call.dialect, call.operation, call.model) == (Dialect.RESPONSES, Operation.CHAT, "qwen")
    assert (call.stream, call.wants_usage, call.choices) == (False, True, 1)
    assert (call.bound, call.dropped, call.needs) == ((), (), frozenset())
    assert call.headers == ASKING.headers
    assert call.size == len(b'{"model":"qwen","input":"hi"}')


def test_every_field_with_a_like_is_said() -> None:
    """In the words of a chat completion; what the caller only gets back is left out."""
    call = asked(
        instructions="Be brief.",
        max_output_tokens=99,
        temperature=0.5,
        top_p=1,
        top_logprobs=3,
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        metadata={"a": "b"},
        user="u",
        safety_identifier="s",
        prompt_cache_key="k",
        prompt_cache_retention="24h",
        prompt_cache_options={"mode": "implicit"},
        service_tier="flex",
        store=False,
        background=False,
        stream=True,
        stream_options={"include_obfuscation": False},
        truncation="disabled",
        parallel_tool_calls=False,
        tools=[TOOL],
        tool_choice="auto",
        reasoning={"effort": "low", "summary": "auto", "mode": "standard"},
        text={
            "verbosity": "low",
            "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True},
        },
        previous_response_id=None,
        enable_thinking=True,
        priority=3,
        cache_salt="mine",
    )
    assert call.body == {
        "model": "qwen",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "max_completion_tokens": 99,
        "temperature": 0.5,
        "top_p": 1,
        "logprobs": True,
        "top_logprobs": 3,
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "prompt_cache_options": {"mode": "implicit"},
        "service_tier": "flex",
        "parallel_tool_calls": False,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "tool_choice": "auto",
        "reasoning_effort": "low",
        "verbosity": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
        },
        "enable_thinking": True,
        "priority": 3,
    }
    assert (call.bound, call.dropped, call.stream) == ((), (), True)
    assert call.needs == {Capability.TOOLS, Capability.JSON_SCHEMA}


def test_an_image_needs_a_model_with_eyes() -> None:
    """As in any dialect."""
    image = {"type": "input_image", "image_url": "https://x.example/y.png"}
    assert asked(input=[{"role": "user", "content": [image]}]).needs == {Capability.VISION}


def test_formats_without_a_schema() -> None:
    """Text is what comes anyway."""
    assert asked(text={"format": {"type": "json_object"}}).body["response_format"] == {"type": "json_object"}
    assert "response_format" not in asked(text={"format": {"type": "text"}}).body
    assert "response_format" not in asked(text={}).body
    assert "logprobs" not in asked(include=[], top_logprobs=0).body


def test_what_stands_first_for_the_system_is_one_message() -> None:
    """Many templates take but one, and only as the first."""
    first, second = {"role": "developer", "content": "B"}, {"role": "user", "content": "C"}
    assert asked(instructions="A", input=[first, second]).body["messages"] == [
        {"role": "system", "content": "A\n\nB"},
        {"role": "user", "content": "C"},
    ]
    image = {"role": "system", "content": [{"type": "input_text", "text": "x"}, {"type": "input_text", "text": "y"}]}
    assert len(asked(instructions="A", input=[image]).body["messages"]) == 2
    assert asked(instructions="A", input=None).body["messages"] == [{"role": "system", "content": "A"}]


def test_without_tools_nothing_is_said_of_them() -> None:
    """A chat completion refuses a choice among none."""
    call = asked(tool_choice="auto", parallel_tool_calls=True)
    assert call.body.keys() == {"model", "messages"}


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "name": "f"}, "tools": []},
        {
            "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]},
            "tools": [{"type": "function", "name": "f"}],
        },
    ],
)
def test_a_call_of_a_tool_that_is_not_there_cannot_be_forced(fields: dict[str, Any]) -> None:
    """The answer would be a text, of which its caller thinks that it has to be a call."""
    with pytest.raises(RequestError) as caught:
        asked(**fields)
    assert caught.value.param == "tool_choice"
    call = asked(tool_choice={"type": "web_search"}, tools=[{"type": "web_search"}])
    assert call.bound == ("tools[0] (web_search)", "tool_choice (web_search)")
    assert asked(tool_choice="required", tools=[{"type": "web_search"}]).bound == ("tools[0] (web_search)",)


@pytest.mark.parametrize(
    ("fields", "bound"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}, "input": None}, "prompt"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"moderation": {"model": "omni-moderation-latest"}}, "moderation"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"reasoning": {"mode": {}}}, "reasoning.mode"),
        ({"tools": [{"type": "web_search"}]}, "tools[0] (web_search)"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0] (item_reference)"),
    ],
)
def test_what_only_this_api_has_binds_the_call(fields: dict[str, Any], bound: str) -> None:
    """The gate then allows only backends that are spoken to in it."""
    assert asked(**fields).bound == (bound,)


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"store": True}, "store"),
        ({"truncation": "auto"}, "truncation"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"reasoning": {"context": "auto"}}, "reasoning.context"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
        ({"made_up": 3}, "made_up"),
    ],
)
def test_what_changes_nothing_is_left_out_by_name(fields: dict[str, Any], dropped: str) -> None:
    """The caller reads it in a header."""
    call = asked(**fields)
    assert (call.bound, call.dropped) == ((), (dropped,))
    assert call.body.keys() == {"model", "messages"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 7}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"instructions": ["x"]}, "instructions"),
        ({"Input": "x"}, "Input"),
        ({"background": True}, "background"),
        ({"background": "yes"}, "background"),
        ({"store": "yes"}, "store"),
        ({"truncation": "some"}, "truncation"),
        ({"include": "x"}, "include"),
        ({"metadata": []}, "metadata"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": True}, "top_logprobs"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_output_tokens": 1.5}, "max_output_tokens"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
        ({"user": 1}, "user"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": 1}}, "reasoning.effort"),
        ({"reasoning": {"summary": "some"}}, "reasoning.summary"),
        ({"text": "x"}, "text"),
        ({"text": {"verbosity": "some"}}, "text.verbosity"),
        ({"text": {"format": "x"}}, "text.format"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"stream_options": 7}, "stream_options"),
        ({"tools": 7}, "tools"),
        ({"tool_choice": 7}, "tool_choice"),
    ],
)
def test_what_is_malformed_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    """With the path to the field."""
    with pytest.raises(RequestError) as caught:
        asked(**fields)
    assert caught.value.param == param


def test_in_its_own_words_it_is_kept_only_where_the_caller_says_so() -> None:
    """An upstream would keep it where nothing is said."""
    call = asked(previous_response_id="resp_1", cache_salt="mine", priority=1)
    made = repeat(call, "own-name")
    assert made.body == {"model": "own-name", "input": "hi", "previous_response_id": "resp_1", "store": False}
    assert (made.headers, made.dropped) == (ASKING.headers, ())
    assert repeat(asked(store=None), "q").body["store"] is False
    assert repeat(asked(store=True), "q").body["store"] is True


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["user", "message", "input_text", "x", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "role",
                    "content",
                    "text",
                    "name",
                    "call_id",
                    "output",
                    "arguments",
                    "summary",
                    "format",
                    "effort",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FIELDS = ("input", "instructions", "tools", "tool_choice", "text", "reasoning", "include", "store", "top_p", "metadata")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_nothing_but_a_refusal_comes_of_any_body(fields: dict[str, Any]) -> None:
    """Whatever is in it."""
    with suppress(RequestError):
        assert asked(**fields).body["messages"] is not None


def test_no_number_of_items_keeps_a_worker_busy() -> None:
    """The time grows with the bytes, also where many become one message."""
    many = 60_000
    said = {"type": "message", "role": "assistant", "content": "x" * 50}
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "y" * 50}]}
    call = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
    for items in (
        [call, *[said] * many],
        [call, *[thought] * (many // 2)],
        [{"role": "system", "content": "z" * 50}] * many,
    ):
        began = time.thread_time()
        assert len(asked(input=items).body["messages"]) == 1
        assert time.thread_time() - began < 5  # 0.13 on a quiet machine that counts no coverage
