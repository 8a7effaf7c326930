"""DashScope's own protocol: requests in `input` and `parameters`, events of four lines, one text or messages.

Imitated from recordings of the service (cnblogs/dashscope-sdk on GitHub, 2024 to 2026) and from its documentation
(docs.qwencloud.com chat/dashscope, error-messages). A request becomes one of OpenAI's form for whoever makes up the
answer; here it is written as the service writes it.
"""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Final, cast

import orjson

from hybridproxy.simulator import wire
from hybridproxy.simulator.answers import Answer, RequestError
from hybridproxy.simulator.row import EMBEDDING, MULTIMODAL, ErrorRow, Json, Native, Provider
from hybridproxy.simulator.wire import Act, Event

_SEES: Final = ("qwen3.5*", "qwen3.6*", "qwen3.7-plus*", "*-vl*", "qvq*", "*-omni*")
_READS: Final = ("qwen-plus*", "qwen-max*", "qwen-turbo*", "qwen-flash*", "qwen3-max*", "qwq*")
"""Models that stand behind one of the two paths only; of others nobody says which."""
_MESSAGES: Final = ("qwen3-max*", "qwen3-vl*", "qwq*", "qwen3-*b", "qwen3-*b-*")
"""Models whose answers are messages by themselves."""

_NOT_ASYNC: Final = ErrorRow(403, "current user api does not support asynchronous calls.", code="AccessDenied")
_KNOWN: Final = frozenset({"result_format", "incremental_output", "stream"})


def read(path: str, raw: bytes, header: Callable[[str], str | None]) -> tuple[str, bytes, Native]:
    """Return OpenAI's name of a call, its request in OpenAI's form, and how the answer is to be written.

    Raises:
        RequestError: the service would refuse it.
    """
    if (header("x-dashscope-async") or "").lower() == "enable":
        raise RequestError(_NOT_ASYNC.message, _NOT_ASYNC)
    body = _object(orjson_or_none(raw), "The body")
    given = _object(body.get("input"), "The field 'input'")
    parameters = _object(body.get("parameters") or {}, "The field 'parameters'")
    if path == EMBEDDING:
        asked: Json = {"model": body.get("model"), "input": given.get("texts")}
        if "dimension" in parameters:
            asked["dimensions"] = parameters["dimension"]
        return "embeddings", orjson.dumps(asked), Native()
    stream = (header("x-dashscope-sse") or "").lower() == "enable"
    model, sees = str(body.get("model")), path == MULTIMODAL
    if any(fnmatchcase(model, pattern) for pattern in (_READS if sees else _SEES)):
        raise RequestError("url error, please check url!")
    form = _form(model, parameters, sees=sees, stream=stream)
    messages = given.get("messages")
    if messages is None:
        messages = [{"role": "user", "content": given.get("prompt") or ""}]
    if not isinstance(messages, list):
        raise RequestError("The field 'input.messages' is not a list.")
    rest = {name: value for name, value in parameters.items() if name not in _KNOWN}
    asked = {
        **rest,
        "model": body.get("model"),
        "messages": [_message(message, sees=sees) for message in messages],
        "parallel_tool_calls": parameters.get("parallel_tool_calls", False),
        "stream": stream,
        "stream_options": {"include_usage": True},
    }
    return "chat/completions", orjson.dumps(asked), form


def orjson_or_none(raw: bytes) -> object:
    """Return the JSON that a body is, None where it is none."""
    try:
        return cast("object", orjson.loads(raw))
    except orjson.JSONDecodeError:
        return None


def _object(value: object, what: str) -> Json:
    if not isinstance(value, dict):
        message = f"{what} is not a JSON object."
        raise RequestError(message)
    return value


def _form(model: str, parameters: Json, *, sees: bool, stream: bool) -> Native:
    """Return how the answer is to be written; some wishes exclude each other."""
    usual = "message" if sees or any(fnmatchcase(model, pattern) for pattern in _MESSAGES) else "text"
    wanted = parameters.get("result_format", usual)
    if wanted not in {"text", "message"}:
        raise RequestError("Input should be 'text' or 'message': parameters.result_format")
    increments = parameters.get("incremental_output") is True
    thinks = parameters.get("enable_thinking") is True
    if wanted == "text" and (parameters.get("tools") or thinks):
        raise RequestError("The parameters.result_format must be 'message' with tools or enable_thinking.")
    if thinks and stream and not increments:
        raise RequestError("The incremental_output parameter must be true when enable_thinking is true.")
    return Native(text=wanted == "text" and not sees, increments=increments, sees=sees)


def _message(message: object, *, sees: bool) -> Json:
    made = dict(_object(message, "Each of 'input.messages'"))
    content = made.get("content")
    if sees and not isinstance(content, list):
        raise RequestError("Input should be a valid list: input.messages.content")
    if isinstance(content, list):
        made["content"] = [_part(part) for part in content]
    return made


def _part(part: object) -> Json:
    given = _object(part, "Each part of a content")
    if "image" in given:
        return {"type": "image_url", "image_url": {"url": given["image"]}}
    if not {"text", "audio", "video"} & given.keys():
        raise RequestError("Input should be text, image, audio or video: input.messages.content")
    return {"type": "text", **given}


# ---- answers ---------------------------------------------------------------------------------------------------------


def whole_answer(answer: Answer, *, with_usage: bool, finished: bool) -> Json:
    """Write the body of a call that does not stream."""
    form, text = _form_of(answer), "".join(answer.echo + answer.pieces)
    finish: str | None = answer.finish_reason if finished else None
    choices = []
    for index in range(answer.choices):
        said: Json = {"reasoning_content": "".join(answer.reasoning)} if answer.reasoning else {}
        if answer.tools:
            calls = wire.tool_calls_of(answer, index)
            said["tool_calls"] = [{"index": place, **call} for place, call in enumerate(calls)]
        message = _said(form, "" if answer.tools else text, said)
        logprobs = wire.logprobs_of(answer, answer.pieces)
        choices.append({"finish_reason": finish, "message": message, "index": index, **logprobs})
    output: Json = {"text": text, "finish_reason": finish} if form.text else {"choices": choices}
    body: Json = {"output": output, "request_id": answer.id}
    return body | {"usage": _usage(answer, answer.completion_tokens)} if with_usage else body


def embeddings(vectors: Json, request_id: str) -> Json:
    """Write vectors that were made in OpenAI's form."""
    data = cast("list[Json]", vectors["data"])
    found = [{"embedding": item["embedding"], "text_index": item["index"]} for item in data]
    total = cast("Json", vectors["usage"])["total_tokens"]
    return {"output": {"embeddings": found}, "usage": {"total_tokens": total}, "request_id": request_id}


def events(answer: Answer, *, with_usage: bool) -> Iterator[Event]:
    """Write the events of a stream in their order, without anything going wrong.

    The usage stands on each of them. There is no mark of the end but the finish reason.
    """
    form, count, made = _form_of(answer), 0, 0
    whole: dict[int, Json] = {}
    for act, index, delta in wire.deltas(answer):
        if act is Act.ROLE:
            continue
        count, made = count + 1, made + (act is Act.PIECE)
        choice: Json = {}
        if act is Act.PIECE and isinstance(piece := delta.get("content"), str) and not answer.tools:
            choice = wire.logprobs_of(answer, (piece,))
        said = _delta(delta) if form.increments else _so_far(whole.setdefault(index, {}), _delta(delta))
        message = _said(form, str(said.get("content") or ""), said)
        finish = answer.finish_reason if act is Act.FINISH else "null"
        output: Json = {"choices": [{"message": message, "index": index, "finish_reason": finish, **choice}]}
        if form.text:
            output = {"finish_reason": finish, "text": message["content"]}
        body: Json = {"output": output, "request_id": answer.id}
        if with_usage:
            body["usage"] = _usage(answer, made)
        yield act, frame(count, "result", 200, body)


def error_event(row: Provider, error: ErrorRow, request_id: str) -> bytes:
    """Write an error within a stream; recordings number it anew."""
    return frame(1, "error", error.status, wire.error_body(row, error, request_id))


def frame(number: int, name: str, status: int, body: Json) -> bytes:
    """Write an event: no space behind a colon, the status in a comment."""
    return b"id:%d\nevent:%b\n:HTTP_STATUS/%d\ndata:%b" % (number, name.encode(), status, orjson.dumps(body))


def _form_of(answer: Answer) -> Native:
    assert answer.native is not None  # noqa: S101 - `read` gave it
    return answer.native


def _said(form: Native, text: str, more: Json) -> Json:
    content: object = ([{"text": text}] if text else []) if form.sees else text
    return {**more, "content": content, "role": "assistant"}


def _delta(delta: Json) -> Json:
    """Return an increment; a piece of a call behind the first has an empty id and no name."""
    calls = delta.get("tool_calls")
    if isinstance(calls, list):
        return {"tool_calls": [{"id": "", "type": "function", **call} for call in calls]}
    return {name: text for name, text in delta.items() if text is not None}


def _so_far(before: Json, delta: Json) -> Json:
    """Add an increment to what was said, and return a copy of all of it."""
    for name, given in delta.items():
        if name == "tool_calls":
            _call_so_far(before, cast("list[Json]", given)[0])
        else:
            before[name] = str(before.get(name, "")) + str(given)
    return cast("Json", orjson.loads(orjson.dumps(before)))


def _call_so_far(before: Json, piece: Json) -> None:
    calls = cast("list[Json]", before.setdefault("tool_calls", []))
    place = cast("int", piece["index"])
    if place == len(calls):
        calls.append({**piece, "function": dict(cast("Json", piece["function"]))})
        return
    function = cast("Json", calls[place]["function"])
    function["arguments"] = str(function["arguments"]) + str(cast("Json", piece["function"])["arguments"])


def _usage(answer: Answer, made: int) -> Json:
    usage: Json = {
        "total_tokens": answer.prompt_tokens + made,
        "output_tokens": made,
        "input_tokens": answer.prompt_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, **wire.written_in(answer)},
    }
    if answer.reasoning:
        thought = min(made, answer.choices * len(answer.reasoning))
        usage["output_tokens_details"] = {"reasoning_tokens": thought}
    return usage
