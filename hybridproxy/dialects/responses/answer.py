"""A whole chat completion -> the output items of a response."""

from collections.abc import Mapping
from typing import Any

from hybridproxy.dialects.responses.object import (
    Item,
    Names,
    call_item,
    logprobs_of,
    message_item,
    reasoning_item,
    status_of,
    text_part,
)
from hybridproxy.dialects.responses.seal import sealed


def output_of(choice: Mapping[str, Any], names: Names, *, summarises: bool) -> list[Item]:
    """Return what a choice says, in the order of the Responses API: thought, text, calls.

    Args:
        choice: the only one.
        names: of the answer.
        summarises: thoughts are given as summaries, since that is what was asked for.

    """
    given = choice.get("message")
    message: Mapping[str, Any] = given if isinstance(given, dict) else {}
    status, _ = status_of(choice.get("finish_reason"))
    items: list[Item] = []
    thought = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    blocks = message.get("thinking_blocks")
    seal = sealed(blocks, thought) if isinstance(blocks, list) else None
    if thought or seal:
        kind = "summary_text" if summarises else "reasoning_text"
        parts = [{"type": kind, "text": thought}] if thought else []
        items.append(reasoning_item(names.item("rs", 0), "completed", parts, seal))
    calls = message.get("tool_calls")
    called = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    text, refusal = _text(message.get("content")), _text(message.get("refusal"))
    if text or refusal or not (items or called):
        content: list[dict[str, Any]] = []
        if text or not refusal:
            content.append(text_part(text, logprobs_of(choice)))
        if refusal:
            content.append({"type": "refusal", "refusal": refusal})
        items.append(message_item(names.item("msg", len(items)), status, content))
    for call in called:
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        number = len(items)
        call_id = _text(call.get("id")) or names.item("call", number)
        name, arguments = _text(function.get("name")), _text(function.get("arguments"))
        items.append(call_item(names.item("fc", number), status, call_id, name, arguments))
    return items


def _text(given: Any) -> str:
    """Return a text; of a list of parts those that are texts."""
    if isinstance(given, list):
        return "".join(part["text"] for part in given if isinstance(part, dict) and isinstance(part.get("text"), str))
    return given if isinstance(given, str) else ""
