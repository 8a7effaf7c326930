"""A request of the Responses API -> a call: what a chat completion can say, said as one; the rest by name.

Three things become of a field: it has its like in a chat completion; it is `bound`, so that only a backend that speaks
the Responses API may have the call; or it is `dropped`, since it changes nothing of the answer. Source of the fields:
`openai` 3.54, `types/responses/response_create_params.py`.
"""

from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any, Final

from hybridproxy.dialects.kept import kept_in
from hybridproxy.dialects.openai import needs_of
from hybridproxy.dialects.request import RequestError, flag, model_of, parsed
from hybridproxy.dialects.responses.input import messages_of
from hybridproxy.dialects.responses.notes import Notes, name_at, object_at, one_of, refuse, text_at
from hybridproxy.dialects.responses.tools import read_choice, read_tools
from hybridproxy.dialects.translator import Asking, Outgoing, repeated
from hybridproxy.model.call import Call
from hybridproxy.model.dialect import Dialect
from hybridproxy.providers.provider import CONTROL_FIELDS

Body = dict[str, Any]
_Read = Callable[[Any, Body, Notes], None]

LOGPROBS: Final = "message.output_text.logprobs"
MAX_TOP: Final = 20


def decode(asking: Asking, data: bytes) -> Call:
    """Return the call that a request asks for.

    Raises:
        RequestError: with words for the caller and the field; the status is 400.

    """
    native = parsed(data, _EXACT)
    notes = Notes()
    body: Body = {"model": model_of(native), "messages": []}
    stream = flag(native, "stream")
    for name, given in native.items():
        read = _FIELDS.get(name)
        if given is None or name in _ELSEWHERE:
            continue
        if read is not None:
            read(given, body, notes)
        elif name in _EXTENSIONS:
            body[name] = given
        elif name not in CONTROL_FIELDS:
            notes.drop(name)
    body["messages"] = _messages(native, notes)
    read_choice(native.get("tool_choice"), body, notes)
    if "tools" not in body:  # a chat completion takes neither without them
        body.pop("parallel_tool_calls", None)
        if body.pop("tool_choice", None) not in (None, "auto", "none") and not notes.bound:
            refuse("tool_choice", "'auto' or 'none' where it has none of the tools to choose from")
    return Call(
        operation=asking.operation,
        model=body["model"],
        stream=stream,
        wants_usage=True,
        choices=1,
        needs=needs_of(asking.operation, body),
        size=len(data),
        body=body,
        dialect=Dialect.RESPONSES,
        native=native,
        bound=notes.bound,
        dropped=notes.dropped,
        headers=asking.headers,
        kept=kept_in(native) if notes.bound else "",
    )


def repeat(call: Call, model: str) -> Outgoing:
    """Return the call in the caller's own words. Who does not say that an answer shall be kept gets none kept."""
    made = repeated(call, model)
    if made.body.get("store") is None:
        made.body["store"] = False
    return made


def _messages(native: Mapping[str, Any], notes: Notes) -> list[dict[str, Any]]:
    instructions, given = native.get("instructions"), native.get("input")
    messages = [] if instructions is None else [{"role": "system", "content": text_at(native, "instructions", "")}]
    if given is not None:
        messages += messages_of(given, notes)
    if not messages and not notes.bound:
        refuse("input", "a text or a list of items that is not empty")
    first = list(takewhile(lambda m: m["role"] == "system" and type(m["content"]) is str, messages))
    if len(first) > 1:  # templates often take but one
        whole = "\n\n".join(message["content"] for message in first)
        messages[: len(first)] = [{"role": "system", "content": whole}]
    return messages


# ---- fields ----------------------------------------------------------------------------------------------------------


def _same(name: str, is_right: Callable[[Any], bool], must: str, as_name: str = "") -> _Read:
    """Return a reader of a field that a chat completion has too."""

    def read(given: Any, body: Body, _notes: Notes) -> None:
        if not is_right(given):
            refuse(name, must)
        body[as_name or name] = given

    return read


def _number(given: Any) -> bool:
    return type(given) is int or type(given) is float


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda given: type(given) is kind


def _bound(name: str) -> _Read:
    return lambda _given, _body, notes: notes.bind(name)


def _echoed(given: Any, _body: Body, _notes: Notes) -> None:
    """Read `metadata`, which the caller gets back and which is nothing to a model."""
    object_at(given, "metadata")


def _background(given: Any, _body: Body, _notes: Notes) -> None:
    if type(given) is not bool:
        refuse("background", "true or false")
    if given:
        message = "'background' is not offered: answers are given in the call itself, since none are kept here"
        raise RequestError(message, param="background", code="unsupported_value")


def _store(given: Any, _body: Body, notes: Notes) -> None:
    if type(given) is not bool:
        refuse("store", "true or false")
    if given:
        notes.drop("store")


def _truncation(given: Any, _body: Body, notes: Notes) -> None:
    if one_of(given, ("auto", "disabled"), "truncation") == "auto":
        notes.drop("truncation")


def _include(given: Any, body: Body, _notes: Notes) -> None:
    """Read what shall be in the answer beside it. Most is of tools that bind the call, or comes by itself."""
    if not isinstance(given, list):
        refuse("include", "a list")
    if LOGPROBS in given:
        body["logprobs"] = True


def _top_logprobs(given: Any, body: Body, _notes: Notes) -> None:
    if type(given) is not int or not 0 <= given <= MAX_TOP:
        refuse("top_logprobs", f"a whole number from 0 to {MAX_TOP}")
    if given:
        body["logprobs"], body["top_logprobs"] = True, given


def _reasoning(given: Any, body: Body, notes: Notes) -> None:
    reasoning = object_at(given, "reasoning")
    if reasoning.get("effort") is not None:
        body["reasoning_effort"] = name_at(reasoning, "effort", "reasoning")
    for name in ("summary", "generate_summary"):
        if reasoning.get(name) is not None:
            one_of(reasoning[name], ("auto", "concise", "detailed"), f"reasoning.{name}")
    mode = reasoning.get("mode")
    if mode is not None and mode != "standard":
        notes.bind("reasoning.mode")
    if reasoning.get("context") is not None:
        notes.drop("reasoning.context")


def _text(given: Any, body: Body, _notes: Notes) -> None:
    text = object_at(given, "text")
    if text.get("verbosity") is not None:
        body["verbosity"] = one_of(text["verbosity"], ("low", "medium", "high"), "text.verbosity")
    wanted = text.get("format")
    if wanted is None:
        return
    at = "text.format"
    kind = one_of(object_at(wanted, at).get("type"), ("text", "json_object", "json_schema"), f"{at}.type")
    if kind == "json_object":
        body["response_format"] = {"type": kind}
    elif kind == "json_schema":
        schema = {"name": name_at(wanted, "name", at), "schema": object_at(wanted.get("schema"), f"{at}.schema")}
        schema.update((name, wanted[name]) for name in ("description", "strict") if wanted.get(name) is not None)
        body["response_format"] = {"type": kind, "json_schema": schema}


def _stream_options(given: Any, _body: Body, notes: Notes) -> None:
    if flag(object_at(given, "stream_options"), "include_obfuscation"):
        notes.drop("stream_options.include_obfuscation")


_FIELDS: Final[dict[str, _Read]] = {
    "background": _background,
    "context_management": _bound("context_management"),
    "conversation": _bound("conversation"),
    "include": _include,
    "max_output_tokens": _same("max_output_tokens", _is(int), "a whole number", "max_completion_tokens"),
    "metadata": _echoed,
    "moderation": _bound("moderation"),
    "parallel_tool_calls": _same("parallel_tool_calls", _is(bool), "true or false"),
    "previous_response_id": _bound("previous_response_id"),
    "prompt": _bound("prompt"),
    "prompt_cache_key": _same("prompt_cache_key", _is(str), "a text"),
    "prompt_cache_options": _same("prompt_cache_options", _is(dict), "an object"),
    "prompt_cache_retention": _same("prompt_cache_retention", _is(str), "a text"),
    "reasoning": _reasoning,
    "safety_identifier": _same("safety_identifier", _is(str), "a text"),
    "service_tier": _same("service_tier", _is(str), "a text"),
    "store": _store,
    "stream_options": _stream_options,
    "temperature": _same("temperature", _number, "a number"),
    "text": _text,
    "tools": read_tools,
    "top_logprobs": _top_logprobs,
    "top_p": _same("top_p", _number, "a number"),
    "truncation": _truncation,
    "user": _same("user", _is(str), "a text"),
}
_ELSEWHERE: Final = frozenset({"model", "stream", "input", "instructions", "tool_choice"})

_EXTENSIONS: Final = frozenset(
    {
        "chat_template_kwargs", "enable_thinking", "frequency_penalty", "logit_bias", "min_p", "presence_penalty",
        "priority", "repetition_penalty", "seed", "stop", "thinking", "thinking_budget", "top_k",
    }
)  # fmt: skip
"""Fields of engines and of chat completions that callers add to a Responses request; providers take or leave them."""

_EXACT: Final = CONTROL_FIELDS | _FIELDS.keys() | _ELSEWHERE
"""The same name in other letters would slip through to a lenient upstream."""
