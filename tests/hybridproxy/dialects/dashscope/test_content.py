"""Tests of messages in DashScope's own protocol and OpenAI's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.dashscope.content import Losses, chat_messages, has_media, native_messages
from hybridproxy.dialects.request import RequestError

AT = "input.messages[0]"
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Berlin"}'}}


def chat(*messages: Any) -> tuple[list[dict[str, Any]], Losses]:
    """Return what messages of a caller become, and what is lost."""
    losses = Losses()
    return chat_messages(list(messages), losses), losses


def user(*content: Any) -> dict[str, Any]:
    """Return a message of parts."""
    return {"role": "user", "content": list(content)}


def test_texts_are_the_same_in_both() -> None:
    """The system's, the user's, the assistant's with its calls of tools, and the tools' answers."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL], "reasoning_content": "hm"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
    ]
    made, losses = chat(*messages)
    assert made == messages
    assert (losses.bound, losses.dropped) == ([], [])
    dropped: list[str] = []
    back = native_messages(made, dropped, multimodal=False)
    assert back == [message if message["content"] is not None else {**message, "content": ""} for message in messages]
    assert dropped == []


def test_one_text_in_parts_is_a_text() -> None:
    """More servers take it so; several parts stay what they are."""
    (one, two), _ = chat(
        user({"text": "hi"}), user({"text": "a"}, {"text": "b", "cache_control": {"type": "ephemeral"}})
    )
    assert one["content"] == "hi"
    assert two["content"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}},
    ]


def test_pictures_films_and_sounds_have_their_parts() -> None:
    """Hints how closely to look are dropped by name."""
    (made,), losses = chat(
        user(
            {"image": "data:image/png;base64,AA", "min_pixels": 4, "max_pixels": None, "enable_rotate": True},
            {"video": "https://example.com/film.mp4"},
            {"audio": "data:audio/wav;base64,AAAA"},
            {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        )
    )
    assert made["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/film.mp4"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
    ]
    assert losses.bound == []
    assert losses.dropped == [f"{AT}.content[0].min_pixels", f"{AT}.content[0].enable_rotate"]


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"image": "oss://bucket/cat.png"}, "image"),
        ({"video": "oss://bucket/cat.mp4"}, "video"),
        ({"video": ["a.png", "b.png"]}, "video"),
        ({"audio": "https://example.com/a.mp3"}, "audio"),
        ({"audio": "oss://bucket/a.mp3"}, "audio"),
        ({"type": "image_url", "image_url": {"url": "oss://bucket/cat.png"}}, "image_url"),
        ({"file": "https://example.com/a.pdf"}, "file"),
        ({"image": "https://example.com/a.png", "text": "what is it?"}, "text"),
    ],
)
def test_what_only_the_service_can_read_is_bound_to_it(part: Any, field: str) -> None:
    """Its own store, pictures instead of a film, and what nobody here knows."""
    _, losses = chat(user(part))
    assert losses.bound == [f"{AT}.content[0].{field}"]


def test_a_part_without_anything_is_bound_by_its_place() -> None:
    """It has no name."""
    _, losses = chat(user({}))
    assert losses.bound == [f"{AT}.content[0]"]


def test_a_last_message_may_be_the_beginning_of_the_answer() -> None:
    """`partial` means that the answer goes on from that message; false means nothing."""
    (same, made), losses = chat(
        {"role": "user", "content": "x", "partial": False}, {"role": "assistant", "content": "Once", "partial": True}
    )
    assert made == {"role": "assistant", "content": "Once", "partial": True}
    assert same == {"role": "user", "content": "x"}
    assert losses.bound == []


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "input.messages"),
        ([], "input.messages"),
        ({}, "input.messages"),
        (["hi"], AT),
        ([{"role": "wizard", "content": "hi"}], f"{AT}.role"),
        ([{"content": "hi"}], f"{AT}.role"),
        ([{"role": [], "content": "hi"}], f"{AT}.role"),
        ([{"role": "user", "Content": "hi", "content": "hi"}], f"{AT}.Content"),
        ([{"role": "user"}], f"{AT}.content"),
        ([{"role": "user", "content": 1}], f"{AT}.content"),
        ([{"role": "user", "content": ["hi"]}], f"{AT}.content[0]"),
        ([{"role": "user", "content": [{"text": 1}]}], f"{AT}.content[0].text"),
        ([{"role": "user", "content": [{"image": {"url": "x"}}]}], f"{AT}.content[0].image"),
        ([{"role": "assistant", "content": "hi", "partial": 1}], f"{AT}.partial"),
        ([{"role": "user", "content": "hi", "partial": True}], f"{AT}.partial"),
        ([{"role": "assistant", "content": "hi", "partial": True}, {"role": "user", "content": "hi"}], f"{AT}.partial"),
        ([{"role": "assistant", "content": "", "tool_calls": {"a": 1}}], f"{AT}.tool_calls"),
        ([{"role": "assistant", "content": "", "tool_calls": ["x"]}], f"{AT}.tool_calls[0].function"),
        ([{"role": "assistant", "tool_calls": [{"function": {}}]}], f"{AT}.tool_calls[0].function"),
        (
            [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{"}}]}],
            f"{AT}.tool_calls[0].function.arguments",
        ),
        (
            [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": {"a": 1}}}]}],
            f"{AT}.tool_calls[0].function.arguments",
        ),
    ],
)
def test_what_is_no_message_is_refused_by_name(messages: Any, param: str) -> None:
    """The caller is told which field it was."""
    with pytest.raises(RequestError) as raised:
        chat_messages(messages, Losses())
    assert raised.value.param == param


WORDS = st.sampled_from(
    [
        "role", "content", "text", "image", "video", "audio", "type", "tool_calls", "function", "name", "arguments",
        "partial", "image_url", "input_audio", "user", "data", "cache_control", "min_pixels", "video_url",
    ]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(JSON | st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": st.lists(JSON)})))
def test_nothing_in_messages_raises_anything_else(messages: Any) -> None:
    """Whatever a caller sends."""
    try:
        chat_messages(messages, Losses())
    except RequestError as error:
        named = (error.param or "").startswith("input.messages")
    else:
        named = True
    assert named


# ---- the other way ---------------------------------------------------------------------------------------------------


def native(*messages: Any, multimodal: bool = False) -> tuple[list[Any], list[str]]:
    """Return what messages in OpenAI's form become, and what is dropped."""
    dropped: list[str] = []
    return native_messages(list(messages), dropped, multimodal=multimodal), dropped


def test_a_model_that_reads_text_gets_texts() -> None:
    """Parts that are only text are one; a mark for the cache keeps them apart."""
    (plain, marked, nothing), _ = native(
        user({"type": "text", "text": "a"}, {"type": "text", "text": "b"}),
        user({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}),
        {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None},
    )
    assert plain["content"] == "ab"
    assert marked["content"] == [{"text": "a", "cache_control": {"type": "ephemeral"}}]
    assert nothing == {"role": "assistant", "content": "", "tool_calls": [CALL]}


def test_a_model_that_sees_gets_parts() -> None:
    """Of everything, also where it is one text or nothing."""
    made, dropped = native(
        {"role": "developer", "content": "be kind"},
        user(
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "x.png", "detail": "low"}, "max_pixels": 9},
            {"type": "video_url", "video_url": {"url": "x.mp4"}},
            {"type": "video", "video": ["a.png"]},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA"}},
            {"type": "input_audio", "input_audio": {"data": "https://example.com/a.mp3"}},
            {"type": "input_audio", "input_audio": {"data": 1}},
        ),
        {"role": "assistant", "content": None, "partial": True},
        multimodal=True,
    )
    assert made == [
        {"role": "system", "content": [{"text": "be kind"}]},
        user(
            {"text": "look"},
            {"image": "x.png", "max_pixels": 9},
            {"video": "x.mp4"},
            {"video": ["a.png"]},
            {"audio": "data:audio/mp3;base64,AAAA"},
            {"audio": "data:audio/wav;base64,AAAA"},
            {"audio": "https://example.com/a.mp3"},
            {"audio": 1},
        ),
        {"role": "assistant", "content": [], "partial": True},
    ]
    assert dropped == ["messages[1].content[1].image_url.detail"]


def test_what_the_service_has_no_form_for_is_dropped_by_name_or_left_to_it() -> None:
    """Fields of a message are named; a part with a meaning goes as it is, and the service says no."""
    file = {"type": "file", "file": {"file_id": "f"}}
    made, dropped = native(
        {"role": "user", "content": [file, "x", {"type": ["odd"]}], "cache_control": {}, "annotations": None}, "y"
    )
    assert made == [{"role": "user", "content": [file, "x", {"type": ["odd"]}]}, "y"]
    assert dropped == ["messages[0].cache_control"]


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([{"role": "user", "content": "hi"}, "x"], False),
        ([user({"type": "text", "text": "hi"}, "x")], False),
        ([user({"type": "image_url", "image_url": {"url": "x"}})], True),
    ],
)
def test_media_are_seen(messages: Any, found: bool) -> None:
    """They decide where a call goes."""
    assert has_media(messages) is found


@given(st.lists(JSON))
def test_nothing_in_openais_messages_raises(messages: list[Any]) -> None:
    """They were judged before, but not to the bottom."""
    for multimodal in (True, False):
        native_messages(messages, [], multimodal=multimodal)
    has_media(messages)


PARTS = st.fixed_dictionaries({"text": st.text(max_size=5)}) | st.fixed_dictionaries(
    {"image": st.just("https://example.com/x.png")}
)


@given(st.lists(PARTS, min_size=2, max_size=4))
def test_there_and_back_is_the_same(parts: list[dict[str, Any]]) -> None:
    """For the models that see."""
    made, losses = chat(user(*parts))
    assert native_messages(made, losses.dropped, multimodal=True) == [user(*parts)]
    assert losses.dropped == []
