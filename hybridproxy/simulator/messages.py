"""Anthropic's Messages API: requests with turns of blocks, events with names, blocks one after the other.

From the types of the Python SDK 2.12 and from platform.claude.com (streaming, errors, extended thinking; November
2026). A request becomes one of OpenAI's form for whoever makes up the answer; here it is written as the service does.
"""

from collections.abc import Callable, Iterator
from typing import Final, cast
from zlib import crc32

import orjson

from hybridproxy.simulator import wire
from hybridproxy.simulator.answers import Answer, RequestError, count_words
from hybridproxy.simulator.row import COUNT, Json, Provider
from hybridproxy.simulator.wire import Act, Event

_FIELDS: Final = frozenset(
    {
        *("model", "messages", "max_tokens", "system", "tools", "tool_choice", "thinking", "metadata", "stream"),
        *("stop_sequences", "temperature", "top_p", "top_k", "service_tier", "cache_control", "container"),
        *("mcp_servers", "output_config", "context_management", "speed", "inference_geo", "diagnostics"),
    }
)
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def read(row: Provider, call: str, raw: bytes, header: Callable[[str], str | None]) -> bytes:
    """Return the request of a call in OpenAI's form.

    Raises:
        RequestError: the service would refuse it.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        message = f"The body is not JSON: {error}"
        raise RequestError(message) from None
    if not isinstance(body, dict):
        raise RequestError("The body is not a JSON object.")
    if row.strict and header("anthropic-version") is None:
        raise RequestError("anthropic-version: header is required")
    for name in body.keys() - _FIELDS if row.strict else ():
        message = f"{name}: Extra inputs are not permitted"
        raise RequestError(message)
    asked: Json = {"model": body.get("model"), "messages": [*_system(body), *_messages(row, body)]}
    if call == COUNT:
        return orjson.dumps(asked)
    limit, thinking = body.get("max_tokens"), body.get("thinking")
    if not isinstance(limit, int):
        raise RequestError("max_tokens: Field required")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if isinstance(budget, int) and budget >= limit:
        raise RequestError("`max_tokens` must be greater than `thinking.budget_tokens`.")
    asked |= {"max_tokens": limit, "stream": body.get("stream") is True, "stop": body.get("stop_sequences")}
    asked |= {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body}
    tools = body.get("tools")
    if isinstance(tools, list):
        asked["tools"] = [_tool(tool) for tool in tools]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        asked["tool_choice"] = _choice(choice)
        asked["parallel_tool_calls"] = choice.get("disable_parallel_tool_use") is not True
    config = body.get("output_config")
    if isinstance(config, dict) and isinstance(config.get("format"), dict):
        named = {"name": "answer", "schema": config["format"].get("schema")}
        asked["response_format"] = {"type": "json_schema", "json_schema": named}
    return orjson.dumps(asked)


def _tool(tool: Json) -> Json:
    return {"type": "function", "function": {"name": tool.get("name"), "parameters": tool.get("input_schema")}}


def _choice(choice: Json) -> object:
    if choice.get("type") == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return _CHOICES.get(str(choice.get("type")), "auto")


def _system(body: Json) -> list[Json]:
    given = body.get("system")
    return [{"role": "system", "content": given}] if given else []


def _messages(row: Provider, body: Json) -> Iterator[Json]:
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise RequestError("messages: at least one message is required")
    waiting: list[object] = []
    for place, message in enumerate(given):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in {"user", "assistant"}:
            text = f"messages.{place}.role: Input should be 'user' or 'assistant'"
            raise RequestError(text)
        blocks = message.get("content")
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        if not isinstance(blocks, list):
            text = f"messages.{place}.content: Input should be a valid list"
            raise RequestError(text)
        _check(row, blocks, f"messages.{place}.content")
        answered = [block.get("tool_use_id") for block in blocks if block["type"] == "tool_result"]
        if set(waiting) != set(answered):
            text = f"messages.{place}: `tool_use` ids and the `tool_result` blocks immediately after do not match"
            raise RequestError(text)
        waiting = [block.get("id") for block in blocks if block["type"] == "tool_use"]
        for block in blocks:
            if block["type"] == "tool_result":
                yield {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": block.get("content")}
        rest = [block for block in blocks if block["type"] not in {"tool_result", "tool_use", "thinking"}]
        if rest or role == "assistant":
            yield {"role": role, "content": rest}


def _check(row: Provider, blocks: list[object], path: str) -> None:
    for place, block in enumerate(blocks):
        if not isinstance(block, dict) or "type" not in block:
            text = f"{path}.{place}.type: Field required"
            raise RequestError(text)
        if block["type"] == "text" and not block.get("text"):
            text = f"{path}.{place}: text content blocks must be non-empty"
            raise RequestError(text)
        if block["type"] == "thinking" and row.signs and block.get("signature") != sign(str(block.get("thinking"))):
            text = f"{path}.{place}: Invalid `signature` in `thinking` block"
            raise RequestError(text)


def sign(thought: str) -> str:
    """Return the signature of a thought."""
    return f"signed-{crc32(thought.encode()):08x}"


# ---- answers ---------------------------------------------------------------------------------------------------------


def count(row: Provider, body: Json) -> Json:
    """Write a count of tokens."""
    words = count_words(body["messages"])
    more: Json = {} if row.strict else {"context_management": {"original_input_tokens": words}}
    return {"input_tokens": words, **more}


def whole_answer(answer: Answer, *, finished: bool) -> Json:
    """Write the body of a call that does not stream."""
    content: list[Json] = []
    if answer.reasoning:
        thought = "".join(answer.reasoning)
        signature = sign(thought) if answer.row.signs else ""
        content.append({"type": "thinking", "thinking": thought, "signature": signature})
    for call in _calls(answer):
        function = cast("Json", call["function"])
        given = _given(str(function["arguments"])) if finished else {}
        content.append({"type": "tool_use", "id": call["id"], "name": function["name"], "input": given})
    if not answer.tools:
        content.append({"type": "text", "text": "".join(answer.echo + answer.pieces)})
    message = _head(answer) | {"content": content, "usage": _usage(answer, answer.completion_tokens)}
    return message | (_end(answer) if finished else {})


def _given(arguments: str) -> object:
    """Return what a tool is called with; {} where `max_tokens` ended its JSON in the middle."""
    try:
        return cast("object", orjson.loads(arguments))
    except orjson.JSONDecodeError:
        return {}


def events(answer: Answer, *, with_done: bool) -> Iterator[Event]:
    """Write the events of a stream in their order, without anything going wrong."""
    yield Act.ROLE, frame("message_start", {"message": _head(answer) | {"content": [], "usage": _usage(answer, 1)}})
    index = 0
    if answer.reasoning:
        yield Act.ECHO, _begin(index, {"type": "thinking", "thinking": "", "signature": ""})
        for thought in answer.reasoning:
            yield Act.PIECE, _delta(index, "thinking", thought)
        if answer.row.signs:
            yield Act.ECHO, _delta(index, "signature", sign("".join(answer.reasoning)))
        yield Act.ECHO, frame("content_block_stop", {"index": index})
        index += 1
    ends = [*(first for _, first in answer.tools[1:]), len(answer.pieces)]
    for call, (_, first), end in zip(_calls(answer), answer.tools, ends, strict=True) if answer.tools else ():
        function = cast("Json", call["function"])
        yield Act.ECHO, _begin(index, {"type": "tool_use", "id": call["id"], "name": function["name"], "input": {}})
        yield Act.ECHO, _delta(index, "input_json", "")
        for piece in answer.pieces[first:end]:
            yield Act.PIECE, _delta(index, "input_json", piece)
        yield Act.ECHO, frame("content_block_stop", {"index": index})
        index += 1
    if not answer.tools:
        yield Act.ECHO, _begin(index, {"type": "text", "text": ""})
        yield Act.ECHO, frame("ping", {})
        for piece in answer.echo:
            yield Act.ECHO, _delta(index, "text", piece)
        for piece in answer.pieces:
            yield Act.PIECE, _delta(index, "text", piece)
        yield Act.ECHO, frame("content_block_stop", {"index": index})
    yield Act.FINISH, frame("message_delta", {"delta": _end(answer), "usage": _usage(answer, answer.completion_tokens)})
    if with_done:
        yield Act.DONE, frame("message_stop", {})
    if answer.row.done_after_stop:
        yield Act.DONE, b"event: data\ndata: [DONE]"


def frame(name: str, body: Json) -> bytes:
    """Write an event; its name stands in its data, too."""
    return b"event: %b\ndata: %b" % (name.encode(), orjson.dumps({"type": name, **body}))


def _begin(index: int, block: Json) -> bytes:
    return frame("content_block_start", {"index": index, "content_block": block})


def _delta(index: int, kind: str, piece: str) -> bytes:
    name = "partial_json" if kind == "input_json" else kind
    return frame("content_block_delta", {"index": index, "delta": {"type": f"{kind}_delta", name: piece}})


def _calls(answer: Answer) -> list[Json]:
    calls = wire.tool_calls_of(answer) if answer.tools else []
    return [{**call, "id": str(call["id"]).replace("call_", "toolu_")} for call in calls]


def _head(answer: Answer) -> Json:
    return {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _end(answer: Answer) -> Json:
    reason = _REASONS.get(answer.finish_reason, answer.finish_reason)
    if answer.stopped_by is not None:
        reason = "stop_sequence"
    return {"stop_reason": reason, "stop_sequence": answer.stopped_by}


def _usage(answer: Answer, made: int) -> Json:
    usage: Json = {
        "input_tokens": answer.prompt_tokens - answer.cached_tokens - answer.written_tokens,
        "cache_creation_input_tokens": answer.written_tokens,
        "cache_read_input_tokens": answer.cached_tokens,
        "output_tokens": made,
    }
    return usage | {"output_tokens_details": {"thinking_tokens": len(answer.reasoning)}} if answer.reasoning else usage
