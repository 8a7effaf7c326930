"""Tests of the tools of a Responses request."""

from typing import Any

import pytest

from hybridproxy.dialects.request import RequestError
from hybridproxy.dialects.responses.notes import Notes
from hybridproxy.dialects.responses.tools import read_choice, read_tools

F: dict[str, Any] = {
    "type": "function",
    "name": "f",
    "parameters": {"type": "object"},
    "strict": True,
    "description": "does",
}
G = {"type": "function", "name": "g", "parameters": None, "strict": None}
CHAT_F = {"name": "f", "description": "does", "parameters": {"type": "object"}, "strict": True}


def read(tools: Any, choice: Any = None) -> tuple[dict[str, Any], Notes]:
    """Return what a body gets of tools."""
    body: dict[str, Any] = {}
    notes = Notes()
    read_tools(tools, body, notes)
    read_choice(choice, body, notes)
    return body, notes


def test_functions_get_the_shape_of_a_chat() -> None:
    """Flat there, an object inside an object here; what is null is left out."""
    body, notes = read([F, G])
    assert body == {
        "tools": [{"type": "function", "function": CHAT_F}, {"type": "function", "function": {"name": "g"}}]
    }
    assert (notes.bound, notes.dropped) == ((), ())
    assert read([])[0] == {}


@pytest.mark.parametrize(
    ("tool", "bound"),
    [
        ({"type": "web_search"}, "tools[0] (web_search)"),
        ({"type": "custom", "name": "c"}, "tools[0] (custom)"),
        ({"type": "mcp", "server_label": "x"}, "tools[0] (mcp)"),
        ({**F, "defer_loading": True}, "tools[0].defer_loading"),
        ({**F, "async": True}, "tools[0].async"),
        ({**F, "allowed_callers": ["programmatic"]}, "tools[0].allowed_callers"),
    ],
)
def test_what_an_upstream_runs_binds_the_call(tool: dict[str, Any], bound: str) -> None:
    """It is named with its type."""
    assert read([tool])[1].bound == (bound,)


def test_what_only_describes_is_left_out() -> None:
    """The shape of a function's output is for programs that call it."""
    _, notes = read([{**F, "output_schema": {}, "allowed_callers": ["direct"], "async": False, "x": 1}])
    assert (notes.bound, notes.dropped) == ((), ("tools[0].x", "tools[0].output_schema"))


def test_the_choice_is_said_as_in_a_chat() -> None:
    """A word, one function, or some of them."""
    assert read([F])[0].get("tool_choice") is None
    assert read([F], "required")[0]["tool_choice"] == "required"
    chosen = read([F], {"type": "function", "name": "f"})[0]["tool_choice"]
    assert chosen == {"type": "function", "function": {"name": "f"}}


def test_of_allowed_tools_only_those_are_told() -> None:
    """That is the same to a model, and every provider understands it."""
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]}
    body, notes = read([F, G], allowed)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["g"]
    assert (body["tool_choice"], notes.bound) == ("auto", ())
    assert "tools" not in read([F], allowed)[0]
    hosted = {**allowed, "tools": [{"type": "mcp", "server_label": "x"}]}
    assert read([], hosted)[1].bound == ("tool_choice.tools[0] (mcp)",)


def test_the_choice_of_a_hosted_tool_binds_the_call() -> None:
    """As the tool itself does."""
    assert read([], {"type": "file_search"})[1].bound == ("tool_choice (file_search)",)


@pytest.mark.parametrize(
    ("tools", "choice", "param"),
    [
        ({}, None, "tools"),
        (["f"], None, "tools[0]"),
        ([{"name": "f"}], None, "tools[0].type"),
        ([{"type": "function"}], None, "tools[0].name"),
        ([F, {**F, "parameters": "x"}], None, "tools[1].parameters"),
        ([{**F, "description": 7}], None, "tools[0].description"),
        ([{**F, "strict": "yes"}], None, "tools[0].strict"),
        ([F], "maybe", "tool_choice"),
        ([F], 7, "tool_choice"),
        ([F], {}, "tool_choice.type"),
        ([F], {"type": "function"}, "tool_choice.name"),
        ([F], {"type": "allowed_tools", "mode": "none", "tools": []}, "tool_choice.mode"),
        ([F], {"type": "allowed_tools", "mode": "auto"}, "tool_choice.tools"),
        ([F], {"type": "allowed_tools", "mode": "auto", "tools": [7]}, "tool_choice.tools[0]"),
        ([F], {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function"}]}, "tool_choice.tools[0].name"),
    ],
)
def test_what_is_malformed_is_refused_by_name(tools: Any, choice: Any, param: str) -> None:
    """With the path to the field."""
    with pytest.raises(RequestError) as caught:
        read(tools, choice)
    assert caught.value.param == param
