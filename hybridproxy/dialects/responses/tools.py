"""The tools of a Responses request -> those of a chat completion.

Functions of the caller's are in both, in another shape. Tools that the upstream runs itself, and those whose input is
no JSON, are in the Responses API alone: they bind the call.
"""

from typing import Any, Final

from hybridproxy.dialects.responses.notes import Notes, name_at, object_at, one_of, refuse, text_at

Body = dict[str, Any]

_MODES: Final = ("none", "auto", "required")
_FUNCTION: Final = frozenset(
    {
        *("type", "name", "description", "parameters", "strict"),
        *("output_schema", "async", "defer_loading", "allowed_callers"),
    }
)


def read_tools(given: Any, body: Body, notes: Notes) -> None:
    """Put the functions among the tools into a body.

    Raises:
        RequestError: one is malformed.

    """
    if not isinstance(given, list):
        refuse("tools", "a list")
    made = []
    for number, tool in enumerate(given):
        where = f"tools[{number}]"
        kind = object_at(tool, where).get("type")
        if not isinstance(kind, str):
            refuse(f"{where}.type", "the name of a type of tool")
        if kind == "function":
            made.append({"type": "function", "function": _function(tool, where, notes)})
        else:
            notes.bind(where, kind)
    if made:
        body["tools"] = made


def _function(tool: dict[str, Any], where: str, notes: Notes) -> dict[str, Any]:
    notes.rest(tool, _FUNCTION, where)
    function: dict[str, Any] = {"name": name_at(tool, "name", where)}
    if tool.get("description") is not None:
        function["description"] = text_at(tool, "description", where)
    if tool.get("parameters") is not None:
        function["parameters"] = object_at(tool["parameters"], f"{where}.parameters")
    if tool.get("strict") is not None:
        if type(tool["strict"]) is not bool:
            refuse(f"{where}.strict", "true or false")
        function["strict"] = tool["strict"]
    if tool.get("output_schema") is not None:
        notes.drop(f"{where}.output_schema")
    for name in ("async", "defer_loading"):
        if tool.get(name):
            notes.bind(f"{where}.{name}")
    callers = tool.get("allowed_callers")
    if callers is not None and callers != ["direct"]:
        notes.bind(f"{where}.allowed_callers")
    return function


def read_choice(given: Any, body: Body, notes: Notes) -> None:
    """Put which tool the model may or has to call into a body that has the tools.

    Raises:
        RequestError: it is malformed.

    """
    if given is None:
        return
    if isinstance(given, str):
        body["tool_choice"] = one_of(given, _MODES, "tool_choice")
        return
    kind = object_at(given, "tool_choice").get("type")
    if kind == "function":
        name = name_at(given, "name", "tool_choice")
        body["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif kind == "allowed_tools":
        _allow(given, body, notes)
    elif isinstance(kind, str):
        notes.bind("tool_choice", kind)
    else:
        refuse("tool_choice.type", "the name of a type of tool")


def _allow(given: dict[str, Any], body: Body, notes: Notes) -> None:
    """Leave only the tools that may be called: to the model that is the same, and every provider understands it."""
    body["tool_choice"] = one_of(given.get("mode"), ("auto", "required"), "tool_choice.mode")
    tools = given.get("tools")
    if not isinstance(tools, list):
        refuse("tool_choice.tools", "a list")
    names = set()
    for number, tool in enumerate(tools):
        where = f"tool_choice.tools[{number}]"
        if object_at(tool, where).get("type") == "function":
            names.add(name_at(tool, "name", where))
        else:
            notes.bind(where, tool.get("type"))
    left = [tool for tool in body.get("tools", ()) if tool["function"]["name"] in names]
    if left:
        body["tools"] = left
    else:
        body.pop("tools", None)
