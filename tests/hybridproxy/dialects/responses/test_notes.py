"""Tests of what is noted of a Responses request, and of how a field is refused."""

import pytest

from hybridproxy.dialects.request import RequestError
from hybridproxy.dialects.responses.notes import MAX_NOTED, Notes, name_at, object_at, one_of, text_at


def test_each_name_counts_once() -> None:
    """And the type is told where it is a word: it stands in a message, and in a header."""
    notes = Notes()
    notes.bind("tools[0]", "web_search")
    notes.bind("tools[0]", "web_search")
    notes.bind("input[1]", "x\r\ny: 1")
    notes.bind("prompt")
    notes.bind("input[2]", 7)
    notes.drop("store")
    assert notes.bound == ("tools[0] (web_search)", "input[1]", "prompt", "input[2]")
    assert notes.dropped == ("store",)


def test_no_request_has_it_keep_more_than_some() -> None:
    """A body may name a hundred thousand of them."""
    notes = Notes()
    for number in range(MAX_NOTED * 2):
        notes.drop(f"input[{number}].phase")
    assert len(notes.dropped) == MAX_NOTED


def test_what_is_right_is_given_back() -> None:
    """As it came."""
    holder = {"a": "x", "b": ""}
    assert (text_at(holder, "b", "h"), name_at(holder, "a", "h")) == ("", "x")
    assert object_at(holder, "h") is holder
    assert one_of("x", ("x", "y"), "h") == "x"


def test_what_is_wrong_is_refused_by_name() -> None:
    """The field stands in the message and in `param`."""
    for wrong, param, must in (
        (lambda: text_at({"a": 1}, "a", "h"), "h.a", "a text"),
        (lambda: text_at({}, "a", ""), "a", "a text"),
        (lambda: name_at({"a": ""}, "a", "h[0]"), "h[0].a", "a text that is not empty"),
        (lambda: object_at([], "h"), "h", "an object"),
        (lambda: one_of("z", ("x", "y"), "h"), "h", "one of x, y"),
        (lambda: one_of(["x"], ("x", "y"), "h"), "h", "one of x, y"),
    ):
        with pytest.raises(RequestError) as caught:
            wrong()
        assert (caught.value.param, caught.value.message) == (param, f"'{param}' must be {must}")
