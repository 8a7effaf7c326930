"""What an upstream that speaks the Responses API says -> the form of a chat completion.

Such an upstream is only spoken to in a caller's own words, and its bytes go back as they came. So this is read for what
everything between both ends has to know: output, calls, usage, how it finished, errors. Source: `openai` 3.54,
`types/responses/response_*_event.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from hybridproxy.dialects.responses.object import logprobs_of
from hybridproxy.dialects.sse import fields_of
from hybridproxy.dialects.translator import Body, Reading, UntranslatableError
from hybridproxy.model.call import Operation
from hybridproxy.model.usage import cost_in, count_in

DONE: Final = b"data: [DONE]\n\n"


def answer(_operation: Operation, body: Body) -> Body:
    """Return a whole answer as a chat completion, an error as it came.

    Raises:
        UntranslatableError: it is neither.

    """
    if body.get("error"):
        return body
    if body.get("object") != "response" or body.get("status") not in ("completed", "incomplete"):
        raise UntranslatableError
    message = _message(body.get("output"))
    return {
        "id": body.get("id"),
        "object": "chat.completion",
        "created": _whole(body.get("created_at")),
        "model": body.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": _finish(body, called="tool_calls" in message)}],
        "usage": _usage(body.get("usage")),
    }


def _whole(given: Any) -> int:
    return int(given) if type(given) is int or (type(given) is float and abs(given) < 2**53) else 0


def _message(output: Any) -> dict[str, Any]:
    """Return what the items of an answer say together."""
    said: dict[str, list[str]] = {"content": [], "refusal": [], "reasoning_content": []}
    calls: list[dict[str, Any]] = []
    for item in output if isinstance(output, list) else ():
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "message":
            for part in _objects(item.get("content")):
                _say(said["content"], part.get("text"))
                _say(said["refusal"], part.get("refusal"))
        elif kind == "reasoning":
            for part in _objects(item.get("content")) or _objects(item.get("summary")):
                _say(said["reasoning_content"], part.get("text"))
        elif kind == "function_call":
            calls.append(_call(item, len(calls), item.get("arguments")))
    message: dict[str, Any] = {"role": "assistant", "content": "".join(said.pop("content"))}
    message.update((name, "".join(texts)) for name, texts in said.items() if texts)
    return {**message, "tool_calls": calls} if calls else message


def _objects(given: Any) -> list[dict[str, Any]]:
    return [part for part in given if isinstance(part, dict)] if isinstance(given, list) else []


def _say(texts: list[str], text: Any) -> None:
    if isinstance(text, str):
        texts.append(text)


def _call(item: Mapping[str, Any], index: int, arguments: Any) -> dict[str, Any]:
    id_, name = item.get("call_id"), item.get("name")
    return {
        "index": index,
        "id": id_ if isinstance(id_, str) else "",
        "type": "function",
        "function": {
            "name": name if isinstance(name, str) else "",
            "arguments": arguments if isinstance(arguments, str) else "",
        },
    }


def _finish(response: Mapping[str, Any], *, called: bool) -> str:
    details = response.get("incomplete_details")
    if isinstance(details, dict) and response.get("status") != "completed":
        return "content_filter" if details.get("reason") == "content_filter" else "length"
    return "tool_calls" if called else "stop"


def _usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    read, spent = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    return {
        "prompt_tokens": count_in(usage, "input_tokens"),
        "completion_tokens": count_in(usage, "output_tokens"),
        "total_tokens": count_in(usage, "total_tokens"),
        "prompt_tokens_details": {name: count_in(read, name) for name in ("cached_tokens", "cache_write_tokens")},
        "completion_tokens_details": {"reasoning_tokens": count_in(spent, "reasoning_tokens")},
        **cost_in(usage),
    }


# ---- streams ---------------------------------------------------------------------------------------------------------


class ResponsesDecoder:
    """Reads one stream; nothing in it makes this raise.

    What has no deltas, since some servers send none, is told from the event that says it whole.
    """

    __slots__ = ("_calls", "_head", "_model", "_said")

    def __init__(self, reading: Reading) -> None:
        """Begin with the names of the call, until the stream gives its own."""
        self._model = reading.model
        self._head = self._headed({"created_at": reading.created})
        self._calls: dict[Any, int] = {}
        self._said: set[str] = set()

    def feed(self, event: bytes) -> Sequence[bytes]:
        """Return the chunks that an event says."""
        fields = fields_of(event)
        if fields is None:
            return (event,)
        try:
            body = orjson.loads(fields.data)
        except orjson.JSONDecodeError:
            body = None
            if fields.data.strip() == b"[DONE]":  # some send it though the Responses API has none
                return (DONE,)
        if type(body) is not dict:
            return (b"data: " + fields.data.replace(b"\n", b"\ndata: ") + b"\n\n",)
        kind = body.get("type")
        if fields.name == b"error":  # whatever its data calls itself: the SDK goes by the name
            return self._error(body)
        read = self._READ.get(kind if type(kind) is str else fields.name.decode("utf-8", "replace"))
        if read is not None:
            return read(self, body)
        return (_chunk_of_error(body["error"]),) if body.get("error") else ()

    def _headed(self, response: Mapping[str, Any]) -> bytes:
        """Return what all chunks begin with."""
        id_, model = response.get("id"), response.get("model")
        head = {
            "id": id_ if type(id_) is str else "",
            "object": "chat.completion.chunk",
            "created": _whole(response.get("created_at")),
            "model": model if type(model) is str else self._model,
        }
        return b"data: " + orjson.dumps(head)[:-1]

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None, logprobs: Any = None) -> bytes:
        choice: Body = {"index": 0, "delta": delta, "finish_reason": finish}
        if logprobs:
            choice["logprobs"] = {"content": logprobs}
        return b'%b,"choices":[%b]}\n\n' % (self._head, orjson.dumps(choice))

    def _created(self, body: Body) -> Sequence[bytes]:
        response = body.get("response")
        self._head = self._headed(response if type(response) is dict else {})
        return (self._chunk({"role": "assistant", "content": ""}),)

    def _text(self, body: Body) -> Sequence[bytes]:
        text = body.get("delta")
        if type(text) is not str:
            return ()
        self._said.add("content")
        probable = body.get("logprobs")
        if probable:
            return (self._chunk({"content": text}, logprobs=logprobs_of({"logprobs": {"content": probable}})),)
        return (
            b'%b,"choices":[{"index":0,"delta":{"content":%b},"finish_reason":null}]}\n\n'
            % (self._head, orjson.dumps(text)),
        )

    def _more(self, name: str, body: Body) -> Sequence[bytes]:
        text = body.get("delta")
        if type(text) is not str:
            return ()
        self._said.add(name)
        return (self._chunk({name: text}),)

    def _refusal(self, body: Body) -> Sequence[bytes]:
        return self._more("refusal", body)

    def _thought(self, body: Body) -> Sequence[bytes]:
        return self._more("reasoning_content", body)

    def _added(self, body: Body) -> Sequence[bytes]:
        item = body.get("item")
        if type(item) is not dict:
            return ()
        kind = item.get("type")
        if kind == "function_call":
            return (self._called(body, item, ""),)
        if kind in ("message", "reasoning"):
            return ()
        # a tool of the upstream's own works by now; it is output, and nothing that a chat completion has
        return (self._chunk({"reasoning_details": [{"type": "tool"}]}),)

    def _called(self, body: Body, item: Mapping[str, Any], arguments: Any) -> bytes:
        index = self._calls.setdefault(_index(body), len(self._calls))
        return self._chunk({"tool_calls": [_call(item, index, arguments)]})

    def _arguments(self, body: Body) -> Sequence[bytes]:
        index, arguments = self._calls.get(_index(body)), body.get("delta")
        if index is None or type(arguments) is not str:
            return ()
        self._said.add(f"call {index}")
        return (self._chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}),)

    def _done(self, body: Body) -> Sequence[bytes]:
        """Take an item that is done: a call whose arguments did not come in deltas is told now."""
        item = body.get("item")
        if type(item) is not dict or item.get("type") != "function_call":
            return ()
        index, arguments = self._calls.get(_index(body)), item.get("arguments")
        if index is None:
            self._said.add(f"call {len(self._calls)}")
            return (self._called(body, item, arguments),)
        if f"call {index}" in self._said or type(arguments) is not str or not arguments:
            return ()
        self._said.add(f"call {index}")
        return (self._chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}),)

    def _ended(self, body: Body) -> Sequence[bytes]:
        given = body.get("response")
        response = given if type(given) is dict else {}
        message = _message(response.get("output"))
        left = {name: text for name, text in message.items() if name not in {"role", *self._said} and text}
        if self._calls:
            left.pop("tool_calls", None)
        finish = _finish(
            {**response, "status": str(body.get("type")).removeprefix("response.")},
            called=bool(self._calls) or "tool_calls" in message,
        )
        chunks = [self._chunk(left, finish)]
        usage = _usage(response.get("usage"))
        if usage is not None:
            chunks.append(b'%b,"choices":[],"usage":%b}\n\n' % (self._head, orjson.dumps(usage)))
        return (*chunks, DONE)

    def _failed(self, body: Body) -> Sequence[bytes]:
        given = body.get("response")
        response = given if type(given) is dict else {}
        return (_chunk_of_error(response.get("error") or "the response failed"),)

    def _error(self, body: Body) -> Sequence[bytes]:
        return (_chunk_of_error(body.get("error") or body),)

    _READ: Final[dict[str, Callable[["ResponsesDecoder", Body], Sequence[bytes]]]] = {
        "response.created": _created,
        "response.output_text.delta": _text,
        "response.refusal.delta": _refusal,
        "response.reasoning_text.delta": _thought,
        "response.reasoning_summary_text.delta": _thought,
        "response.output_item.added": _added,
        "response.output_item.done": _done,
        "response.function_call_arguments.delta": _arguments,
        "response.completed": _ended,
        "response.incomplete": _ended,
        "response.failed": _failed,
        "error": _error,
    }


def _chunk_of_error(error: Any) -> bytes:
    """Return a chunk with an error: what of it is a word or a number, and not how it is nested."""
    told: Body = _scalars(error) if isinstance(error, dict) else {"message": str(error)}
    more = error.get("metadata") if isinstance(error, dict) else None
    if isinstance(more, dict):
        told["metadata"] = _scalars(more)  # where OpenRouter says what it is
    return b"data: " + orjson.dumps({"error": told or {"message": ""}}) + b"\n\n"


def _scalars(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found for name, found in given.items() if isinstance(found, str | int | float)}


def _index(body: Body) -> int:
    found = body.get("output_index")
    return found if type(found) is int else 0
