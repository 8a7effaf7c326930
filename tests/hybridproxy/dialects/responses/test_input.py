"""Tests of the input of a Responses request as the messages of a chat."""

from typing import Any

import pytest

from hybridproxy.dialects.request import RequestError
from hybridproxy.dialects.responses.input import messages_of
from hybridproxy.dialects.responses.notes import Notes
from hybridproxy.dialects.responses.seal import sealed

SIGNED = {"type": "thinking", "thinking": "so", "signature": "s"}


def read(*items: Any) -> list[dict[str, Any]]:
    """Return the messages of items that nothing has to be noted of."""
    notes = Notes()
    messages = messages_of(list(items), notes)
    assert (notes.bound, notes.dropped) == ((), ())
    return messages


def call(id_: str, name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    """Return an item that calls."""
    return {"type": "function_call", "id": f"fc_{id_}", "call_id": id_, "name": name, "arguments": arguments}


def called(id_: str) -> dict[str, Any]:
    """Return the same in a chat."""
    return {"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}}


def output(id_: str, said: Any) -> dict[str, Any]:
    """Return an item with what a call gave."""
    return {"type": "function_call_output", "call_id": id_, "output": said}


def said(text: str) -> dict[str, Any]:
    """Return what the model said before."""
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}


def test_a_text_is_what_the_user_says() -> None:
    """The shortest form of an input."""
    assert messages_of("hi", Notes()) == [{"role": "user", "content": "hi"}]


def test_each_role_has_its_message() -> None:
    """A developer's word ranks as the system's, which every model knows."""
    assert read(
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be kind."}]},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hello."},
    ) == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hello."},
    ]


def test_every_part_has_its_like() -> None:
    """Texts, images, files, sound, and the marks of what shall be cached."""
    (message,) = read(
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
                {"type": "input_image", "image_url": "https://x.example/y.png", "detail": "original", "file_id": None},
                {"type": "input_image", "image_url": "https://x.example/z.png"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
                {"type": "input_file", "file_data": "AA=="},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            ],
        }
    )
    assert message["content"] == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x.example/y.png", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://x.example/z.png"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": "AA=="}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ]


def test_a_turn_of_the_model_is_one_message() -> None:
    """Thought, text and both calls, with the outputs right behind it."""
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}
    assert read(
        thought,
        said("Let me look."),
        call("a"),
        call("b"),
        output("a", "1"),
        output("b", [{"type": "input_text", "text": "2"}]),
    ) == [
        {
            "role": "assistant",
            "content": "Let me look.",
            "reasoning_content": "hm",
            "tool_calls": [called("a"), called("b")],
        },
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
    ]


def test_what_comes_after_a_call_stays_before_its_output() -> None:
    """A chat wants the output right behind the message that called."""
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    (message, tool) = read(said("A"), call("a"), thought, thought, said("B"), call("b"), output("a", "1"))
    assert message == {
        "role": "assistant",
        "content": "A\nB",
        "reasoning_content": "hm\n\nhm",
        "tool_calls": [called("a"), called("b")],
    }
    assert tool["tool_call_id"] == "a"


def test_two_messages_of_the_model_stay_two() -> None:
    """And what it thought in between belongs to the second."""
    thought = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
    }
    assert read(said("A"), thought, said("B"), {"role": "user", "content": "C"}) == [
        {"role": "assistant", "content": "A"},
        {"role": "assistant", "content": "B", "reasoning_content": "a\n\nb"},
        {"role": "user", "content": "C"},
    ]


def test_a_refusal_and_several_texts_are_one_text() -> None:
    """To the model they are what it said."""
    parts = [{"type": "output_text", "text": "A"}, {"type": "refusal", "refusal": "No."}]
    assert read({"role": "assistant", "content": parts}) == [{"role": "assistant", "content": "ANo."}]
    assert read({"role": "assistant", "content": []}) == [{"role": "assistant", "content": ""}]


def test_signed_thoughts_come_back() -> None:
    """In the field in which they were given; the thought is told beside it."""
    item: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed([SIGNED], "")}
    (message,) = read(item, call("a"))
    assert message["thinking_blocks"] == [SIGNED]
    assert "reasoning_content" not in message


def test_a_thought_that_led_to_nothing_is_no_message() -> None:
    """Nor can somebody else's seal be read; both are left out by name."""
    notes = Notes()
    items = [{"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}, {"role": "user", "content": "hi"}]
    assert messages_of(items, notes) == [{"role": "user", "content": "hi"}]
    assert notes.dropped == ("input[0].encrypted_content", "input[].reasoning")


@pytest.mark.parametrize(
    ("item", "bound"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "input[0] (item_reference)"),
        ({"type": "web_search_call", "id": "ws_1"}, "input[0] (web_search_call)"),
        ({**call("a"), "namespace": "n"}, "input[0].namespace"),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}, "input[0].content[0].file_id"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}, "input[0].content[0].file_id"),
        ({"role": "user", "content": [{"type": "input_file", "file_url": "f"}]}, "input[0].content[0].file_url"),
    ],
)
def test_what_a_chat_cannot_say_is_named(item: dict[str, Any], bound: str) -> None:
    """What an upstream has kept, or runs itself."""
    notes = Notes()
    messages_of([item], notes)
    assert notes.bound == (bound,)


def test_the_phase_of_a_message_may_be_left_out() -> None:
    """It helps some models, and changes nothing of what was said."""
    notes = Notes()
    messages_of([{"role": "assistant", "content": "A", "phase": "commentary"}], notes)
    assert notes.dropped == ("input[0].phase",)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (7, "input"),
        (["x"], "input[0]"),
        ([{}], "input[0].type"),
        ([{"type": 7}], "input[0].type"),
        ([{"role": "boss", "content": "x"}], "input[0].role"),
        ([{"role": "user"}], "input[0].content"),
        ([{"role": "user", "content": ["x"]}], "input[0].content[0]"),
        (
            [{"role": "user", "content": "x"}, {"role": "user", "content": [{"type": "text"}]}],
            "input[1].content[0].type",
        ),
        ([{"role": "user", "content": [{"type": "output_text", "text": "x"}]}], "input[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "input_text"}]}], "input[0].content[0].text"),
        ([{"role": "assistant", "content": [{"type": "refusal"}]}], "input[0].content[0].refusal"),
        ([{"role": "assistant", "content": [{"type": "input_image"}]}], "input[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "input_image"}]}], "input[0].content[0].image_url"),
        (
            [{"role": "user", "content": [{"type": "input_image", "image_url": "x", "detail": "some"}]}],
            "input[0].content[0].detail",
        ),
        ([{"role": "user", "content": [{"type": "input_file"}]}], "input[0].content[0].file_data"),
        (
            [{"role": "user", "content": [{"type": "input_file", "file_data": "x", "filename": 7}]}],
            "input[0].content[0].filename",
        ),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "input[0].content[0].input_audio"),
        (
            [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x"}}]}],
            "input[0].content[0].input_audio.format",
        ),
        ([{"type": "function_call", "name": "f", "arguments": "{}"}], "input[0].call_id"),
        ([{"type": "function_call", "call_id": "a", "arguments": "{}"}], "input[0].name"),
        ([{"type": "function_call", "call_id": "a", "name": "f", "arguments": {}}], "input[0].arguments"),
        ([{"type": "function_call_output", "output": "x"}], "input[0].call_id"),
        ([{"type": "function_call_output", "call_id": "a", "output": {}}], "input[0].output"),
        ([{"type": "reasoning", "summary": "x"}], "input[0].summary"),
        ([{"type": "reasoning", "summary": [{"type": "text", "text": "x"}]}], "input[0].summary[0].type"),
        ([{"type": "reasoning", "content": [{"type": "reasoning_text"}]}], "input[0].content[0].text"),
        ([{"type": "reasoning", "encrypted_content": 7}], "input[0].encrypted_content"),
    ],
)
def test_what_is_malformed_is_refused_by_name(given: Any, param: str) -> None:
    """With the path to the field, as the real service does."""
    with pytest.raises(RequestError) as caught:
        messages_of(given, Notes())
    assert caught.value.param == param
    assert param in caught.value.message


def test_fields_that_are_not_read_are_named() -> None:
    """Of items and of their parts; what an answer has of itself says nothing to a model."""
    notes = Notes()
    answered = {"type": "output_text", "text": "t", "annotations": [{}], "logprobs": []}
    items = [
        {"role": "user", "content": [{"type": "input_file", "file_data": "data:,", "detail": "low"}], "weight": None},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [answered]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "mood": "good"},
        {**call("1"), "id": "fc_1", "status": "completed", "caller": {"type": "program", "caller_id": "x"}},
        output("1", "done"),
    ]
    messages_of(items, notes)
    assert notes.bound == ()
    assert notes.dropped == ("input[0].content[0].detail", "input[2].mood", "input[3].caller")
