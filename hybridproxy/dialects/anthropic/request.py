"""A request of Anthropic's Messages API -> the chat completion, or the count of tokens, that it asks for.

Fields: the SDK's `message_create_params` (2.12), with `temperature`, `top_p` and `top_k`, which older clients send.
Structured output is `output_config.format`, once `output_format`. How hard to think is `output_config.effort`; it is
said to others only where the caller lets the model decide about thinking: elsewhere it would switch thinking on.
"""

from collections.abc import Callable
from typing import Any, Final

from hybridproxy.dialects.anthropic.content import (
    Body,
    Notes,
    chat_messages,
    list_at,
    object_at,
    system_message,
    text_at,
    wrong,
)
from hybridproxy.dialects.kept import kept_in
from hybridproxy.dialects.openai import needs_of
from hybridproxy.dialects.request import flag, model_of, parsed
from hybridproxy.dialects.translator import Asking
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.providers.provider import CONTROL_FIELDS

_NUMBERS: Final = (
    *("temperature", "top_p", "top_k"),
    *("seed", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"),
)
"""Beside Anthropic's own what callers of other models send through its SDKs, as `extra_body`."""

_EXTENSIONS: Final = ("enable_thinking", "thinking_budget", "chat_template_kwargs")
_BOUND: Final = ("mcp_servers", "container")
_EXACT: Final = CONTROL_FIELDS | {
    "model", "stream", "max_tokens", "messages", "system", "tools", "tool_choice", "thinking", "metadata",
    "stop_sequences", "output_config", "output_format", "inference_geo", *_NUMBERS, *_EXTENSIONS, *_BOUND,
}  # fmt: skip
"""Fields that are judged; the same name in other letters would slip through to a lenient upstream."""

_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


def decode(asking: Asking, data: bytes) -> Call:
    """Return the call that a request asks for.

    Raises:
        RequestError: with words for the caller; the status is 400.

    """
    given = parsed(data, _EXACT)
    notes = Notes()
    counts = asking.operation is Operation.COUNT
    body: Body = {"model": model_of(given)}
    if given.get("inference_geo") is not None:
        raise wrong("inference_geo", "say where a call may be computed in the header x-hybridproxy-residency")
    messages = chat_messages(given.get("messages"), notes)
    begun = messages[-1]["role"] == "assistant" and "tool_calls" not in messages[-1]
    body["messages"] = [*system_message(given.get("system"), notes), *messages]
    if not counts:
        _limit(given, body, notes)
    for name, read in _READERS.items():
        if given.get(name) is not None:
            read(given[name], body, notes)
    for name in given.keys() - _EXACT:
        if given[name] is not None:
            notes.drop(name)
    for name in _BOUND:
        if given.get(name):
            notes.bind(name)
    stream = flag(given, "stream") and not counts
    if stream:
        body["stream"] = True
    return Call(
        operation=asking.operation,
        model=body["model"],
        stream=stream,
        wants_usage=True,
        choices=1,
        needs=needs_of(asking.operation, body),
        size=len(data),
        body=body,
        dialect=Dialect.ANTHROPIC,
        native=given,
        bound=() if counts else tuple(notes.bound),
        dropped=tuple(sorted(notes.dropped)),
        variant=asking.variant,
        begun=begun,
        headers=asking.headers,
        kept=kept_in(given) if notes.bound else "",
    )


def _limit(given: Body, body: Body, notes: Notes) -> None:
    limit = given.get("max_tokens")
    if type(limit) is not int or limit < 0:
        raise wrong("max_tokens", "it has to be there, a whole number above 0")
    if limit:
        body["max_completion_tokens"] = limit  # it bounds what is thought, too; the older name does not everywhere
    else:
        notes.bind("max_tokens")  # it only fills the cache


def _number(name: str) -> Callable[[Any, Body, Notes], None]:
    def read(given: Any, body: Body, _notes: Notes) -> None:
        if type(given) is not int and type(given) is not float:
            raise wrong(name, "it has to be a number")
        body[name] = given

    return read


def _kept(name: str) -> Callable[[Any, Body, Notes], None]:
    def read(given: Any, body: Body, _notes: Notes) -> None:
        body[name] = given

    return read


def _stops(given: Any, body: Body, _notes: Notes) -> None:
    if not all(type(stop) is str for stop in list_at(given, "stop_sequences")):
        raise wrong("stop_sequences", "each has to be a text")
    if given:
        body["stop"] = given


def _metadata(given: Any, body: Body, notes: Notes) -> None:
    for name, value in object_at(given, "metadata").items():
        if name == "user_id" and value is not None:
            body["user"] = text_at(given, "user_id", "metadata")
        elif value is not None:
            notes.drop(f"metadata.{name}")


def _tools(given: Any, body: Body, notes: Notes) -> None:
    made = []
    for place, tool in enumerate(list_at(given, "tools")):
        path = f"tools.{place}"
        kind = object_at(tool, path).get("type")
        if kind not in (None, "custom"):
            notes.bind(f"{path} ({kind})" if type(kind) is str and len(kind) <= _LONGEST and kind.isascii() else path)
            continue
        function: Body = {"name": text_at(tool, "name", path)}
        if tool.get("description") is not None:
            function["description"] = text_at(tool, "description", path)
        function["parameters"] = object_at(tool.get("input_schema"), f"{path}.input_schema")
        if tool.get("strict") is not None:
            function["strict"] = flag(tool, "strict", f"{path}.")
        mark = tool.get("cache_control")
        made.append({"type": "function", "function": function, **({"cache_control": mark} if mark else {})})
        callers = tool.get("allowed_callers")
        if tool.get("defer_loading") or (type(callers) is list and callers and "direct" not in callers):
            notes.bind(path)
        for name in ("eager_input_streaming", "input_examples"):
            if tool.get(name):
                notes.drop(f"tools.{name}")
        notes.rest(tool, _TOOL, "tools")
    if made:
        body["tools"] = made


_LONGEST: Final = 64
_TOOL: Final = frozenset(
    {
        *("type", "name", "description", "input_schema", "strict", "cache_control"),
        *("allowed_callers", "defer_loading", "eager_input_streaming", "input_examples"),
    }
)


def _tool_choice(given: Any, body: Body, notes: Notes) -> None:
    kind = object_at(given, "tool_choice").get("type")
    notes.rest(given, ("type", "name", "disable_parallel_tool_use"), "tool_choice")
    if kind == "tool":
        body["tool_choice"] = {"type": "function", "function": {"name": text_at(given, "name", "tool_choice")}}
    elif type(kind) is str and kind in _CHOICES:
        body["tool_choice"] = _CHOICES[kind]
    else:
        raise wrong("tool_choice.type", "it has to be 'auto', 'any', 'tool' or 'none'")
    if flag(given, "disable_parallel_tool_use"):
        body["parallel_tool_calls"] = False


def _thinking(given: Any, body: Body, notes: Notes) -> None:
    kind = object_at(given, "thinking").get("type")
    notes.rest(given, ("type", "budget_tokens", "display"), "thinking")
    made: Body = {"type": kind}
    if kind == "enabled":
        budget = given.get("budget_tokens")
        if type(budget) is not int or budget < 1:
            raise wrong("thinking.budget_tokens", "it has to be a whole number above 0")
        made["budget_tokens"] = budget
    elif kind == "between_tools":
        notes.bind("thinking.type")
        return
    elif kind not in ("adaptive", "disabled"):
        raise wrong("thinking.type", "it has to be 'enabled', 'adaptive', 'between_tools' or 'disabled'")
    if given.get("display") not in (None, "summarized"):
        notes.drop("thinking.display")
    body["thinking"] = made


def _output_config(given: Any, body: Body, notes: Notes) -> None:
    for name, value in object_at(given, "output_config").items():
        if value is None:
            continue
        if name == "format":
            _format(value, body, "output_config.format")
        elif name == "effort" and body.get("thinking") == {"type": "adaptive"}:
            body["reasoning_effort"] = text_at(given, "effort", "output_config")
        else:
            notes.drop(f"output_config.{name}")


def _output_format(given: Any, body: Body, _notes: Notes) -> None:
    _format(given, body, "output_format")


def _format(given: Any, body: Body, path: str) -> None:
    if object_at(given, path).get("type") != "json_schema":
        raise wrong(f"{path}.type", "it has to be 'json_schema'")
    schema = object_at(given.get("schema"), f"{path}.schema")
    body["response_format"] = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }


_READERS: Final[dict[str, Callable[[Any, Body, Notes], None]]] = {
    **{name: _number(name) for name in _NUMBERS},
    **{name: _kept(name) for name in _EXTENSIONS},
    "stop_sequences": _stops,
    "metadata": _metadata,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "thinking": _thinking,
    "output_config": _output_config,  # after `thinking`
    "output_format": _output_format,
}
"""How each field is read that may be left out."""
