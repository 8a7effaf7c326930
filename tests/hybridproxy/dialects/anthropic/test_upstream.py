"""A chat completion becomes a request of Anthropic's; what has no counterpart there stays, to be refused by name."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.anthropic.request import decode
from hybridproxy.dialects.anthropic.upstream import MAX_TOKENS, VERSION, repeat, request
from hybridproxy.dialects.translator import Asking
from hybridproxy.model.call import Operation

USER = {"role": "user", "content": "hi"}
HI = {"role": "user", "content": [{"type": "text", "text": "hi"}]}
MARK = {"type": "ephemeral"}


def sent(**fields: Any) -> dict[str, Any]:
    """Return what an upstream gets for a chat with these fields."""
    body = {"model": "claude", "messages": [USER], **fields}
    return request({name: value for name, value in body.items() if value is not ...}, False).body


def turns(*messages: Any) -> list[Any]:
    """Return the turns that messages become."""
    found: list[Any] = sent(messages=list(messages))["messages"]
    return found


def test_the_least_that_a_chat_needs() -> None:
    """Anthropic wants a limit and the version of its API."""
    made = request({"model": "claude", "messages": [USER]}, True)
    assert made.body == {"model": "claude", "messages": [HI], "max_tokens": MAX_TOKENS, "stream": True}
    assert made.headers == (VERSION,)
    assert made.dropped == ()
    assert "stream" not in sent(stream=True)


def test_the_limit_in_both_spellings() -> None:
    """The newer one counts, but where it is a null."""
    assert sent(max_tokens=5)["max_tokens"] == 5
    assert sent(max_tokens=5, max_completion_tokens=None)["max_tokens"] == 5
    assert sent(max_tokens=5, max_completion_tokens=7)["max_tokens"] == 7


def test_what_has_another_name() -> None:
    """Stop sequences, user, a tool, structured output."""
    made = sent(stop="END", user="u-1", temperature=0.5, top_k=7)
    assert made["stop_sequences"] == ["END"]
    assert made["metadata"] == {"user_id": "u-1"}
    assert (made["temperature"], made["top_k"]) == (0.5, 7)
    assert sent(stop=["a", "b"])["stop_sequences"] == ["a", "b"]
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True}}
    form = {"type": "json_schema", "schema": {"type": "object"}}
    assert sent(response_format=schema)["output_config"] == {"format": form}
    assert sent(response_format=schema, output_config={"effort": "low"})["output_config"]["effort"] == "low"
    assert "output_config" not in sent(response_format={"type": "text"})


def test_what_has_no_counterpart_is_left_to_be_refused() -> None:
    """By Anthropic, which names it: nothing that changes the meaning is lost in silence."""
    made = sent(response_format={"type": "json_object"}, logprobs=True, functions=[{}])
    assert made["response_format"] == {"type": "json_object"}
    assert (made["logprobs"], made["functions"]) == (True, [{}])
    odd = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
    picture = {"type": "image_url", "image_url": {}}
    assert turns({"role": "user", "content": [odd, 7, picture]})[0]["content"] == [odd, 7, picture]
    tool = {"type": "custom", "custom": {"name": "f"}}
    assert sent(tools=[tool, 7])["tools"] == [tool, 7]
    call = {"type": "custom", "custom": {}}
    assert turns({"role": "assistant", "tool_calls": [call]})[0]["content"] == [call]


def test_tools() -> None:
    """With what they may have beside name and schema."""
    function = {"name": "f", "description": "does f", "parameters": {"type": "object"}, "strict": True}
    made = sent(
        tools=[
            {"type": "function", "function": function, "cache_control": MARK},
            {"type": "function", "function": {"name": "g"}},
        ]
    )
    assert made["tools"] == [
        {
            "name": "f",
            "description": "does f",
            "input_schema": {"type": "object"},
            "strict": True,
            "cache_control": MARK,
        },
        {"name": "g", "input_schema": {"type": "object"}},
    ]
    assert "tools" not in sent(tools=[])


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "sometimes"}, {"type": "sometimes"}),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"type": "tool", "name": "f"}),
        ({"tool_choice": {"type": "allowed_tools"}}, {"type": "allowed_tools"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": True}, None),
    ],
)
def test_which_tool_to_use(fields: dict[str, Any], choice: Any) -> None:
    """Each way has its counterpart; an unknown one is left to be refused."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert sent(tools=tools, **fields).get("tool_choice") == choice
    assert "tool_choice" not in sent(parallel_tool_calls=False)


@pytest.mark.parametrize(
    ("budget", "limit", "wanted"),
    [
        (50_000, None, (50_000, 50_000 + MAX_TOKENS)),
        (1024, None, (1024, MAX_TOKENS)),
        (9000, 4000, (3999, 4000)),
        (1024, 100, (1024, 100)),
    ],
)
def test_a_budget_of_thinking_stays_below_the_limit(budget: int, limit: int | None, wanted: tuple[int, int]) -> None:
    """Which grows where the caller has not set one; what fits nowhere is left to be refused."""
    made = sent(thinking={"type": "enabled", "budget_tokens": budget}, max_tokens=limit)
    assert (made["thinking"]["budget_tokens"], made["max_tokens"]) == wanted
    assert sent(thinking=True)["thinking"] is True


def test_a_conversation() -> None:
    """System messages are the prompt, results of tools a turn of the user's, and turns of one role are joined."""
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    text = {"type": "text", "text": "be kind", "cache_control": MARK}
    made = sent(
        messages=[
            {"role": "system", "content": [text]},
            {"role": "user", "content": "one"},
            {"role": "user", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": ""}]},
            {"role": "assistant", "content": "", "tool_calls": [call, {**call, "function": {"name": "g"}}]},
            {"role": "tool", "tool_call_id": "t", "content": "sunny", "cache_control": MARK},
            {"role": "tool", "tool_call_id": "u", "content": [text], "is_error": True},
            {"role": "tool", "tool_call_id": "v", "content": ""},
            {"role": "user", "content": "and?"},
            {"role": "developer", "content": "be short"},
            {"role": "assistant", "content": "I", "refusal": "won't"},
            {"role": "assistant", "content": None},
            {"role": "user", "content": ""},
        ]
    )
    assert made["system"] == [text, {"type": "text", "text": "be short"}]
    assert made["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "t", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": "sunny", "cache_control": MARK},
                {"type": "tool_result", "tool_use_id": "u", "content": [text], "is_error": True},
                {"type": "tool_result", "tool_use_id": "v"},
                {"type": "text", "text": "and?"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "I"}, {"type": "text", "text": "won't"}]},
    ]


def test_pictures_and_files() -> None:
    """By their bytes or their address."""
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}, "cache_control": MARK},
        {"type": "image_url", "image_url": "https://example.com/a,b.png"},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
        {"type": "file", "file": {"file_data": "https://example.com/a.pdf"}},
        {"type": "file", "file": {"file_id": "f"}},
        {"type": ["image_url"]},
    ]
    png = {"type": "base64", "media_type": "image/png", "data": "iVBO"}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}
    assert turns({"role": "user", "content": parts})[0]["content"] == [
        {"type": "image", "source": png, "cache_control": MARK},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a,b.png"}},
        {"type": "document", "source": pdf, "title": "a.pdf"},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        parts[4],
        parts[5],
    ]


def test_signed_thoughts_go_back_and_others_cannot() -> None:
    """What cannot be sent is named, as are names of speakers."""
    signed = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    message = {"role": "assistant", "content": "x", "reasoning_content": "Hm", "thinking_blocks": [signed]}
    assert turns(message)[0]["content"] == [signed, {"type": "text", "text": "x"}]
    made = request(
        {"model": "m", "messages": [{"role": "assistant", "content": "x", "reasoning": "Hm", "name": "a"}] * 2}, False
    )
    assert made.dropped == ("messages.name", "messages.reasoning_content")


def test_what_anthropic_has_no_word_for_is_named_wherever_it_stands() -> None:
    """In a message, a part, a tool; what its decoder would not read is never lost in silence."""
    picture = {"type": "image_url", "image_url": {"url": "u", "detail": "auto", "fps": 2}, "min_pixels": 4}
    told = [
        {"role": "system", "content": "s", "name": "boss"},
        {"role": "user", "content": [picture, {"type": ["odd"]}], "weight": 1, "nothing": None},
    ]
    tool = {"type": "function", "function": {"name": "f", "deprecated": True}, "scope": "x"}
    made = request({"messages": told, "tools": [tool]}, False)
    assert made.dropped == (
        "messages.name", "image_url.fps", "image_url.min_pixels", "messages.weight",
        "tools.function.deprecated", "tools.scope",
    )  # fmt: skip


def test_a_mark_beside_a_message_is_that_of_its_last_block() -> None:
    """LiteLLM's callers write it so, and calls of tools have no other place for it in a chat."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    made = request(
        {
            "messages": [
                {"role": "system", "content": "s", "cache_control": MARK},
                {"role": "user", "content": "hi", "cache_control": MARK},
                {"role": "assistant", "content": "", "tool_calls": [call], "cache_control": MARK},
                {"role": "assistant", "content": "", "cache_control": MARK},
            ]
        },
        False,
    )
    assert made.body["system"] == [{"type": "text", "text": "s", "cache_control": MARK}]
    user, assistant = made.body["messages"]
    assert user["content"] == [{"type": "text", "text": "hi", "cache_control": MARK}]
    assert assistant["content"] == [{"type": "tool_use", "id": "1", "name": "f", "input": {}, "cache_control": MARK}]
    assert made.dropped == ()


def test_how_to_look_and_what_a_schema_is_for_are_dropped_by_name() -> None:
    """Anthropic has no words for them."""
    pictures = [{"type": "image_url", "image_url": {"url": "u", "detail": how}} for how in ("auto", "low")]
    for content, dropped in ((pictures[:1], ()), (pictures, ("image_url.detail",)), ([7], ())):
        assert request({"messages": [{"role": "user", "content": content}]}, False).dropped == dropped
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}, "description": "a person"}}
    made = request({"messages": [USER], "response_format": schema}, False)
    assert made.dropped == ("response_format.json_schema.description",)


def test_a_caller_who_speaks_the_dialect_is_repeated() -> None:
    """In its own words, without what would steer; with the version that it was written for, or one that is right."""
    body = {"model": "x", "max_tokens": 9, "messages": [USER], "workspace_id": "w", "provider": {}, "new": 1}
    for headers, wanted in (
        ((), (VERSION,)),
        ((("anthropic-beta", "b"), ("anthropic-version", "v")), (("anthropic-version", "v"), ("anthropic-beta", "b"))),
    ):
        call = decode(Asking(Operation.CHAT, headers=headers), orjson.dumps(body))
        made = repeat(call, "claude")
        assert made.body == {"model": "claude", "max_tokens": 9, "messages": [USER], "new": 1}
        assert made.headers == wanted


WORDS = st.text("ab", max_size=4)
TEXTS = WORDS.filter(bool).map(lambda text: {"type": "text", "text": text})
INPUTS = st.dictionaries(WORDS, st.integers(-9, 9) | WORDS, max_size=2)
RESULTS = st.builds(lambda i, t: {"type": "tool_result", "tool_use_id": i, "content": t}, WORDS, WORDS.filter(bool))
USES = st.builds(lambda i, n, x: {"type": "tool_use", "id": i, "name": n, "input": x}, WORDS, WORDS, INPUTS)
THOUGHTS = st.builds(lambda t, s: {"type": "thinking", "thinking": t, "signature": s}, WORDS, WORDS.filter(bool))


def turn(results: list[Any], texts: list[Any], thoughts: list[Any], said: list[Any], uses: list[Any]) -> list[Any]:
    """Return a turn of the user's, and one of the assistant's."""
    return [
        {"role": "user", "content": [*results, *texts]},
        {"role": "assistant", "content": [*thoughts, *said, *uses]},
    ]


CONVERSATIONS = st.lists(
    st.builds(
        turn,
        st.lists(RESULTS, max_size=2),
        st.lists(TEXTS, min_size=1, max_size=2),
        st.lists(THOUGHTS, max_size=2),
        st.lists(TEXTS, min_size=1, max_size=1),
        st.lists(USES, max_size=2),
    ),
    min_size=1,
    max_size=3,
)


@given(CONVERSATIONS)
def test_a_conversation_comes_out_as_it_went_in(pairs: list[list[Any]]) -> None:
    """From Anthropic's dialect to a chat completion and back: nothing of it is lost."""
    messages = [message for pair in pairs for message in pair]
    body = {"model": "m", "max_tokens": 9, "system": [{"type": "text", "text": "s"}], "messages": messages}
    call = decode(Asking(Operation.CHAT), orjson.dumps(body))
    assert request(dict(call.body), False).body == body


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("role", "content", "tool_calls", "thinking_blocks", "refusal", "name"), JSON)
    )
)
FIELDS = st.sampled_from(
    ["tools", "tool_choice", "thinking", "reasoning_effort", "stop", "response_format", "max_tokens"]
)


@given(MESSAGES, st.dictionaries(FIELDS, JSON))
def test_nothing_in_a_chat_makes_it_raise(messages: list[Any], fields: dict[str, Any]) -> None:
    """What makes no sense is the upstream's to refuse."""
    assert orjson.dumps(sent(messages=messages, **fields))
    assert sent(messages=7)["messages"] == []
