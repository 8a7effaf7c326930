"""A chat completion -> the request that an upstream of Anthropic's dialect is sent.

Anthropic refuses fields it does not know with a 400 that names them, so whatever has no counterpart there and changes
the meaning is left as it is: the caller hears of it. System messages become the system prompt wherever they stand,
results of tools a turn of the user's; turns of one role are joined. Thought without a signature cannot be sent back.
Thinking is asked for in Anthropic's spelling before: a provider's row tells it.
"""

from collections.abc import Container, Mapping
from typing import Any, Final

from hybridproxy.dialects.anthropic.answer import Body, blocks_in, tool_input
from hybridproxy.dialects.translator import Outgoing, repeated
from hybridproxy.model.call import Call

VERSION: Final = ("anthropic-version", "2023-06-01")
MAX_TOKENS: Final = 8192
"""What an answer may have where the caller does not say; every model that is offered today allows it."""

MIN_BUDGET: Final = 1024
"""Anthropic's least budget of thinking."""

_READ: Final = frozenset(
    {
        *("messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "stop", "stream", "user"),
        *("max_tokens", "max_completion_tokens"),
    }
)
_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "none": "none", "required": "any"}
_MESSAGE: Final = frozenset(
    {
        *("role", "content", "refusal", "tool_calls", "tool_call_id"),
        *("reasoning_content", "reasoning", "thinking_blocks", "is_error", "cache_control"),
    }
)
_FUNCTION: Final = frozenset({"name", "description", "parameters", "strict"})
_PART: Final = frozenset({"type", "cache_control"})
_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "image_url": frozenset({"url"}),
    "file": frozenset({"file_data", "filename"}),
}
"""What is read of messages, tools and parts; a part that is not here goes as it is, for Anthropic to judge."""

_OWN: Final = frozenset({"workspace_id", "user_profile_id"})
"""Fields by which a caller could choose whose money is spent."""


def repeat(call: Call, model: str) -> Outgoing:
    """Return a call in the caller's own words, with the version of the API that they are written for."""
    made = repeated(call, model)
    for name in _OWN:
        made.body.pop(name, None)
    given = dict(made.headers)
    return Outgoing(made.body, tuple({VERSION[0]: VERSION[1], **given}.items()), made.dropped)


def request(body: Body, stream: bool) -> Outgoing:  # noqa: FBT001 - the signature of every dialect's function
    """Return what an upstream is sent for a chat completion."""
    dropped: list[str] = []
    made: Body = {name: given for name, given in body.items() if name not in _READ}
    system, messages = _conversation(body.get("messages"), dropped)
    if system:
        made["system"] = system
    made["messages"] = messages
    limit = body.get("max_completion_tokens")
    if limit is None:
        limit = body.get("max_tokens")
    made["max_tokens"] = MAX_TOKENS if limit is None else limit
    _leave_room(made, given=limit is not None)
    if stream:
        made["stream"] = True
    stop = body.get("stop")
    if stop is not None:
        made["stop_sequences"] = [stop] if type(stop) is str else stop
    if body.get("user") is not None:
        made["metadata"] = {"user_id": body["user"]}
    _tools(body, made, dropped)
    _format(body.get("response_format"), made, dropped)
    return Outgoing(made, (VERSION,), tuple(dict.fromkeys(dropped)))


def _leave_room(made: Body, *, given: bool) -> None:
    """Keep the budget of thinking below the limit of the answer, which grows where the caller has not set one."""
    thinking, limit = made.get("thinking"), made["max_tokens"]
    budget = thinking.get("budget_tokens") if type(thinking) is dict else None
    if type(budget) is int and type(limit) is int and budget >= limit:
        if not given:
            made["max_tokens"] = budget + MAX_TOKENS
        elif limit > MIN_BUDGET:
            made["thinking"] = {**made["thinking"], "budget_tokens": limit - 1}


def _tools(body: Body, made: Body, dropped: list[str]) -> None:
    tools, choice = body.get("tools"), body.get("tool_choice")
    if type(tools) is list and tools:
        made["tools"] = [_tool(tool, dropped) for tool in tools]
    said: Any = choice
    if type(choice) is str:
        said = {"type": _CHOICES.get(choice, choice)}
    elif type(choice) is dict and type(choice.get("function")) is dict:
        said = {"type": "tool", "name": choice["function"].get("name")}
    if body.get("parallel_tool_calls") is False and "tools" in made and said != {"type": "none"}:
        said = {**(said if type(said) is dict else {"type": "auto"}), "disable_parallel_tool_use": True}
    if said is not None:
        made["tool_choice"] = said


def _tool(tool: Any, dropped: list[str]) -> Any:
    function = tool.get("function") if type(tool) is dict else None
    if type(function) is not dict:
        return tool
    schema = function.get("parameters")
    made = {"name": function.get("name"), "input_schema": {"type": "object"} if schema is None else schema}
    more = {name: function[name] for name in ("description", "strict") if function.get(name) is not None}
    _note_rest(function, _FUNCTION, "tools.function", dropped)
    _note_rest(tool, _PART | {"function"}, "tools", dropped)
    return {**made, **more, **_cached(tool)}


def _format(given: Any, made: Body, dropped: list[str]) -> None:
    schema = given.get("json_schema") if type(given) is dict else None
    if type(schema) is dict and given.get("type") == "json_schema":
        config = made.get("output_config")
        wanted = {"type": "json_schema", "schema": schema.get("schema")}
        if schema.get("description"):
            dropped.append("response_format.json_schema.description")
        made["output_config"] = {**(config if type(config) is dict else {}), "format": wanted}
    elif given is not None and given != {"type": "text"}:
        made["response_format"] = given  # to be refused


# ---- messages --------------------------------------------------------------------------------------------------------


def _conversation(given: Any, dropped: list[str]) -> tuple[list[Body], list[Body]]:
    """Return the blocks of the system prompt, and the turns."""
    system: list[Body] = []
    turns: list[Body] = []
    for message in given if type(given) is list else ():
        role = message.get("role")
        _note_hints(message.get("content"), dropped)
        _note_rest(message, _MESSAGE, "messages", dropped)
        if role in ("system", "developer"):
            system += _marked(_blocks(message.get("content")), message)
            continue
        if role == "tool":
            role, blocks = "user", [_result(message)]
        elif role == "assistant":
            blocks = _assistant(message, dropped)
        else:
            blocks = _blocks(message.get("content"))
        blocks = _marked(blocks, message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return system, turns


def _blocks(content: Any) -> list[Any]:
    """Return the blocks that a content is. Anthropic takes no empty texts; a part it does not know stays as it is."""
    if type(content) is str:
        return [{"type": "text", "text": content}] if content else []
    return [_block(part) for part in content if _says(part)] if type(content) is list else []


def _marked(blocks: list[Any], message: Body) -> list[Any]:
    """Return the blocks of a message, of which the last bears the mark that stands beside them."""
    if blocks and type(blocks[-1]) is dict:
        blocks[-1] = {**blocks[-1], **_cached(message)}
    return blocks


def _note_hints(content: Any, dropped: list[str]) -> None:
    """Note what parts say of themselves of which Anthropic has no word, such as how to look at a picture."""
    for part in content if type(content) is list else ():
        kind = part.get("type") if type(part) is dict else None
        if type(kind) is str and kind in _PARTS:
            given = part.get(kind)
            _note_rest(given if type(given) is dict else {}, _PARTS[kind], kind, dropped)
            _note_rest(part, _PART | {kind}, kind, dropped)


def _note_rest(holder: Body, read: Container[str], within: str, dropped: list[str]) -> None:
    """Note whatever an object says beside the fields that are read; a picture is looked at as it is by itself."""
    dropped += [f"{within}.{name}" for name, told in holder.items() if name not in read and told not in (None, "auto")]


def _says(part: Any) -> bool:
    return type(part) is not dict or part.get("type") != "text" or part.get("text") != ""


def _block(part: Any) -> Any:
    if type(part) is not dict:
        return part
    kind = part.get("type")
    held: Any = part.get(kind) if kind in ("image_url", "file") else None
    given: Body = held if type(held) is dict else {"url": held}
    mark = _cached(part)
    if kind == "image_url" and type(given.get("url")) is str:
        return {"type": "image", "source": _source(given["url"]), **mark}
    if kind == "file" and type(given.get("file_data")) is str:
        title = {"title": given["filename"]} if given.get("filename") else {}
        return {"type": "document", "source": _source(given["file_data"]), **title, **mark}
    return part


def _cached(holder: Body) -> Body:
    mark = holder.get("cache_control")
    return {} if mark is None else {"cache_control": mark}


def _source(url: str) -> Body:
    """Return where the bytes are that a URL leads to, or is."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": head[len("data:") : -len(";base64")], "data": data}


def _result(message: Body) -> Body:
    content = message.get("content")
    made: Body = {"type": "tool_result", "tool_use_id": message.get("tool_call_id")}
    if content:
        made["content"] = _blocks(content) if type(content) is list else content
    if message.get("is_error") is True:
        made["is_error"] = True
    return made | _cached(message)


def _assistant(message: Body, dropped: list[str]) -> list[Any]:
    blocks: list[Any] = list(blocks_in(message))
    if not blocks and (message.get("reasoning_content") or message.get("reasoning")):
        dropped.append("messages.reasoning_content")
    blocks += _blocks(message.get("content"))
    refusal = message.get("refusal")
    blocks += _blocks(refusal if type(refusal) is str else None)
    calls = message.get("tool_calls")
    for call in calls if type(calls) is list else ():
        function = call.get("function") if type(call) is dict else None
        if type(function) is not dict:
            blocks.append(call)  # to be refused
            continue
        arguments = function.get("arguments")
        given = tool_input(arguments) if type(arguments) is str else arguments or {}
        blocks.append({"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": given})
    return blocks
