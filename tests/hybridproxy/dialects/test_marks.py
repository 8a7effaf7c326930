"""Marks that a provider does not take are left out, wherever they stand, and named."""

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.marks import MARKS, asks_to_keep, only, without_marks

MARK = {"type": "ephemeral"}
TEXT = {"type": "text", "text": "x"}
BODY: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": [{**TEXT, "cache_control": MARK}, TEXT]},
        {"role": "assistant", "content": "y", "thinking_blocks": [{}]},
        {"role": "tool", "content": "z", "is_error": True, "cache_control": MARK},
        {"role": "user", "content": [TEXT]},
        7,
    ],
    "tools": [{"type": "function", "cache_control": MARK}],
    "model": "m",
}


def test_a_call_asks_for_its_prompt_to_be_kept_wherever_the_mark_stands() -> None:
    """In a message, a part of one, a tool; nothing else asks for it, and nothing is no mark."""
    messages, tools = BODY["messages"], BODY["tools"]
    for body in ({"messages": messages[:1]}, {"messages": messages[2:3]}, {"messages": [], "tools": tools}):
        assert asks_to_keep(body)
    unmarked = {"role": "user", "content": [{**TEXT, "cache_control": None}, 7]}
    for odd in (BODY | {"messages": messages[3:], "tools": None}, {"messages": [unmarked], "tools": {"a": 1}}, {}):
        assert not asks_to_keep(odd)


def test_only_these_fields_of_messages_are_left() -> None:
    """What said nothing is not named, and messages that have no others are the same list."""
    said = {"role": "assistant", "content": "b", "x": 1, "refusal": None}
    messages: list[Any] = [{"role": "user", "content": "a"}, said]
    body: dict[str, Any] = {"messages": messages}
    assert only(body, {"role", "content"}) == ("x",)
    assert body["messages"] == [messages[0], {"role": "assistant", "content": "b"}]
    assert "x" in said
    body = {"messages": messages[:1]}
    assert (only(body, {"role", "content"}), body["messages"][0] is messages[0]) == ((), True)


def test_what_is_not_taken_is_left_out_and_named() -> None:
    """Of messages, parts and tools; the caller's own objects stay as they were."""
    body, before = dict(BODY), deepcopy(BODY)
    assert without_marks(body, ()) == ("cache_control", "is_error", "thinking_blocks")
    assert before == BODY
    assert body == {
        "messages": [
            {"role": "system", "content": [TEXT, TEXT]},
            {"role": "assistant", "content": "y"},
            {"role": "tool", "content": "z"},
            {"role": "user", "content": [TEXT]},
            7,
        ],
        "tools": [{"type": "function"}],
        "model": "m",
    }
    assert body["messages"][3] is BODY["messages"][3]


def test_what_is_taken_stays() -> None:
    """All of it, or some."""
    body = dict(BODY)
    assert without_marks(body, MARKS) == ()
    assert body == BODY
    assert without_marks(body, {"cache_control"}) == ("is_error", "thinking_blocks")
    assert body["tools"] == BODY["tools"]
    assert without_marks({"messages": "x"}, ()) == ()


JSON = st.recursive(
    st.none() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["content", "is_error", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(JSON)
def test_nothing_in_a_body_makes_it_raise(messages: Any) -> None:
    """And a second time there is nothing left to find."""
    body = {"messages": messages}
    without_marks(body, ())
    assert without_marks(body, ()) == ()
