"""What the simulated model says."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.simulator.answers import Answer, RequestError, Said, answer_for, count_words, example_of, read_request
from hybridproxy.simulator.rows import PROVIDERS

TOOL = {"type": "function", "function": {"name": "t", "parameters": {"type": "object", "properties": {}}}}


def answered(provider: str = "openai", said: Said | None = None, **fields: Any) -> Answer:
    """Answer a chat request with these fields."""
    body = {"model": "m", "messages": [{"role": "user", "content": "a b"}], **fields}
    row = PROVIDERS[provider]
    call = "completions" if "prompt" in fields else "chat/completions"
    return answer_for(row, call, read_request(row, call, orjson.dumps(body)), said or Said("sim"), "1", 0)


@given(st.text())
def test_the_pieces_add_up_to_the_text(text: str) -> None:
    """Cutting a text into pieces loses and changes nothing."""
    assert "".join(answered(said=Said("sim", text=text)).pieces) == text


@given(st.integers(1, 30), st.sampled_from(["max_tokens", "max_completion_tokens"]))
def test_a_limit_cuts_and_says_so(limit: int, field: str) -> None:
    """No more pieces than asked for; the finish reason is "length" exactly where something is missing."""
    limits: dict[str, Any] = {field: limit}
    whole, limited = answered(), answered(**limits)
    assert limited.pieces == whole.pieces[:limit]
    assert (limited.finish_reason == "length") == (limit < len(whole.pieces))


def test_dashscopes_old_limit_spares_the_reasoning() -> None:
    """DashScope's max_tokens limits the text alone, max_completion_tokens and other providers the reasoning too."""
    said = Said("sim", reasoning=5)
    old = answered("dashscope", said, max_tokens=3)
    assert (len(old.reasoning), len(old.pieces)) == (5, 3)
    new = answered("dashscope", said, max_completion_tokens=3)
    assert (len(new.reasoning), len(new.pieces)) == (3, 0)
    assert len(answered("vllm", said, max_tokens=6).pieces) == 1


def test_the_last_user_message_is_repeated() -> None:
    """The answer names the simulator, the model and the last user message, also where that has parts."""
    parts = [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "this"},
    ]
    messages = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": "y"},
    ]
    assert "".join(answered(messages=messages).pieces) == "Hello from sim (m). You said: see this (images: 1)"
    assert "".join(answered(prompt=["one", "two"]).pieces).endswith("one two")


def test_any_number_of_pieces() -> None:
    """A number of pieces from the settings repeats the text as often as needed, or cuts it."""
    assert len(answered(said=Said("sim", pieces=1000)).pieces) == 1000
    assert answered(said=Said("sim", pieces=0)).pieces == ()


def test_tools_are_called_until_they_have_answered() -> None:
    """The first tool or the one asked for is called, none with "none", and none again after a tool's message."""
    other = {"type": "function", "function": {"name": "u"}}
    assert answered(tools=[TOOL, other]).tool == "t"
    asked = answered(tools=[TOOL, other], tool_choice={"type": "function", "function": {"name": "u"}})
    assert (asked.tool, asked.pieces, asked.finish_reason) == ("u", ("{}",), "tool_calls")
    assert answered(tools=[TOOL], tool_choice="none").tool is None
    told = [{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "1", "content": "y"}]
    assert answered(tools=[TOOL], messages=told).finish_reason == "stop"


def test_several_tools_at_once() -> None:
    """As many as the settings say, unless the caller names one or wants no parallel calls; a limit cuts them."""
    other = {"type": "function", "function": {"name": "u", "parameters": {"properties": {"long": {}}}}}
    said = Said("sim", tool_calls=3)
    assert [name for name, _ in answered(said=said, tools=[TOOL, other]).tools] == ["t", "u", "t"]
    assert answered(said=said, tools=[TOOL, other], max_tokens=1).tools == (("t", 0),)
    assert len(answered(said=said, tools=[TOOL, other], parallel_tool_calls=False).tools) == 1
    named = {"type": "function", "function": {"name": "u"}}
    assert len(answered(said=said, tools=[TOOL, other], tool_choice=named).tools) == 1
    assert answered(said=said, tools=[TOOL], tool_choice={"type": "function", "function": {"name": "?"}}).tools == ()


def test_a_stop_sequence_ends_the_text() -> None:
    """Before the first of them that comes; the answer knows which it was, unless a limit came first."""
    said = Said("sim", text="one two three")
    stopped = answered(said=said, stop=["three", " two", "", 7])
    assert ("".join(stopped.pieces), stopped.stopped_by, stopped.finish_reason) == ("one", " two", "stop")
    assert "".join(answered(said=said, stop="w").pieces) == "one t"
    assert answered(said=said, stop="four").stopped_by is None
    assert answered(said=said, stop="three", max_tokens=1).stopped_by is None


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, None),
        ({"logprobs": False, "top_logprobs": 3}, None),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 3}, 3),
        ({"logprobs": True, "top_logprobs": "x"}, 0),
        ({"logprobs": 5}, 5),
        ({"logprobs": 500}, 20),
        ({"logprobs": "x"}, None),
        ({"logprobs": True, "tools": [TOOL]}, None),
    ],
)
def test_how_many_probabilities_are_asked_for(fields: dict[str, Any], count: int | None) -> None:
    """A pair of fields, or one number; arguments of tools have none."""
    assert answered(**fields).logprobs == count


def test_json_where_json_is_asked_for() -> None:
    """JSON mode gives a JSON object, a schema an object that fits it."""
    plain = answered(response_format={"type": "json_object"})
    assert orjson.loads("".join(plain.pieces)) == {"answer": "Hello from sim (m). You said: a b"}
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "ok": {"type": "boolean"}}}
    fitted = answered(response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema}})
    assert orjson.loads("".join(fitted.pieces)) == {"n": 1, "ok": True}


def test_examples_of_a_schema_end() -> None:
    """Arrays, choices and nullable types have examples; a schema of any depth has a small one."""
    assert example_of({"type": "array", "items": {"enum": ["b", "a"]}}, "t") == ["b"]
    assert example_of({"type": ["number", "null"]}, "t") == 1.5
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(100):
        deep = {"type": "object", "properties": {"x": deep}}
    assert len(orjson.dumps(example_of(deep, "t"))) < 100


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"messages":[{}]}', "'model'"),
        (b'{"model":"m"}', "'messages'"),
        (b'{"model":"m","messages":[]}', "'messages'"),
        (b'{"model":"m","messages":["x"]}', "not a list of objects"),
    ],
)
def test_requests_no_server_would_take(raw: bytes, reason: str) -> None:
    """A request without what every server needs is refused with the reason."""
    with pytest.raises(RequestError, match=reason):
        read_request(PROVIDERS["openai"], "chat/completions", raw)


@pytest.mark.parametrize("value", [0, -1, 1.5, "5", True])
def test_a_limit_that_is_none(value: object) -> None:
    """A limit that is no whole number above zero is refused."""
    with pytest.raises(RequestError, match="max_tokens"):
        answered(max_tokens=value)


def test_prompt_tokens_are_words() -> None:
    """Words of texts and parts count, token ids count one each, pictures count nothing."""
    assert (
        count_words(
            [{"role": "user", "content": "a b"}, {"content": [{"type": "text", "text": "c"}, {"image_url": "d"}]}]
        )
        == 3
    )
    assert count_words([1, 2, 3]) == 3
