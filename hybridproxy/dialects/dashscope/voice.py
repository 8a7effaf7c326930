"""What a caller in DashScope's own protocol hears: whole answers, the events of a stream, errors.

An event is four lines without a space behind any colon, which the service's SDK depends on, and a stream has no mark of
its end but a finish reason; before it the reason is the word "null". Unless the caller wants increments each event says
the whole text so far. Sources: recordings of the service (cnblogs/dashscope-sdk, 2024 to 2026), and tries with the
`dashscope` package 2.0.2: `data: [DONE]` and events without `output` break it. An error's status stands in a comment,
as the service says it, and in a line `status`, which that package reads; without it, it takes every error for a 400.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from hybridproxy.dialects.dashscope.content import Body
from hybridproxy.dialects.dashscope.request import MULTIMODAL, form_of
from hybridproxy.dialects.gather import MAX_CALLS
from hybridproxy.dialects.sse import data_of
from hybridproxy.dialects.translator import Problem
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.usage import Usage, count_of

_NO_TOKENS: Final = b'{"input_tokens":0,"output_tokens":0,"total_tokens":0}'
_INCREMENT: Final = (
    b'id:%d\nevent:result\n:HTTP_STATUS/200\ndata:{"output":{"choices":[{"message":{"role":"assistant",%b},'
    b'"index":%d,"finish_reason":"null"}]},"usage":%b,"request_id":%b}\n\n'
)
"""The usual event, which needs not be put together: a piece of one thing, in a message of what is new."""
_PLAIN: Final = frozenset({"role", "content"})
_THOUGHT: Final = _PLAIN | {"reasoning_content"}
_CALLING: Final = _PLAIN | {"tool_calls"}
_CALL_KEYS: Final = frozenset({"index", "id", "type", "function"})
_CALL: Final = b'"content":""%b,"tool_calls":[{"index":%d,"id":"","type":"function","function":{"arguments":%b}}]'
OFTEN: Final = 1 << 16
"""Bytes of text so far up to which each increment is an event that repeats it. Beyond, an event waits until the text
has grown by its `SHARE`th part: else the bytes that are sent would grow with the square of the text."""
SHARE: Final = 256


class DashScopeVoice:
    """One caller's."""

    __slots__ = (
        "_call", "_choices", "_cumulative", "_multimodal", "_n", "_plain", "_quoted_id", "_request_id", "_text",
        "_usage",
    )  # fmt: skip

    def __init__(self, call: Call, request_id: str) -> None:
        """Begin the answer to a call; its events have the request's id."""
        messages, self._cumulative = form_of(call)
        self._text = not messages
        self._multimodal = call.variant == MULTIMODAL
        self._plain = not (self._cumulative or self._text or self._multimodal)
        self._call = call.operation
        self._request_id = request_id
        self._quoted_id = orjson.dumps(request_id)
        self._n = 0
        self._usage = _NO_TOKENS
        self._choices: dict[int, _Choice] = {}

    # ---- whole answers ----

    def answer(self, body: Body) -> bytes:
        """Return a whole answer."""
        if self._call is Operation.EMBEDDING:
            return self._embeddings(body)
        choices = [self._whole(choice) for choice in body["choices"]]
        return self._body({"output": self._output(choices), "usage": usage_of(body.get("usage"))})

    def _whole(self, choice: Body) -> Body:
        message = choice.get("message")
        said = _Choice(choice.get("index"))
        said.feed(message if type(message) is dict else {}, choice)
        finish = choice.get("finish_reason")
        return said.put(self, finish if type(finish) is str and finish else "stop")

    def _embeddings(self, body: Body) -> bytes:
        data = [item if type(item) is dict else {} for item in body["data"]]
        vectors = [
            {"text_index": item.get("index", n), "embedding": item.get("embedding")} for n, item in enumerate(data)
        ]
        usage = body.get("usage")
        total = usage.get("total_tokens") if type(usage) is dict else None
        return self._body({"output": {"embeddings": vectors}, "usage": {"total_tokens": count_of(total)}})

    def _body(self, body: Body) -> bytes:
        return orjson.dumps({**body, "request_id": self._request_id})

    # ---- streams ----

    def feed(self, event: bytes) -> bytes:
        """Return the event that a chunk is; nothing for one that says nothing new."""
        try:
            body = orjson.loads(data_of(event) or b"null")
        except orjson.JSONDecodeError:  # the relay lets none pass
            return b""
        if type(body) is not dict:
            return event if event.startswith(b":") else b""
        usage = body.get("usage")
        if type(usage) is dict and usage:
            self._usage = orjson.dumps(usage_of(usage))
        choices = body.get("choices")
        if self._plain and type(choices) is list and len(choices) == 1 and (usual := self._increment(choices[0])):
            return usual
        out = [self._said(choice) for choice in choices if type(choice) is dict] if type(choices) is list else []
        said = [choice for choice in out if choice is not None]
        return self._event(said) if said else b""

    def _increment(self, choice: Any) -> bytes:
        """Return the event of a choice that has some text, thought or arguments and nothing else.

        Nothing for others, and for a first.
        """
        if type(choice) is not dict or choice.get("finish_reason") is not None or choice.get("logprobs"):
            return b""
        delta, index = choice.get("delta"), choice.get("index")
        made = self._choices.get(index) if type(index) is int else None
        if made is None or type(delta) is not dict:
            return b""
        message = made.usual(delta)
        if not message:
            return b""
        self._n += 1
        return _INCREMENT % (self._n, message, index, self._usage, self._quoted_id)

    def _said(self, choice: Body) -> Body | None:
        index, delta = choice.get("index", 0), choice.get("delta") or choice.get("message")
        if type(index) is not int:
            return None
        made = self._choices.get(index)
        if made is None:
            made = self._choices[index] = _Choice(index)
        if not self._cumulative:
            made.clear()
        made.feed(delta if type(delta) is dict else {}, choice)
        finish = choice.get("finish_reason")
        if type(finish) is str and finish and finish != "null":
            made.finish = finish
        return made.put(self, "null") if made.grown > max(0, (made.size - OFTEN) // SHARE) else None

    def end(self) -> bytes:
        """Return the event with the finish reasons, and the usage that came after them."""
        if not self._choices:
            return b""  # the upstream's own events passed
        last = []
        for _, made in sorted(self._choices.items()):
            if not self._cumulative:
                made.clear()
            last.append(made.put(self, made.finish))
        return self._event(last)

    def error(self, problem: Problem) -> bytes:
        """Return the last event of a stream that broke."""
        self._n += 1
        status, body = told(problem, self._request_id)
        return b"id:%d\nevent:error\n:HTTP_STATUS/%d\nstatus:%d\ndata:%b\n\n" % (self._n, status, status, body)

    def _event(self, choices: list[Body]) -> bytes:
        self._n += 1
        data = self._body({"output": self._output(choices), "usage": orjson.Fragment(self._usage)})
        return b"id:%d\nevent:result\n:HTTP_STATUS/200\ndata:%b\n\n" % (self._n, data)

    def _output(self, choices: list[Body]) -> Body:
        if not self._text:
            return {"choices": choices}
        return {"text": choices[0]["message"]["content"], "finish_reason": choices[0]["finish_reason"]}

    def content(self, text: orjson.Fragment, *, empty: bool) -> Any:
        """Return a text as the content of a message."""
        if not self._multimodal:
            return text
        return [] if empty else [{"text": text}]


class _Choice:
    """What one choice has said: all of it so far, or since `clear`."""

    __slots__ = ("_calls", "_content", "_logprobs", "_thought", "finish", "grown", "index", "size")

    def __init__(self, index: Any) -> None:
        self.index = index if type(index) is int else 0
        self.finish = "stop"
        self.grown = 0  # bytes of what it said since it was put
        self.size = 0  # bytes of all that it said, or since `clear`
        self._content = bytearray()
        self._thought: bytearray | None = None
        self._calls: dict[int, _Tool] = {}
        self._logprobs = bytearray()

    def usual(self, delta: Mapping[str, Any]) -> bytes:
        """Return the message of a delta that goes on with one thing, where each is told by itself; else nothing."""
        text, keys = delta.get("content"), delta.keys()
        silent = b"" if self._thought is None else b',"reasoning_content":""'
        if text:
            if type(text) is not str or not keys <= _PLAIN:
                return b""
            said = b'"content":%b%b' % (orjson.dumps(text), silent)
        elif keys <= _THOUGHT:
            thought = delta.get("reasoning_content")
            if type(thought) is not str or not thought or not silent:
                return b""
            said = b'"content":"","reasoning_content":%b' % orjson.dumps(thought)
        else:
            piece = self._piece(delta) if keys <= _CALLING else None
            if piece is None:
                return b""
            said = _CALL % (silent, piece[0], orjson.dumps(piece[1]))
        self.clear()
        return said

    def _piece(self, delta: Mapping[str, Any]) -> tuple[int, str] | None:
        """Return index and piece of the arguments of the one call that a delta goes on with."""
        calls = delta["tool_calls"]
        call = calls[0] if type(calls) is list and len(calls) == 1 else None
        if type(call) is not dict or not call.keys() <= _CALL_KEYS or call.get("id"):
            return None
        index, function = call.get("index"), call.get("function")
        arguments = function.get("arguments") if type(function) is dict and len(function) == 1 else None
        if type(index) is not int or index not in self._calls or type(arguments) is not str:
            return None
        return index, arguments

    def clear(self) -> None:
        """Forget what was said, but not which tools are being called."""
        self.size = 0
        self._content.clear()
        self._logprobs.clear()
        if self._thought is not None:
            self._thought.clear()
        for call in self._calls.values():
            call.told()

    def feed(self, delta: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
        """Take a delta, or a whole message, and what stands beside it."""
        for name in ("content", "refusal"):
            text = delta.get(name)
            if type(text) is str and text:
                self._grow(self._content, _escaped(text))
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if type(thought) is str:
            self._thought = bytearray() if self._thought is None else self._thought
            self._grow(self._thought, _escaped(thought))
        calls = delta.get("tool_calls")
        if type(calls) is list and calls:
            self._take(calls)
        logprobs = choice.get("logprobs")
        entries = logprobs.get("content") if type(logprobs) is dict else None
        if type(entries) is list and entries:
            try:
                said = orjson.dumps(entries)[1:-1]
            except orjson.JSONEncodeError:  # nested as no probability is
                return
            self._grow(self._logprobs, b"," + said if self._logprobs else said)

    def _grow(self, held: bytearray, more: bytes) -> None:
        held += more
        self.grown += len(more)
        self.size += len(more)

    def _take(self, calls: list[Any]) -> None:
        for n, call in enumerate(calls):
            index = call.get("index", n) if type(call) is dict else None
            if type(index) is not int or (index not in self._calls and len(self._calls) >= MAX_CALLS):
                continue
            made = self._calls.setdefault(index, _Tool())
            more = 1 + made.feed(call)
            self.grown += more
            self.size += more

    def put(self, voice: DashScopeVoice, finish: Any) -> Body:
        """Return it as the service does."""
        self.grown = 0
        text = _quoted(self._content)
        message: Body = {"role": "assistant", "content": voice.content(text, empty=not self._content)}
        if self._thought is not None:
            message["reasoning_content"] = _quoted(self._thought)
        calls = [made.put(index) for index, made in sorted(self._calls.items()) if made.news]
        if calls:
            message["tool_calls"] = calls
        choice: Body = {"message": message, "index": self.index, "finish_reason": finish}
        if self._logprobs:
            choice["logprobs"] = {"content": orjson.Fragment(b"[%b]" % bytes(self._logprobs))}
        return choice


class _Tool:
    """One call of a tool: what it said, all or since `told`."""

    __slots__ = ("_arguments", "_id", "_name", "news")

    def __init__(self) -> None:
        self._id: str = ""
        self._name: str | None = None
        self._arguments = bytearray()
        self.news = False

    def feed(self, call: Mapping[str, Any]) -> int:
        """Take a piece of it; return the bytes of its arguments."""
        self.news = True
        more = b""
        id_, function = call.get("id"), call.get("function")
        self._id = id_ if type(id_) is str and id_ else self._id
        if type(function) is dict:
            name, arguments = function.get("name"), function.get("arguments")
            self._name = name if type(name) is str and name else self._name
            if type(arguments) is str:
                more = _escaped(arguments)
                self._arguments += more
        return len(more)

    def told(self) -> None:
        """Forget it: id and name are said once."""
        self._id, self._name, self.news = "", None, False
        self._arguments.clear()

    def put(self, index: int) -> Body:
        """Return it as the service does."""
        function: Body = {} if self._name is None else {"name": self._name}
        function["arguments"] = _quoted(self._arguments)
        return {"index": index, "id": self._id, "type": "function", "function": function}


def _escaped(text: str) -> bytes:
    """Return a text as it stands in JSON, without its quotes: pieces of it can be put together."""
    return orjson.dumps(text)[1:-1]


def _quoted(escaped: bytearray) -> orjson.Fragment:
    return orjson.Fragment(b'"%b"' % bytes(escaped))


# ---- usage and errors ------------------------------------------------------------------------------------------------


def usage_of(usage: Any) -> Body:
    """Return the tokens of an answer, in the service's words."""
    given = Usage.from_openai(usage) or Usage(0, 0)
    told: Body = {
        "input_tokens": given.prompt,
        "output_tokens": given.completion,
        "total_tokens": given.prompt + given.completion,
    }
    if given.cached or given.written or (type(usage) is dict and type(usage.get("prompt_tokens_details")) is dict):
        told["prompt_tokens_details"] = {"cached_tokens": given.cached}
        if given.written:
            told["prompt_tokens_details"]["cache_creation_input_tokens"] = given.written
    if given.reasoning:
        told["output_tokens_details"] = {"reasoning_tokens": given.reasoning}
    return told


_CODES: Final = {
    "content_policy_violation": (400, "DataInspectionFailed"),
    "invalid_api_key": (401, "InvalidApiKey"),
    "access_denied": (403, "AccessDenied"),
    "model_not_found": (404, "ModelNotFound"),
    "upstream_throttled": (429, "Throttling.RateQuota"),
    "insufficient_quota": (429, "Throttling.AllocationQuota"),
    "tokens": (429, "Throttling.AllocationQuota"),
}
"""By an error's code, or its type where one code has several."""

_STATUSES: Final = {
    400: (400, "InvalidParameter"),
    401: (401, "InvalidApiKey"),
    403: (403, "AccessDenied"),
    404: (404, "InvalidURL"),
    405: (405, "InvalidURL"),
    408: (500, "RequestTimeOut"),
    413: (413, "RequestEntityTooLarge"),
    429: (429, "Throttling.RateQuota"),
    503: (503, "ModelUnavailable"),
    504: (500, "RequestTimeOut"),
}
"""The service knows no bad gateway, and has 500 for what took too long."""


def told(problem: Problem, request_id: str) -> tuple[int, bytes]:
    """Return an error's status and body, with the code that the service has for it: the SDKs look at both."""
    status, code = (
        _CODES.get(problem.code)
        or _CODES.get(problem.type)
        or _STATUSES.get(problem.status)
        or (problem.status, "InvalidParameter")
    )
    if problem.status >= 500 and problem.status not in _STATUSES:
        status, code = 500, "InternalError"
    message = problem.message
    if problem.param and problem.param not in message:  # there is no other place for it
        message = f"{problem.param}: {message}"
    return status, orjson.dumps({"code": code, "message": message, "request_id": request_id})
