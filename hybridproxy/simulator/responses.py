"""OpenAI's Responses API as servers speak it: requests, whole answers, streams, errors within them.

Source: the types of the Python SDK `openai` 3.54 (`types/responses/*`) and its reference of the streaming events; what
a request that is wrong gets is in the words of OpenAI's own server. DashScope: docs.qwencloud.com openai-responses
(2026); OpenRouter sends `[DONE]` here too, and keeps nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NoReturn, cast

import orjson

from hybridproxy.simulator import wire
from hybridproxy.simulator.answers import Answer, RequestError
from hybridproxy.simulator.rows import ErrorRow, Json, Provider
from hybridproxy.simulator.wire import Act, Event

CALL: Final = "responses"
MAX_KEPT: Final = 1_000
"""Responses that are remembered, the newest."""

_PARTS: Final = ("input_text", "input_image", "input_file", "input_audio", "output_text", "refusal")
_ECHOED: Final = ("instructions", "metadata", "reasoning", "store", "temperature", "text", "tool_choice", "tools")
_STATED: Final[Json] = {
    "error": None,
    "incomplete_details": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "store": True,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
}
_SEARCHES: Final = ("in_progress", "searching", "completed")


class Kept:
    """The conversations of one server's responses, by the response's id."""

    def __init__(self) -> None:
        """Begin with none."""
        self._messages: dict[str, list[Json]] = {}

    def messages(self, id_: str) -> list[Json]:
        """Return what was said up to a response.

        Raises:
            RequestError: there is none of that id.
        """
        if id_ not in self._messages:
            message = f"Previous response with id '{id_}' not found."
            _refuse(message, "previous_response_id", "previous_response_not_found")
        return self._messages[id_]

    def keep(self, id_: str, messages: list[Json]) -> None:
        """Remember a response."""
        self._messages[id_] = messages
        if len(self._messages) > MAX_KEPT:
            del self._messages[next(iter(self._messages))]


def _refuse(message: str, param: str, code: str | None = None) -> NoReturn:
    raise RequestError(message, ErrorRow(400, message, "invalid_request_error", code, more={"param": param}))


# ---- requests --------------------------------------------------------------------------------------------------------


def chat_of(row: Provider, body: Json, kept: Kept) -> Json:
    """Write a request as the chat that a model gets to see.

    Raises:
        RequestError: it is malformed, or refers to what is not kept here.
    """
    messages: list[Json] = []
    before = body.get("previous_response_id")
    if isinstance(before, str):
        if not row.keeps_responses:
            _refuse("Unsupported parameter: 'previous_response_id'.", "previous_response_id", "unsupported_parameter")
        messages += kept.messages(before)
    if isinstance(body.get("instructions"), str):
        messages.insert(0, {"role": "system", "content": body["instructions"]})
    given = body["input"]
    items = given if isinstance(given, list) else [{"role": "user", "content": given}]
    for number, item in enumerate(items):
        _read_item(item, f"input[{number}]", messages)
    chat: Json = {"model": body["model"], "messages": messages, "stream": body.get("stream")}
    chat |= {name: body[name] for name in ("parallel_tool_calls", "top_logprobs") if name in body}
    include = body.get("include")
    chat["logprobs"] = isinstance(include, list) and "message.output_text.logprobs" in include
    if "max_output_tokens" in body:
        chat["max_completion_tokens"] = body["max_output_tokens"]
    tools, choice, text = body.get("tools"), body.get("tool_choice"), body.get("text")
    functions = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    chat["tools"] = [{"type": "function", "function": tool} for tool in functions if tool.get("type") == "function"]
    named = isinstance(choice, dict) and choice.get("type") == "function"
    chat["tool_choice"] = {"type": "function", "function": choice} if named else choice
    wanted = text.get("format") if isinstance(text, dict) else None
    if isinstance(wanted, dict):
        chat["response_format"] = {"type": wanted.get("type"), "json_schema": wanted}
    return chat


def _read_item(item: object, where: str, messages: list[Json]) -> None:
    if not isinstance(item, dict):
        _refuse(f"Invalid type for '{where}': expected an object.", where, "invalid_type")
    match item.get("type", "message"):
        case "message":
            messages.append({"role": item.get("role"), "content": _content(item.get("content"), f"{where}.content")})
        case "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        case "function_call_output":
            said = _content(item.get("output"), f"{where}.output")
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": said})
        case "reasoning" | "web_search_call":
            pass
        case "item_reference":
            message = f"Item with id '{item.get('id')}' not found."
            raise RequestError(message, ErrorRow(404, message, "invalid_request_error", more={"param": "input"}))
        case other:
            _refuse(f"Invalid value: '{other}'.", f"{where}.type", "invalid_value")


def _content(content: object, where: str) -> object:
    if isinstance(content, str):
        return content
    parts: list[Json] = []
    for number, part in enumerate(cast("list[Json]", content) if isinstance(content, list) else [{}]):
        kind = part.get("type")
        if kind not in _PARTS:
            message = f"Invalid value: '{kind}'. Supported values are: {', '.join(_PARTS)}."
            _refuse(message, f"{where}[{number}].type", "invalid_value")
        text = part.get("text", part.get("refusal"))
        parts.append({"type": "image"} if kind == "input_image" else {"type": "text", "text": text})
    return parts


def echoed(body: Json) -> Json:
    """Return what the response repeats of its request."""
    given = {name: body[name] for name in _ECHOED if body.get(name) is not None}
    tools = body.get("tools")
    searches = isinstance(tools, list) and any(isinstance(t, dict) and t.get("type") == "web_search" for t in tools)
    more: Json = {"_searches": True} if searches else {}
    return _STATED | given | {"previous_response_id": body.get("previous_response_id")} | more


def said(answer: Answer) -> Json:
    """Return the message of a chat that an answer is, for whoever goes on from it."""
    calls = _calls(answer)
    return {"role": "assistant", "content": None if calls else "".join(answer.pieces), "tool_calls": calls}


def _calls(answer: Answer) -> list[Json]:
    return wire.tool_calls_of(answer) if answer.tools else []


# ---- answers ---------------------------------------------------------------------------------------------------------


def usage_of(answer: Answer) -> Json:
    """Count an answer's tokens."""
    usage: Json = {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens, "cache_write_tokens": answer.written_tokens},
        "output_tokens": answer.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": len(answer.reasoning)},
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }
    if answer.row.names_provider:
        usage["cost"] = answer.cost / 1e9
    return usage


def whole_answer(answer: Answer, *, with_usage: bool = True, finished: bool = True) -> Json:
    """Write the body of a call that does not stream."""
    status = ("incomplete" if answer.finish_reason in _WHY else "completed") if finished else "in_progress"
    return _response(answer, status, _output(answer), with_usage=with_usage)


_WHY: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


def _response(answer: Answer, status: str, output: list[Json], *, with_usage: bool = False) -> Json:
    body: Json = {"id": answer.id, "object": "response", "created_at": float(answer.created), "status": status}
    body |= {name: value for name, value in (answer.echoed or {}).items() if not name.startswith("_")}
    body |= {"model": answer.model, "output": output, "usage": usage_of(answer) if with_usage else None}
    if status == "incomplete":
        body["incomplete_details"] = {"reason": _WHY[answer.finish_reason]}
    return body


def _output(answer: Answer) -> list[Json]:
    """Write the items, each as it is when it is done."""
    status = "incomplete" if answer.finish_reason in _WHY else "completed"
    items: list[Json] = []
    if answer.reasoning:
        text, item = "".join(answer.reasoning), _item(answer, len(items), "rs", "reasoning", status="completed")
        if answer.row.summarises:
            items.append(item | {"summary": [{"type": "summary_text", "text": text}]})
        else:
            items.append(item | {"summary": [], "content": [{"type": "reasoning_text", "text": text}]})
    if (answer.echoed or {}).get("_searches"):
        action = {"type": "search", "query": "words"}
        items.append(_item(answer, len(items), "ws", "web_search_call", status="completed") | {"action": action})
    if not answer.tools:
        item = _item(answer, len(items), "msg", "message", status=status, role="assistant")
        items.append(item | {"content": [_text_part(answer, "".join(answer.pieces), answer.pieces)]})
    for call in _calls(answer):
        function = cast("Json", call["function"])
        items.append(_item(answer, len(items), "fc", "function_call", status=status, call_id=call["id"], **function))
    return items


def _item(answer: Answer, index: int, prefix: str, kind: str, **more: object) -> Json:
    return {"id": f"{prefix}_{answer.id.removeprefix('resp_')}_{index}", "type": kind, **more}


def _text_part(answer: Answer, text: str, pieces: tuple[str, ...]) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": _logprobs(answer, pieces)}


def _logprobs(answer: Answer, pieces: tuple[str, ...]) -> list[object]:
    made = wire.logprobs_of(answer, pieces).get("logprobs")
    return cast("list[object]", made["content"]) if isinstance(made, dict) else []


# ---- streams ---------------------------------------------------------------------------------------------------------


class _Numbers:
    """Writes the data of events, with their numbers."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, kind: str, **fields: object) -> bytes:
        data = orjson.dumps({"type": kind, "sequence_number": self._next, **fields})
        self._next += 1
        return data


def events(answer: Answer, *, with_usage: bool, with_done: bool) -> Iterator[Event]:
    """Write the events of a stream in their order, without anything going wrong."""
    event = _Numbers()
    for kind in ("created", "in_progress"):
        yield Act.ROLE, event(f"response.{kind}", response=_response(answer, "in_progress", []))
    output = _output(answer)
    first = iter([*(first for _, first in answer.tools[1:]), len(answer.pieces)])
    start = 0
    for index, item in enumerate(output):
        match item["type"]:
            case "reasoning":
                yield from _thought(answer, item, index, event)
            case "web_search_call":
                yield _begun(item, index, event)
                for kind in _SEARCHES:
                    yield Act.ECHO, event(f"response.web_search_call.{kind}", output_index=index, item_id=item["id"])
            case "message":
                yield from _text(answer, item, index, event)
            case _:
                end = next(first)
                yield from _call(answer.pieces[start:end], item, index, event)
                start = end
        yield Act.ECHO, event("response.output_item.done", output_index=index, item=item)
    status = "incomplete" if answer.finish_reason in _WHY else "completed"
    yield Act.FINISH, event(f"response.{status}", response=_response(answer, status, output, with_usage=with_usage))
    if with_done and answer.row.names_provider:
        yield Act.DONE, b"[DONE]"


def _begun(item: Json, index: int, event: _Numbers, **empty: object) -> Event:
    begun = item | {"status": "in_progress"} | empty
    return Act.ECHO, event("response.output_item.added", output_index=index, item=begun)


def _thought(answer: Answer, item: Json, index: int, event: _Numbers) -> Iterator[Event]:
    summarises = answer.row.summarises
    at: Json = {"item_id": item["id"], "output_index": index, "summary_index" if summarises else "content_index": 0}
    part, kind = ("reasoning_summary_part", "summary_text") if summarises else ("content_part", "reasoning_text")
    name = "reasoning_summary_text" if summarises else "reasoning_text"
    yield _begun({key: value for key, value in item.items() if key != "content"}, index, event, summary=[])
    yield Act.ECHO, event(f"response.{part}.added", **at, part={"type": kind, "text": ""})
    for thought in answer.reasoning:
        yield Act.PIECE, event(f"response.{name}.delta", **at, delta=thought)
    text = "".join(answer.reasoning)
    yield Act.ECHO, event(f"response.{name}.done", **at, text=text)
    yield Act.ECHO, event(f"response.{part}.done", **at, part={"type": kind, "text": text})


def _text(answer: Answer, item: Json, index: int, event: _Numbers) -> Iterator[Event]:
    at: Json = {"item_id": item["id"], "output_index": index, "content_index": 0}
    yield _begun(item, index, event, content=[])
    yield Act.ECHO, event("response.content_part.added", **at, part=_text_part(answer, "", ()))
    for piece in answer.pieces:
        yield Act.PIECE, event("response.output_text.delta", **at, delta=piece, logprobs=_logprobs(answer, (piece,)))
    text, (part,) = "".join(answer.pieces), cast("list[Json]", item["content"])
    yield Act.ECHO, event("response.output_text.done", **at, text=text, logprobs=part["logprobs"])
    yield Act.ECHO, event("response.content_part.done", **at, part=part)


def _call(pieces: tuple[str, ...], item: Json, index: int, event: _Numbers) -> Iterator[Event]:
    at: Json = {"item_id": item["id"], "output_index": index}
    yield _begun(item, index, event, arguments="")
    for piece in pieces:
        yield Act.PIECE, event("response.function_call_arguments.delta", **at, delta=piece)
    yield Act.ECHO, event("response.function_call_arguments.done", **at, arguments=item["arguments"])


def error_event(answer: Answer, row: Provider, error: ErrorRow) -> bytes:
    """Write the data of an error within a stream: an event of its own, or a response that failed."""
    told: Mapping[str, object] = row.shape(error, answer.id)
    inner = told.get("error", told)
    if row.names_provider:
        failed = _response(answer, "failed", []) | {"error": {"code": "server_error", "message": error.message}}
        return orjson.dumps({"type": "response.failed", "sequence_number": 2, "response": failed})
    return orjson.dumps({"type": "error", "sequence_number": 2, "error": inner})


def name_of(data: bytes) -> bytes:
    """Return the name that an event's line has, b"" for what is no event of the API's."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        return b""
    return str(body["type"]).encode() if isinstance(body, dict) and "type" in body else b""
