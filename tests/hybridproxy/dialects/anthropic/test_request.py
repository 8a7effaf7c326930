"""A request of Anthropic's Messages API becomes the call it asks for; what cannot be carried is named."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.anthropic.request import decode
from hybridproxy.dialects.request import RequestError
from hybridproxy.dialects.translator import Asking
from hybridproxy.model.call import Call, Capability, Operation
from hybridproxy.model.dialect import Dialect

USER = {"role": "user", "content": "hi"}
TOOL = {"name": "f", "description": "does f", "input_schema": {"type": "object"}}
FUNCTION = {"type": "function", "function": {"name": "f", "description": "does f", "parameters": {"type": "object"}}}
SCHEMA = {"type": "object", "properties": {}}


def asked(operation: Operation = Operation.CHAT, /, **fields: Any) -> Call:
    """Return the call of a request with these fields beside the least that it needs."""
    body = {"model": "qwen", "max_tokens": 9, "messages": [USER], **fields}
    given = {name: value for name, value in body.items() if value is not ...}
    return decode(Asking(operation, headers=(("anthropic-version", "2026-10-21"),)), orjson.dumps(given))


def wrong_with(**fields: Any) -> str | None:
    """Return the field that an error names."""
    with pytest.raises(RequestError) as raised:
        asked(**fields)
    return raised.value.param


def test_the_least_that_a_request_needs() -> None:
    """Model, messages and a limit; the caller's own words are kept for who understands them."""
    call = asked()
    assert call.body == {"model": "qwen", "messages": [USER], "max_completion_tokens": 9}
    assert call.native == {"model": "qwen", "messages": [USER], "max_tokens": 9}
    assert (call.operation, call.dialect, call.stream) == (Operation.CHAT, Dialect.ANTHROPIC, False)
    assert (call.wants_usage, call.choices, call.needs) == (True, 1, frozenset())
    assert (call.bound, call.dropped) == ((), ())
    assert call.headers == (("anthropic-version", "2026-10-21"),)


def test_what_every_chat_has_in_another_spelling() -> None:
    """System prompt, stop sequences, user, sampling; null is as good as not there."""
    call = asked(
        system="be kind",
        stop_sequences=["END"],
        metadata={"user_id": "u-1", "trace": "t", "none": None},
        temperature=0.5,
        top_p=1,
        top_k=7,
        stream=True,
        thinking=None,
        tools=None,
    )
    assert call.body == {
        "model": "qwen",
        "messages": [{"role": "system", "content": "be kind"}, USER],
        "max_completion_tokens": 9,
        "stop": ["END"],
        "user": "u-1",
        "temperature": 0.5,
        "top_p": 1,
        "top_k": 7,
        "stream": True,
    }
    assert call.stream
    assert call.dropped == ("metadata.trace",)
    assert "stop" not in asked(stop_sequences=[]).body


def test_what_callers_of_other_models_send_beside() -> None:
    """Through the SDK's `extra_body`: known extensions pass, unknown fields are named, control fields never pass."""
    call = asked(
        seed=1,
        enable_thinking=False,
        repetition_penalty=1.1,
        context_management={},
        service_tier="auto",
        provider={},
        speed=None,
    )
    assert call.body.items() >= {"seed": 1, "enable_thinking": False, "repetition_penalty": 1.1}.items()
    assert call.dropped == ("context_management", "service_tier")
    assert "provider" not in call.body


def test_tools_of_the_callers_own() -> None:
    """With schema, mark for the cache and strictness; what is left out is named."""
    mark = {"type": "ephemeral"}
    call = asked(
        tools=[
            TOOL,
            {**TOOL, "type": "custom", "strict": True, "cache_control": mark, "allowed_callers": ["direct"]},
            {"name": "g", "input_schema": {}, "input_examples": [{}], "eager_input_streaming": True, "type": None},
        ]
    )
    assert call.body["tools"] == [
        FUNCTION,
        {"type": "function", "function": {**FUNCTION["function"], "strict": True}, "cache_control": mark},  # type: ignore[dict-item]
        {"type": "function", "function": {"name": "g", "parameters": {}}},
    ]
    assert call.needs == {Capability.TOOLS}
    assert call.dropped == ("tools.eager_input_streaming", "tools.input_examples")
    assert call.bound == ()


def test_tools_of_anthropics_own_are_bound() -> None:
    """Nobody else has them; so are tools that are searched for, or called by code that runs there."""
    call = asked(
        tools=[
            {"type": "web_search_20250305", "name": "web_search"},
            {"type": "x" * 100, "name": "f"},
            {**TOOL, "defer_loading": True},
            {**TOOL, "allowed_callers": ["code_execution_20260120"]},
        ]
    )
    assert call.bound == ("tools.0 (web_search_20250305)", "tools.1", "tools.2", "tools.3")
    assert "tools" not in asked(tools=[{"type": "web_search_20250305"}]).body


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any", "disable_parallel_tool_use": False}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
        ),
    ],
)
def test_which_tool_to_use(choice: dict[str, Any], said: dict[str, Any]) -> None:
    """Each way has its counterpart."""
    assert asked(tools=[TOOL], tool_choice=choice).body.items() >= said.items()


def test_thinking_goes_on_as_it_is_spelt() -> None:
    """How hard to think is said to others only where the model may decide whether to think at all."""
    assert asked(thinking={"type": "enabled", "budget_tokens": 2048}).body["thinking"] == {
        "type": "enabled",
        "budget_tokens": 2048,
    }
    call = asked(output_config={"effort": "high"}, thinking={"type": "adaptive", "display": "omitted"})
    assert (call.body["thinking"], call.body["reasoning_effort"]) == ({"type": "adaptive"}, "high")
    assert call.dropped == ("thinking.display",)
    call = asked(output_config={"effort": "high", "task_budget": {}, "none": None}, thinking={"type": "disabled"})
    assert call.body["thinking"] == {"type": "disabled"}
    assert "reasoning_effort" not in call.body
    assert call.dropped == ("output_config.effort", "output_config.task_budget")
    call = asked(thinking={"type": "between_tools"})
    assert (call.bound, "thinking" in call.body) == (("thinking.type",), False)


def test_fields_that_are_not_read_are_named_wherever_they_stand() -> None:
    """In a tool, in the choice of one, in what is said of thinking."""
    call = asked(
        tools=[{**TOOL, "toolset": "x"}],
        tool_choice={"type": "auto", "mood": "good", "other": None},
        thinking={"type": "adaptive", "depth": 3},
    )
    assert call.dropped == ("thinking.depth", "tool_choice.mood", "tools.toolset")


def test_structured_output_in_both_spellings() -> None:
    """Becomes the JSON schema of a chat completion."""
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    form = {"type": "json_schema", "schema": SCHEMA}
    for call in (asked(output_config={"format": form}), asked(output_format=form)):
        assert call.body["response_format"] == wanted
        assert call.needs == {Capability.JSON_SCHEMA}


def test_what_runs_on_anthropics_servers_is_bound() -> None:
    """Servers of tools, containers, and a call that only fills the cache."""
    assert asked(mcp_servers=[{"url": "https://example.com"}], container="c").bound == ("mcp_servers", "container")
    call = asked(max_tokens=0)
    assert (call.bound, call.body.get("max_completion_tokens")) == (("max_tokens",), None)
    assert asked(mcp_servers=[], container=None).bound == ()


def test_tokens_are_counted_without_a_limit_and_never_streamed() -> None:
    """The tools count; what only Anthropic could do binds nothing, since the count may be an estimate."""
    call = asked(Operation.COUNT, max_tokens=..., tools=[TOOL, {"type": "bash_20250124"}], stream=True)
    assert call.body == {"model": "qwen", "messages": [USER], "tools": [FUNCTION]}
    assert (call.operation, call.stream, call.bound, call.needs) == (Operation.COUNT, False, (), frozenset())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ...}, "model"),
        ({"max_tokens": ...}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": ...}, "messages"),
        ({"Messages": []}, "Messages"),
        ({"system": 7}, "system"),
        ({"stream": "yes"}, "stream"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"stop_sequences": [7]}, "stop_sequences"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"user_id": 7}}, "metadata.user_id"),
        ({"tools": {}}, "tools"),
        ({"tools": ["f"]}, "tools.0"),
        ({"tools": [{"input_schema": {}}]}, "tools.0.name"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
        ({"tools": [{"name": "f", "input_schema": {}, "description": 7}]}, "tools.0.description"),
        ({"tools": [{"name": "f", "input_schema": {}, "strict": "yes"}]}, "tools.0.strict"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": 1}}, "disable_parallel_tool_use"),
        ({"thinking": True}, "thinking"),
        ({"thinking": {"type": "deep"}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"output_config": []}, "output_config"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_format": {"type": "json_schema"}}, "output_format.schema"),
        ({"output_config": {"effort": 7}, "thinking": {"type": "adaptive"}}, "output_config.effort"),
        ({"inference_geo": "us"}, "inference_geo"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    """By its path."""
    assert wrong_with(**fields) == param


FIELDS = st.sampled_from(
    ["system", "tools", "tool_choice", "thinking", "output_config", "metadata", "stop_sequences", "top_k", "container"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "name", "format", "schema", "effort", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(FIELDS, JSON))
def test_nothing_but_the_declared_error_comes_of_any_field(fields: dict[str, Any]) -> None:
    """And what comes can be sent on."""
    with suppress(RequestError):
        assert orjson.dumps(asked(**fields).body)
