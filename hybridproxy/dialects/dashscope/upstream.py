"""What an upstream that speaks DashScope's own protocol is sent, and what it says.

Sources as in the other files of the dialect: its documentation and recordings of it. It is always asked for messages,
and for increments where it streams, which thinking needs anyway. Each event has the usage so far, so that a stream that
breaks is counted by what it used. It tells neither the model nor a time.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from hybridproxy.dialects.dashscope.content import Body, has_media, native_messages
from hybridproxy.dialects.dashscope.request import MULTIMODAL, TEXT, form_of, streaming
from hybridproxy.dialects.sse import fields_of
from hybridproxy.dialects.translator import Outgoing, Reading, UntranslatableError
from hybridproxy.families.dashscope import is_multimodal
from hybridproxy.model.call import Operation
from hybridproxy.model.usage import count_in, count_of
from hybridproxy.providers.dashscope import PARAMETERS

OK: Final = 200
_USUAL: Final = b"event:result\n:HTTP_STATUS/200"

_GARBLED: Final = b"data: {\n\n"
"""A chunk that nobody can read either."""

_ELSEWHERE: Final = frozenset({"model", "messages", "stream", "stream_options"})


def request(body: Body, stream: bool) -> Outgoing:  # noqa: FBT001 - one signature for all dialects
    """Return what the service is sent for a chat completion, or for embeddings."""
    if "messages" not in body:
        return _embedding(body)
    model, messages = body["model"], body["messages"]
    multimodal = bool(is_multimodal(model)) or has_media(messages)
    dropped = [name for name in body if name not in PARAMETERS and name not in _ELSEWHERE]
    parameters = {name: given for name, given in body.items() if name in PARAMETERS and given is not None}
    parameters["result_format"] = "message"
    if stream:
        parameters["incremental_output"] = True
    made = {
        "model": model,
        "input": {"messages": native_messages(messages, dropped, multimodal=multimodal)},
        "parameters": parameters,
    }
    return Outgoing(made, streaming(stream=stream), tuple(dropped), MULTIMODAL if multimodal else TEXT)


def _embedding(body: Body) -> Outgoing:
    given = body.get("input")
    made: Body = {"model": body["model"], "input": {"texts": given if type(given) is list else [given]}}
    if body.get("dimensions") is not None:
        made["parameters"] = {"dimension": body["dimensions"]}
    return Outgoing(made, dropped=tuple(name for name in body if name not in {"model", "input", "dimensions"}))


# ---- whole answers ---------------------------------------------------------------------------------------------------


def answer(operation: Operation, body: Body) -> Body:
    """Return a whole answer in OpenAI's form; an error as it came.

    Raises:
        UntranslatableError: it is neither.

    """
    output = body.get("output")
    if type(output) is not dict:
        if type(body.get("code")) is str or type(body.get("message")) is str:
            return body
        raise UntranslatableError
    if operation is Operation.EMBEDDING:
        return _embeddings(output, body.get("usage"))
    choices = _choices(output)
    if not choices:
        raise UntranslatableError
    made = [_whole(choice, n) for n, choice in enumerate(choices)]
    return {
        "id": _id(body), "object": "chat.completion", "choices": made, "usage": _usage(body.get("usage")),
    }  # fmt: skip


def _whole(choice: Body, n: int) -> Body:
    message = _message(choice)
    finish = _finish(choice) or "stop"
    if finish == "stop" and "tool_calls" in message:
        finish = "tool_calls"  # once it said "stop" there, too
    return {"index": _index(choice, n), "message": message, **_beside(choice, finish)}


def _id(body: Mapping[str, Any]) -> str | None:
    given = body.get("request_id")
    return given if type(given) is str else None


def _embeddings(output: Body, usage: Any) -> Body:
    vectors = output.get("embeddings")
    if type(vectors) is not list or not all(type(vector) is dict for vector in vectors):
        raise UntranslatableError
    data = [
        {"object": "embedding", "index": count_of(vector.get("text_index")), "embedding": vector.get("embedding")}
        for vector in vectors
    ]
    total = count_in(usage, "total_tokens")
    return {"object": "list", "data": data, "usage": {"prompt_tokens": total, "total_tokens": total}}


def _choices(output: Mapping[str, Any]) -> list[Body] | None:
    """Return the choices of an output, of which one text is one; None for what nobody can read."""
    choices = output.get("choices")
    if type(choices) is list:
        for choice in choices:
            if type(choice) is not dict:
                return None
        return choices
    text = output.get("text")
    if type(text) is not str:
        return []
    return [{"message": {"content": text}, "finish_reason": output.get("finish_reason")}]


def _index(choice: Mapping[str, Any], otherwise: int) -> int:
    index = choice.get("index")
    return index if type(index) is int else otherwise


def _message(choice: Mapping[str, Any]) -> Body:
    """Return a choice's message, whole or as the increment that it is."""
    message = choice.get("message")
    said: Mapping[str, Any] = message if type(message) is dict else {}
    content = said.get("content")
    if type(content) is list:
        content = "".join(part["text"] for part in content if type(part) is dict and type(part.get("text")) is str)
    made: Body = {"role": "assistant", "content": content if type(content) is str else ""}
    thought, calls = said.get("reasoning_content"), said.get("tool_calls")
    if type(thought) is str and thought:
        made["reasoning_content"] = thought
    if type(calls) is list and calls:
        made["tool_calls"] = [_call(n, call) for n, call in enumerate(calls) if type(call) is dict]
    return made


def _call(n: int, call: Mapping[str, Any]) -> Body:
    """Return a call of a tool, or a piece of one; those after the first have an empty id, and no name."""
    function = call.get("function")
    given: Mapping[str, Any] = function if type(function) is dict else {}
    made: Body = {"index": _index(call, n)}
    if call.get("id"):
        made["id"], made["type"] = call["id"], "function"
    made["function"] = {name: given[name] for name in ("name", "arguments") if type(given.get(name)) is str}
    return made


def _finish(choice: Mapping[str, Any]) -> str | None:
    """Return a choice's finish reason, None where it has none yet."""
    finish = choice.get("finish_reason")
    return finish if type(finish) is str and finish not in {"", "null"} else None


def _beside(choice: Mapping[str, Any], finish: str | None) -> Body:
    logprobs = choice.get("logprobs")
    return {"finish_reason": finish, **({"logprobs": logprobs} if type(logprobs) is dict else {})}


def _usage(usage: Any) -> Body:
    given: Mapping[str, Any] = usage if type(usage) is dict else {}
    spent, made = count_of(given.get("input_tokens")), count_of(given.get("output_tokens"))
    told: Body = {"prompt_tokens": spent, "completion_tokens": made, "total_tokens": spent + made}
    prompt, completion = given.get("prompt_tokens_details"), given.get("output_tokens_details")
    if type(prompt) is dict:
        told["prompt_tokens_details"] = {"cached_tokens": count_of(prompt.get("cached_tokens"))}
        if written := count_of(prompt.get("cache_creation_input_tokens")):
            told["prompt_tokens_details"]["cache_write_tokens"] = written
    if type(completion) is dict:
        told["completion_tokens_details"] = {"reasoning_tokens": count_of(completion.get("reasoning_tokens"))}
    return told


# ---- streams ---------------------------------------------------------------------------------------------------------


class DashScopeDecoder:
    """Reads one stream."""

    __slots__ = ("_asked", "_calling", "_cumulative", "_head", "_open", "_said")

    def __init__(self, reading: Reading) -> None:
        """Begin; only a caller in its own words may have asked for events that repeat the whole text."""
        self._head: Body = {"object": "chat.completion.chunk", "created": reading.created, "model": reading.model}
        self._cumulative = reading.native is not None and form_of(reading.native)[1]
        self._asked = 1 if reading.native is None else reading.native.choices
        self._said: dict[int, tuple[int, int]] = {}
        self._open: set[int] = set()
        self._calling: set[int] = set()

    def feed(self, event: bytes) -> Sequence[bytes]:
        """Return the chunks that an event says."""
        head, _, data = event.rpartition(b"\ndata:")
        if head.endswith(_USUAL) and head.count(b"\n") == 2:  # nearly all are: a number, a name, a status, data
            try:
                body = orjson.loads(data)
            except orjson.JSONDecodeError:
                body = None
            if type(body) is dict:
                return self._read(body, error=False, status=OK)
        fields = fields_of(event)
        if fields is None:
            return (event,)
        try:
            bodies = [orjson.loads(fields.data)]
        except orjson.JSONDecodeError:
            bodies = _lines(fields.data)  # some of its gateways leave out the empty lines between events
        if not all(type(body) is dict for body in bodies):
            return (_GARBLED,)
        *before, last = bodies
        chunks = [chunk for body in before for chunk in self._read(body, error=False, status=OK)]
        return chunks + self._read(last, error=fields.name == b"error", status=fields.status)

    def _read(self, body: Body, *, error: bool, status: int) -> list[bytes]:
        output = body.get("output")
        if error or status >= 400 or type(output) is not dict:
            return [_chunk({"error": _error(body, status)})]
        found = _choices(output)
        if found is None:
            return [_GARBLED]
        usage = _usage(body["usage"]) if type(body.get("usage")) is dict else None
        if usage is not None and len(found) == 1 and not self._cumulative:
            usual = self._increment(found[0], usage, body)
            if usual:
                return [usual]
        if type(output.get("choices")) is not list and found and _finish(found[0]):  # one text stands for them all
            found += [{"index": n, "finish_reason": _finish(found[0])} for n in range(1, self._asked)]
        choices = [self._choice(choice, n) for n, choice in enumerate(found)]
        chunk = {"id": _id(body), **self._head, "choices": choices}
        if usage is None:
            return [_chunk(chunk)]
        if not choices or self._open:
            return [_chunk({**chunk, "usage": usage})]
        return [_chunk({**chunk, "usage": usage}), _chunk({**chunk, "choices": [], "usage": usage})]

    def _increment(self, choice: Body, usage: Body, body: Body) -> bytes:
        """Return the chunk of some text, thought or arguments and nothing else, as nearly all are; else nothing."""
        index, message = choice.get("index", 0), choice.get("message")
        if choice.get("finish_reason") != "null" or choice.get("logprobs") or type(message) is not dict:
            return b""
        said, thought, calls = map(message.get, ("content", "reasoning_content", "tool_calls"))
        if type(index) is not int or type(said) is not str or (thought and type(thought) is not str):
            return b""
        delta: Body = {"role": "assistant", "content": said}
        if thought:
            delta["reasoning_content"] = thought
        if calls:
            if type(calls) is not list or type(calls[0]) is not dict or len(calls) > 1 or calls[0].get("id"):
                return b""
            delta["tool_calls"] = [_call(0, calls[0])]
            self._calling.add(index)
        self._open.add(index)
        made = {"index": index, "delta": delta, "finish_reason": None}
        return _chunk({"id": _id(body), **self._head, "choices": [made], "usage": usage})

    def _choice(self, choice: Body, n: int) -> Body:
        index, finish = _index(choice, n), _finish(choice)
        delta = _message(choice)
        if self._cumulative:
            self._cut(index, delta)
        if "tool_calls" in delta:
            self._calling.add(index)
        if finish is None:
            self._open.add(index)
        else:
            self._open.discard(index)
            finish = "tool_calls" if index in self._calling and finish == "stop" else finish
        return {"index": index, "delta": delta, **_beside(choice, finish)}

    def _cut(self, index: int, delta: Body) -> None:
        """Leave of a text what is new in it."""
        text, thought = delta["content"], delta.get("reasoning_content", "")
        had, thought_had = self._said.get(index, (0, 0))
        self._said[index] = (max(had, len(text)), max(thought_had, len(thought)))
        delta["content"] = text[had:]
        if thought:
            delta["reasoning_content"] = thought[thought_had:]


def _lines(data: bytes) -> list[Any]:
    """Return what the lines of an event's data are, None for one that is no JSON."""
    found: list[Any] = []
    for line in data.split(b"\n"):
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            return [None]
    return found


def _error(body: Body, status: int) -> Body:
    code, message = body.get("code"), body.get("message")
    made: Body = {"message": message if type(message) is str else "", "code": code if type(code) is str else None}
    return {**made, "http_status": status} if status >= 400 else made


def _chunk(body: Body) -> bytes:
    try:
        return b"data: " + orjson.dumps(body) + b"\n\n"
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        return _GARBLED
