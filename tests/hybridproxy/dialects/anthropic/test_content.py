"""Messages of Anthropic's dialect become messages of a chat completion, or an error that names the field."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridproxy.dialects.anthropic.content import MAX_NOTES, Notes, chat_messages, list_at, system_message
from hybridproxy.dialects.request import RequestError

NOTHING: tuple[Any, ...] = (None, "", [])
MARK = {"type": "ephemeral"}
PIXEL = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
SEEN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
KINDS = st.sampled_from(
    ["text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking", "search_result", "new"]
)
FIELDS = ("text", "source", "id", "name", "input", "tool_use_id", "content", "thinking", "data", "citations")
BLOCKS = st.fixed_dictionaries({"type": KINDS}, optional=dict.fromkeys(FIELDS, JSON))
TURNS = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": JSON | st.lists(BLOCKS)})


def told(*messages: Any) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Return the messages, and what is bound and dropped."""
    notes = Notes()
    made = chat_messages(list(messages), notes)
    return made, list(notes.bound), list(notes.dropped)


def user(*blocks: Any) -> dict[str, Any]:
    """Return a message of the user."""
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    """Return a message of the assistant."""
    return {"role": "assistant", "content": list(blocks)}


def text(said: str, **more: Any) -> dict[str, Any]:
    """Return a block of text."""
    return {"type": "text", "text": said, **more}


def test_texts_stay_what_they_are() -> None:
    """As a text, as one block, as several; a mark for the cache keeps the part that bears it."""
    made, bound, dropped = told(
        {"role": "user", "content": "one"},
        user(text("two")),
        user(text("three"), text("four", cache_control=MARK)),
        {"role": "system", "content": "by the way"},
    )
    assert made == [
        {"role": "user", "content": "one"},
        {"role": "user", "content": "two"},
        {"role": "user", "content": [text("three"), text("four", cache_control=MARK)]},
        {"role": "system", "content": "by the way"},
    ]
    assert (bound, dropped) == ([], [])


def test_a_system_prompt_is_the_first_message() -> None:
    """A text or blocks; where it is empty or missing there is none."""
    notes = Notes()
    assert system_message("be kind", notes) == [{"role": "system", "content": "be kind"}]
    blocks = [text("be kind", cache_control=MARK), text("be short")]
    assert system_message(blocks, notes) == [{"role": "system", "content": blocks}]
    assert not any(system_message(nothing, notes) for nothing in NOTHING)
    with pytest.raises(RequestError) as raised:
        system_message([PIXEL], notes)
    assert raised.value.param == "system.0.type"


def test_results_of_tools_become_messages_before_the_rest_of_the_turn() -> None:
    """With the error they are, and the mark they bear; pictures in them follow in the user's message."""
    made, bound, dropped = told(
        user(
            text("look"),
            {"type": "tool_result", "tool_use_id": "a", "content": "sunny", "cache_control": MARK},
            {"type": "tool_result", "tool_use_id": "b", "content": [text("x"), PIXEL], "is_error": True},
            {"type": "tool_result", "tool_use_id": "c"},
            {"type": "tool_result", "tool_use_id": "d", "content": [text("p"), text("q")]},
        ),
        user({"type": "tool_result", "tool_use_id": "e", "content": [{"type": "tool_reference", "tool_name": "f"}]}),
    )
    assert made == [
        {"role": "tool", "tool_call_id": "a", "content": "sunny", "cache_control": MARK},
        {"role": "tool", "tool_call_id": "b", "content": "x", "is_error": True},
        {"role": "tool", "tool_call_id": "c", "content": ""},
        {"role": "tool", "tool_call_id": "d", "content": [text("p"), text("q")]},
        {"role": "user", "content": [text("look"), SEEN]},
        {"role": "tool", "tool_call_id": "e", "content": ""},
    ]
    assert (bound, dropped) == (["messages.1.content.0.content.0"], [])


def test_pictures_and_documents() -> None:
    """By their bytes or their address; a plain text is a text, a PDF a file."""
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}
    made, bound, dropped = told(
        user(
            {**PIXEL, "cache_control": MARK},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "document", "source": pdf},
            {"type": "document", "source": pdf, "title": "a.pdf", "context": "a bill", "citations": {"enabled": False}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}, "title": "T"},
            {"type": "document", "source": {"type": "content", "content": "more"}, "context": "said in May"},
            {"type": "document", "source": {"type": "content", "content": [text("and"), PIXEL]}},
        )
    )
    file = {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"}
    assert made[0]["content"] == [
        {**SEEN, "cache_control": MARK},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": file},
        {"type": "file", "file": {**file, "filename": "a.pdf"}},
        text("words"),
        text("more"),
        text("and"),
        SEEN,
    ]
    assert (bound, dropped) == ([], ["document.context", "document.title"])


def test_a_mark_on_a_document_of_blocks_is_that_of_its_last_part() -> None:
    """If it has one that can be carried."""
    held = {"type": "content", "content": [text("and"), PIXEL]}
    made, bound, _ = told(user({"type": "document", "source": held, "cache_control": MARK}))
    assert made[0]["content"] == [text("and"), {**SEEN, "cache_control": MARK}]
    held = {"type": "content", "content": [{**PIXEL, "transformations": [1]}]}
    made, bound, _ = told(user(text("x"), {"type": "document", "source": held, "cache_control": MARK}))
    assert (made[0]["content"], bound) == ("x", ["messages.0.content.1.source.content.0"])


def test_fields_that_are_not_read_are_named() -> None:
    """Of messages and of every kind of block; what is null says nothing, and who called directly is no news."""
    _, bound, dropped = told(
        {"role": "user", "content": [text("x", weight=3, nothing=None), {**PIXEL, "detail": "low"}], "name": "bob"},
        assistant(
            {"type": "thinking", "thinking": "t", "cache_control": MARK},
            {
                "type": "tool_use",
                "id": "1",
                "name": "f",
                "input": {},
                "toolset_name": "s",
                "caller": {"type": "direct"},
            },
        ),
        user({"type": "tool_result", "tool_use_id": "1", "content": [text("y", weight=3)], "toolset_name": "s"}),
    )
    assert bound == []
    assert dropped == [
        "messages.name", "text.weight", "image.detail", "thinking.cache_control", "tool_use.toolset_name",
        "tool_result.toolset_name",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {**PIXEL, "transformations": {"crop": 1}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": True}},
        {"type": "search_result", "source": "s", "title": "t", "content": []},
        {"type": "container_upload", "file_id": "f"},
        {"type": "something_new"},
    ],
    ids=lambda block: str(block["type"]),
)
def test_what_only_anthropics_dialect_has_is_bound(block: dict[str, Any]) -> None:
    """It is named by its path, and not in the messages."""
    made, bound, _ = told(user(text("x"), block))
    assert made == [{"role": "user", "content": "x"}]
    assert bound == ["messages.0.content.1"]


def test_what_the_assistant_said_thought_and_called() -> None:
    """Its texts are one; a signed thought is kept whole for the model that signed it."""
    thought = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    redacted = {"type": "redacted_thinking", "data": "d"}
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}, "cache_control": MARK}
    made, bound, dropped = told(
        {"role": "assistant", "content": "plain"},
        assistant(thought, redacted, text("a", citations=[{"type": "char_location"}]), text("b"), use),
        assistant({"type": "thinking", "thinking": "only", "signature": ""}, use),
        assistant(text("a", cache_control=MARK), text("b")),
        assistant({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
        assistant(),
    )
    function = {"name": "f", "arguments": '{"x":1}'}
    calls = [{"id": "t", "type": "function", "function": function}]
    assert made == [
        {"role": "assistant", "content": "plain"},
        {
            "role": "assistant",
            "content": "ab",
            "reasoning_content": "Hm",
            "thinking_blocks": [thought, redacted],
            "tool_calls": calls,
            "cache_control": MARK,
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "only",
            "tool_calls": calls,
            "cache_control": MARK,
        },
        {"role": "assistant", "content": [text("a", cache_control=MARK), text("b")]},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": ""},
    ]
    assert (bound, dropped) == (["messages.4.content.0"], ["citations"])


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (7, "messages.0"),
        ({"role": "tool", "content": "x"}, "messages.0.role"),
        ({"role": "user"}, "messages.0.content"),
        ({"role": "user", "content": ""}, "messages.0.content"),
        ({"role": "user", "content": 7}, "messages.0.content"),
        (user(), "messages.0.content"),
        (user("x"), "messages.0.content.0"),
        (user({"text": "x"}), "messages.0.content.0.type"),
        (user({"type": "text"}), "messages.0.content.0.text"),
        (user(text("x"), {"type": "image"}), "messages.0.content.1.source"),
        (user({"type": "image", "source": {"type": "new"}}), "messages.0.content.0.source.type"),
        (
            user({"type": "image", "source": {"type": "base64", "media_type": "text/plain", "data": ""}}),
            "messages.0.content.0.source.media_type",
        ),
        (
            user({"type": "document", "source": {"type": "content", "content": [{"type": "tool_use"}]}}),
            "messages.0.content.0.source.content.0.type",
        ),
        (user({"type": "tool_result"}), "messages.0.content.0.tool_use_id"),
        (user({"type": "tool_use", "id": "t", "name": "f", "input": {}}), "messages.0.content.0.type"),
        (assistant({"type": "tool_use", "id": "t", "name": "f", "input": "{"}), "messages.0.content.0.input"),
        (assistant({"type": "tool_use", "name": "f", "input": {}}), "messages.0.content.0.id"),
        (assistant(PIXEL), "messages.0.content.0.type"),
        (assistant({"type": "thinking"}), "messages.0.content.0.thinking"),
        (assistant({"type": "redacted_thinking"}), "messages.0.content.0.data"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_what_is_wrong_is_named(message: Any, param: str) -> None:
    """By the path of the field, as Anthropic does."""
    with pytest.raises(RequestError) as raised:
        told(message)
    assert raised.value.param == param


@pytest.mark.parametrize("messages", [None, [], {}, "x"])
def test_a_conversation_has_messages(messages: Any) -> None:
    """A list with something in it."""
    with pytest.raises(RequestError) as raised:
        chat_messages(messages, Notes())
    assert raised.value.param == "messages"


def test_a_list_is_a_list() -> None:
    """The helper that every list goes through."""
    assert list_at([1], "tools") == [1]
    with pytest.raises(RequestError) as raised:
        list_at({}, "tools")
    assert raised.value.param == "tools"


def test_notes_are_bounded() -> None:
    """However much there is that cannot be carried, an error stays short."""
    _, bound, _ = told(user(text("x"), *[{"type": "new"}] * 1000))
    assert len(bound) == MAX_NOTES
    notes = Notes()
    for name in range(1000):
        notes.drop(str(name))
    assert len(notes.dropped) == MAX_NOTES + 1


@settings(max_examples=30)  # large values: they take longer to make than to read
@given(st.lists(TURNS))
def test_nothing_but_the_declared_error_comes_of_any_messages(messages: list[Any]) -> None:
    """Whatever stands where."""
    with suppress(RequestError):
        made = chat_messages(messages, Notes())
        assert all(message["role"] in {"user", "assistant", "tool"} for message in made)
