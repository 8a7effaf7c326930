"""Tests of a whole chat completion as the output of a response."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.responses.answer import output_of
from hybridproxy.dialects.responses.object import Names
from hybridproxy.dialects.responses.seal import sealed

NAMES = Names({"id": "chatcmpl-7"}, model="q", request_id="r")
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "s"}


def made(message: Any, finish: Any = "stop", *, summarises: bool = False, **more: Any) -> list[dict[str, Any]]:
    """Return the items of a choice."""
    return output_of({"message": message, "finish_reason": finish, **more}, NAMES, summarises=summarises)


def test_a_thought_a_text_and_calls_are_items_in_that_order() -> None:
    """The id of a call is the upstream's, by which its output is sent back."""
    calls = [
        {"id": "call_a", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "", "function": {"name": "g"}},
        {"function": None},
        7,
    ]
    items = made({"reasoning_content": "hm", "content": "Hello", "tool_calls": calls}, "tool_calls")
    assert [item["type"] for item in items] == ["reasoning", "message", *["function_call"] * 3]
    assert [item["id"] for item in items] == ["rs_7_0", "msg_7_1", "fc_7_2", "fc_7_3", "fc_7_4"]
    assert items[0]["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert items[1]["content"] == [{"type": "output_text", "annotations": [], "logprobs": [], "text": "Hello"}]
    assert [item["call_id"] for item in items[2:]] == ["call_a", "call_7_3", "call_7_4"]
    assert [item["arguments"] for item in items[2:]] == ['{"x":1}', "", ""]
    assert {item["status"] for item in items} == {"completed"}


def test_a_summary_is_given_where_one_was_asked_for() -> None:
    """The thoughts are the same."""
    (thought, _) = made({"reasoning": "hm", "content": "Hello"}, summarises=True)
    assert thought["summary"] == [{"type": "summary_text", "text": "hm"}]


def test_signed_thoughts_are_sealed() -> None:
    """Hidden ones too, which have no text."""
    (thought,) = made({"thinking_blocks": [SIGNED], "reasoning_content": "hm", "tool_calls": [], "refusal": None})[:1]
    assert thought["encrypted_content"] == sealed([SIGNED], "")
    hidden = [{"type": "redacted_thinking", "data": "d"}]
    (thought,) = made({"thinking_blocks": hidden})
    assert (thought["summary"], thought["encrypted_content"]) == ([], sealed(hidden, ""))


def test_a_refusal_is_a_part_of_its_own() -> None:
    """Beside a text, or alone."""
    (alone,) = made({"content": None, "refusal": "No."})
    assert alone["content"] == [{"type": "refusal", "refusal": "No."}]
    (both,) = made({"content": [{"type": "text", "text": "Well. "}, {"type": "x"}, 7], "refusal": "No."})
    assert [part["type"] for part in both["content"]] == ["output_text", "refusal"]


def test_an_answer_that_was_cut_short_is_incomplete() -> None:
    """And so is what it says last; nothing at all is an empty text."""
    (message,) = made({"content": "Hel"}, "length")
    assert message["status"] == "incomplete"
    for nothing in (None, {}, {"content": ""}):
        (message,) = made(nothing)
        assert message["content"][0]["text"] == ""


def test_log_probabilities_are_in_the_text() -> None:
    """As many as there are."""
    probable = {"content": [{"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}]}
    (message,) = made({"content": "a"}, logprobs=probable)
    assert message["content"][0]["logprobs"] == probable["content"]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**53) | st.text(max_size=4),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["type", "thinking", "id", "function"]), x),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["content", "reasoning", "reasoning_content", "thinking_blocks", "tool_calls", "refusal"]), ANY
    )
)
def test_anything_has_an_output(message: dict[str, Any]) -> None:
    """An upstream may say what it likes."""
    assert made(message)
