"""A chat completion -> Anthropic's message: what whole answers and streams have in common; and the list of models.

Stop reasons and usage: the SDK's types (2.12). The tokens of the input stand apart there: read from a cache, written to
one, and the rest; a chat completion's `prompt_tokens` are all of them together.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from hybridproxy.model.usage import Usage

Body = dict[str, Any]

_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
OWN_REASONS: Final = {
    "end_turn": "stop",
    "max_tokens": "length",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "pause_turn": "stop",
    "refusal": "content_filter",
    "model_context_window_exceeded": "length",
}
"""Anthropic's stop reasons, each with OpenAI's nearest."""


def message_id(body: Mapping[str, Any], request_id: str) -> str:
    """Return the id of a message: the upstream's own behind Anthropic's `msg_`, else the request's."""
    given = body.get("id")
    found = given if type(given) is str and given else request_id
    return found if found.startswith("msg_") else f"msg_{found.removeprefix('chatcmpl-')}"


def stopped(choice: Mapping[str, Any], stops: frozenset[str], *, called: bool) -> tuple[str, str | None]:
    """Return stop reason and stop sequence; `called`: the answer calls tools.

    Which sequence it was is known from those who say so: vLLM as `stop_reason`, SGLang as `matched_stop`.
    """
    reason, own = choice.get("finish_reason"), choice.get("native_finish_reason")
    said = next((s for s in map(choice.get, ("stop_reason", "matched_stop")) if type(s) is str and s in stops), None)
    if type(own) is str and own in OWN_REASONS and own != "stop_sequence":
        return own, None
    found = _REASONS.get(reason, "end_turn") if type(reason) is str else "end_turn"
    if found == "end_turn" and called:
        return "tool_use", None  # some say `stop` where a tool was forced
    return ("stop_sequence", said) if found == "end_turn" and said is not None else (found, None)


def usage_of(usage: Any) -> Body:
    """Return usage in Anthropic's words; what was not reported is 0."""
    told = Usage.from_openai(usage) or Usage(0, 0)
    said: Body = {
        "input_tokens": max(0, told.prompt - told.cached - told.written),
        "cache_creation_input_tokens": told.written,
        "cache_read_input_tokens": told.cached,
        "output_tokens": told.completion,
    }
    if told.reasoning:
        said["output_tokens_details"] = {"thinking_tokens": told.reasoning}
    return said


def _within(holder: Body, name: str) -> Body:
    found = holder.get(name)
    return found if type(found) is dict else {}


def reasoning_in(holder: Mapping[str, Any]) -> str:
    """Return the thinking in a message or a delta, under whichever of its names."""
    found = holder.get("reasoning_content") or holder.get("reasoning")
    return found if type(found) is str else ""


def blocks_in(holder: Mapping[str, Any]) -> list[Body]:
    """Return the thinking blocks in a message or a delta that can be said in Anthropic's dialect."""
    given = holder.get("thinking_blocks")
    made: list[Body] = []
    for block in given if type(given) is list else ():
        if type(block) is not dict:
            continue
        if block.get("type") == "redacted_thinking" and type(block.get("data")) is str:
            made.append({"type": "redacted_thinking", "data": block["data"]})
        elif block.get("signature") and type(block["signature"]) is str:
            text = block.get("thinking")
            thought = text if type(text) is str else ""
            made.append({"type": "thinking", "thinking": thought, "signature": block["signature"]})
    return made


def calls_in(holder: Mapping[str, Any]) -> list[Body]:
    """Return the calls of tools in a message or a delta, as far as they are calls."""
    given = holder.get("tool_calls")
    return [call for call in given if type(call) is dict] if type(given) is list else []


def texts_in(holder: Mapping[str, Any]) -> str:
    """Return the text of a message or a delta; a refusal is text too."""
    content, refusal = holder.get("content"), holder.get("refusal")
    return (content if type(content) is str else "") + (refusal if type(refusal) is str else "")


def tool_input(arguments: str) -> Body:
    """Return the arguments that a model wrote, as the object they have to be here.

    What is none stands in one under a name of its own, as Anthropic's documentation of tool streaming advises.
    """
    try:
        found = orjson.loads(arguments or "{}")
        orjson.dumps(found)  # it reads deeper nesting than it writes
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        found = None
    return found if type(found) is dict else {"INVALID_JSON": arguments}


def tool_id(call: Mapping[str, Any], message: str, place: int) -> str:
    """Return the id of a call; one that has none gets one, so that its result can be told apart."""
    found = call.get("id")
    return found if type(found) is str and found else f"toolu_{message.removeprefix('msg_')}_{place}"


def whole_message(body: Body, *, model: str, stops: frozenset[str], request_id: str) -> bytes:
    """Return the message that a chat completion is.

    Args:
        body: the completion.
        model: as the caller calls it, for an answer that does not say whose it is.
        stops: the stop sequences that were asked for.
        request_id: names an answer that has no id.

    """
    choices = body.get("choices")
    choice: Body = choices[0] if type(choices) is list and choices and type(choices[0]) is dict else {}
    said = _within(choice, "message")
    name = message_id(body, request_id)
    content = _thoughts(said)
    if text := texts_in(said):
        content.append({"type": "text", "text": text})
    calls = calls_in(said)
    for place, made in enumerate(calls):
        function = _within(made, "function")
        arguments = function.get("arguments")
        content.append(
            {
                "type": "tool_use",
                "id": tool_id(made, name, place),
                "name": function.get("name") if type(function.get("name")) is str else "",
                "input": tool_input(arguments if type(arguments) is str else ""),
            }
        )
    reason, sequence = stopped(choice, stops, called=bool(calls))
    message = message_head(name, body.get("model"), model)
    end = {"content": content, "stop_reason": reason, "stop_sequence": sequence, "usage": usage_of(body.get("usage"))}
    return orjson.dumps(message | end)


def _thoughts(said: Body) -> list[Body]:
    """Return the blocks of what was thought; where only a part of it was signed, the blocks have all of it."""
    signed, text = blocks_in(said), reasoning_in(said)
    if text and not any(block.get("thinking") for block in signed):
        unsigned = next((block for block in signed if block["type"] == "thinking"), None)
        if unsigned is None:
            return [{"type": "thinking", "thinking": text, "signature": ""}, *signed]
        unsigned["thinking"] = text
    return signed


def message_head(name: str, model: Any, asked: str) -> Body:
    """Return a message without its content; the model is the one that the upstream says it is."""
    return {
        "id": name,
        "type": "message",
        "role": "assistant",
        "model": model if type(model) is str and model else asked,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def encode_models(names: list[str]) -> bytes:
    """Return the list of models, on one page."""
    ends = {"first_id": names[0], "last_id": names[-1]} if names else {"first_id": None, "last_id": None}
    return orjson.dumps({"data": [_model(name) for name in names], "has_more": False, **ends})


def encode_model(name: str) -> bytes:
    """Return one model."""
    return orjson.dumps(_model(name))


def _model(name: str) -> Body:
    """Return a model; its date is the epoch, which the real service gives where it does not know one."""
    return {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
