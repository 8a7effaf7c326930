"""OpenAI's dialect: what a request asks for, what an answer says, and how an error looks.

Requests are judged here once; from then on only our own serialisation of the parsed body goes on. `StreamTap` reads
each event of a stream once.
"""

import re
from collections.abc import Mapping
from dataclasses import field
from enum import Enum, auto
from typing import Any, Final

import orjson

from hybridproxy.dialects.limits import excess, excess_before_parsing
from hybridproxy.dialects.sse import data_of
from hybridproxy.model.call import Call, Capability, Operation
from hybridproxy.model.usage import Usage
from hybridproxy.model.value import value
from hybridproxy.providers.provider import CONTROL_FIELDS

MAX_CHOICES: Final = 128
MAX_INDEX: Final = 8192
"""Choices of one stream; more are no answer to any request."""

MODEL_NAME = re.compile(r"[A-Za-z0-9._:/@+-]{1,128}")

_INPUT: Final = {Operation.CHAT: "messages", Operation.COMPLETION: "prompt", Operation.EMBEDDING: "input"}
_EXACT: Final = CONTROL_FIELDS | {
    "model", "stream", "stream_options", "n", "messages", "prompt", "input", "tools", "functions", "response_format",
}  # fmt: skip
"""Fields that are judged or taken out; the same name in other letters would slip through to a lenient upstream."""

_BROKEN_FINISH: Final = ("error", "abort")


class RequestError(Exception):
    """A request that cannot be served as it is. `param` is the field at fault, None for the body as a whole."""

    def __init__(self, message: str, *, param: str | None = None, code: str = "invalid_request") -> None:
        """Keep what the caller is told."""
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


def decode_request(operation: Operation, data: bytes) -> Call:
    """Return the call that a body asks for.

    Raises:
        RequestError: with words for the caller; the status is 400.

    """
    if found := excess_before_parsing(data):
        raise RequestError(found.message, code=found.code)
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        what = f"{error.msg.split(': line')[0]} at line {error.lineno}, column {error.colno}"
        raise RequestError(f"the body is not valid JSON: {what}", code="invalid_json") from None
    if not isinstance(body, dict):
        raise RequestError("the body must be a JSON object", code="invalid_json")
    if found := excess(body):
        raise RequestError(found.message, code=found.code)
    for name in body:
        if name not in _EXACT and name.casefold() in _EXACT:
            meant = name.casefold()
            raise RequestError(f"unknown field {name!r}: names are case-sensitive, write {meant!r}", param=name)
    _check_input(operation, body)
    return Call(
        operation=operation,
        model=_model(body),
        stream=_flag(body, "stream") and operation is not Operation.EMBEDDING,
        wants_usage=_wants_usage(body),
        choices=_choices(operation, body),
        needs=_needs(operation, body),
        size=len(data),
        body=body,
    )


def _model(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not MODEL_NAME.fullmatch(model):
        raise RequestError("'model' must be a name of 1 to 128 letters, digits and . _ : / @ + -", param="model")
    return model


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise RequestError(f"{name!r} must be true or false", param=name)


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise RequestError("'stream_options' must be an object", param="stream_options")
    return _flag(options, "include_usage")


def _check_input(operation: Operation, body: Mapping[str, Any]) -> None:
    name = _INPUT[operation]
    given = body.get(name)
    if operation is Operation.CHAT:
        if not isinstance(given, list) or not given:
            raise RequestError("'messages' must be a list that is not empty", param=name)
        for message in given:
            if type(message) is not dict:
                raise RequestError("each of 'messages' must be an object", param=name)
    elif not isinstance(given, str | list) or given == []:
        raise RequestError(f"{name!r} must be a text or a list that is not empty", param=name)


def _choices(operation: Operation, body: Mapping[str, Any]) -> int:
    given = body.get("n")
    n: int = 1 if given is None else given
    if type(n) is not int or not 1 <= n <= MAX_CHOICES:
        raise RequestError(f"'n' must be a whole number from 1 to {MAX_CHOICES}", param="n")
    prompt = body.get("prompt")
    if operation is Operation.COMPLETION and isinstance(prompt, list) and isinstance(prompt[0], str | list):
        return n * len(prompt)
    return n


def _needs(operation: Operation, body: Mapping[str, Any]) -> frozenset[Capability]:
    """Return what a backend must be able to do."""
    if operation is not Operation.CHAT:
        return _NOTHING
    needs: set[Capability] = set()
    for message in body["messages"]:
        content = message.get("content")
        if isinstance(content, list) and any(isinstance(p, dict) and p.get("type") == "image_url" for p in content):
            needs.add(Capability.VISION)
    if body.get("tools") or body.get("functions"):
        needs.add(Capability.TOOLS)
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        needs.add(Capability.JSON_SCHEMA)
    return frozenset(needs) if needs else _NOTHING


_NOTHING: Final[frozenset[Capability]] = frozenset()


# ---- answers ---------------------------------------------------------------------------------------------------------


class Event(Enum):
    """What an event of a stream is to the relay."""

    QUIET = auto()
    """Passes, but is no output: a role, an empty delta, a comment."""
    OUTPUT = auto()
    """Passes, and carries output or a finish reason."""
    USAGE = auto()
    """Carries usage and no choice; passes only if the caller asked for it."""
    DONE = auto()
    """The upstream's terminal marker; never passes, ours is written at a clean end."""
    ERROR = auto()
    """An error in the stream; `StreamTap.error` has it."""
    GARBLED = auto()
    """Cannot be decoded: text may be missing."""


class StreamTap:
    """Reads each event of one stream once: output, finish reasons, usage, errors. Nothing in an event makes it raise.

    Attributes:
        text: characters of content, reasoning and refusal so far.
        usage: tokens as the upstream reported them last, None while it has not.
        error: the event that carried an error.
        said: the pieces of text so far, None unless they are kept for whoever may have to go on with the stream.
        plain: the output so far was nothing but that text.
        head: the first chunk, while `said` is kept: its `id`, `created` and `model` name the stream.

    """

    __slots__ = ("_choices", "_finished", "_open", "error", "head", "plain", "said", "text", "usage")

    def __init__(self, choices: int = 1, *, keep: bool = False) -> None:
        """Begin a stream that was asked for so many choices; `keep`: its text may have to be gone on with."""
        self._choices = choices
        self.said: list[str] | None = [] if keep else None
        self.plain = True
        self.head: dict[str, Any] | None = None
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self.text = 0
        self.usage: Usage | None = None
        self.error: Any = None

    @property
    def finished(self) -> bool:
        """Whether as many choices as were asked for, and every one that was seen, have their finish reason."""
        return len(self._finished) >= self._choices and not self._open

    def read(self, event: bytes) -> Event:
        """Read one event as `dialects.sse.Splitter` gave it."""
        try:
            body = orjson.loads(event[6:] if event.startswith(b"data: ") else b"")
        except orjson.JSONDecodeError:
            return self._read_unusual(event)
        if type(body) is not dict:
            return Event.GARBLED
        choices = body.get("choices")
        if type(choices) is list and len(choices) == 1 and not body.get("usage") and "error" not in body:
            choice = choices[0]  # the usual chunk: one choice, some content, nothing else to say
            if type(choice) is dict and choice.get("finish_reason") is None and "error" not in choice:
                delta, index = choice.get("delta"), choice.get("index")
                if type(delta) is dict and delta.keys() <= _PLAIN and type(index) is int and index in self._open:
                    content = delta.get("content")
                    if type(content) is str and content:
                        self.text += len(content)
                        if self.said is not None:
                            self.said.append(content)
                        return Event.OUTPUT
        return self._read_body(body)

    def _read_body(self, body: dict[str, Any]) -> Event:
        choices = body.get("choices")
        usage = body.get("usage")
        if usage:
            self.usage = Usage.from_openai(usage) or self.usage
        if body.get("error") or (not choices and _is_flat_error(body)):
            self.error = body
            return Event.ERROR
        if not choices:
            return Event.USAGE if usage else Event.QUIET
        if type(choices) is not list:
            return Event.GARBLED
        if self.said is not None and self.head is None:
            self.head = body
        found = Event.QUIET
        for choice in choices:
            event = self._read_choice(choice) if type(choice) is dict else Event.GARBLED
            if event is Event.OUTPUT:
                found = event
            elif event is not Event.QUIET:
                return event
        return found

    def _read_choice(self, choice: dict[str, Any]) -> Event:
        index = choice.get("index", 0)
        if type(index) is not int or not 0 <= index < MAX_INDEX:
            return Event.GARBLED
        found = Event.QUIET
        size = _output(choice)
        if size is not None:
            self.text += size
            found = Event.OUTPUT
            if self.said is not None:
                self._keep(choice, size)
        if choice.get("finish_reason") is not None or "error" in choice:
            return self._read_finish(choice, index, found)
        if index not in self._finished:
            self._open.add(index)
        return found

    def _keep(self, choice: dict[str, Any], size: int) -> None:
        """Keep the text of a choice that has output; whatever else it has cannot be gone on with."""
        holder = choice.get("delta") or choice.get("message")
        content, more = choice.get("text"), False
        if type(holder) is dict:
            content, more = holder.get("content"), any(map(holder.get, _OTHER_OUTPUT))
        if type(content) is str and len(content) == size > 0 and not more and self.said is not None:
            self.said.append(content)
        else:
            self.plain = False

    def _read_finish(self, choice: dict[str, Any], index: int, found: Event) -> Event:
        reason = choice.get("finish_reason")
        if _is_broken(choice):
            self.error = _finish_error(choice)
            return Event.ERROR
        if reason is not None and type(reason) is not str:
            return Event.GARBLED
        if reason and reason != "null":  # DashScope's own protocol has the word for the value
            self._finished.add(index)
            self._open.discard(index)
            return Event.OUTPUT
        if index not in self._finished:
            self._open.add(index)
        return found

    def _read_unusual(self, event: bytes) -> Event:
        """Read what is not one line of JSON: a comment, several lines of data, the terminal marker, or damage."""
        data = data_of(event)
        if data is None:
            return Event.QUIET
        if data.strip() == b"[DONE]":
            return Event.DONE
        try:
            body = orjson.loads(data)
        except orjson.JSONDecodeError:
            return Event.GARBLED
        return self._read_body(body) if type(body) is dict else Event.GARBLED


def without_usage(event: bytes) -> bytes:
    """Return a chunk with choices without the usage that we asked for in each of them, and nobody else did."""
    body = orjson.loads(data_of(event) or b"null")
    if type(body) is not dict or not body.get("choices") or body.pop("usage", None) is None:
        return event
    try:
        return b"data: " + orjson.dumps(body) + b"\n\n"
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        return event


_PLAIN: Final = frozenset({"role", "content"})


def _output(choice: dict[str, Any]) -> int | None:
    """Return the characters of real output in a choice of a stream or a whole answer, None when it has none."""
    holder = choice.get("delta") or choice.get("message")
    if type(holder) is not dict:
        text = choice.get("text")
        return len(text) if type(text) is str and text else None
    content = holder.get("content")
    size = len(content) if type(content) is str else 0
    # some send the reasoning under both names
    reasoning = holder.get("reasoning_content") or holder.get("reasoning")
    if type(reasoning) is str:
        size += len(reasoning)
    refusal = holder.get("refusal")
    if type(refusal) is str:
        size += len(refusal)
    if size or content or reasoning or refusal:
        return size
    return None if _OTHER_OUTPUT.isdisjoint(holder) or not any(map(holder.get, _OTHER_OUTPUT)) else 0


_OTHER_OUTPUT: Final = frozenset({"tool_calls", "function_call", "audio", "reasoning_details"})


@value
class Answer:
    """A whole answer as read: tokens used, characters of text, and the error it may carry inside a 200."""

    usage: Usage | None
    text: int
    error: Any = field(default=None, repr=False)


def read_answer(operation: Operation, data: bytes) -> Answer | None:
    """Return what an answer with status 200 says, None when it cannot be an answer (not JSON, no choices)."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        return None
    usage = Usage.from_openai(body.get("usage"))
    choices = body.get("choices")
    if body.get("error") or (not choices and _is_flat_error(body)):
        return Answer(usage, 0, body)
    if operation is Operation.EMBEDDING:
        return Answer(usage, 0) if isinstance(body.get("data"), list) else None
    if not isinstance(choices, list) or not choices or not all(type(choice) is dict for choice in choices):
        return None
    text = sum(_output(choice) or 0 for choice in choices)
    broken = next(filter(_is_broken, choices), None)
    return Answer(usage, text, None if broken is None else _finish_error(broken))


def _is_flat_error(body: Mapping[str, Any]) -> bool:
    """Return whether an object without choices is an error itself, as with SGLang, TensorRT-LLM and DashScope.

    Whatever has words of its own and no choices is one, whoever sent it: they go to the caller cleaned, or not at all.
    """
    return body.get("object") == "error" or type(body.get("message")) is str or type(body.get("detail")) is str


def _is_broken(choice: Mapping[str, Any]) -> bool:
    return bool(choice.get("error")) or choice.get("finish_reason") in _BROKEN_FINISH


def _finish_error(choice: Mapping[str, Any]) -> Any:
    """Return the error of a choice that ended with one, in the shape of an error event."""
    return {"error": choice.get("error") or {"message": f"the answer ended with {choice.get('finish_reason')!r}"}}


# ---- what the caller gets --------------------------------------------------------------------------------------------

DONE: Final = b"data: [DONE]\n\n"


def encode_error(*, message: str, type_: str, code: str | None, param: str | None = None) -> bytes:
    """Return an error body in OpenAI's shape."""
    return orjson.dumps({"error": {"message": message, "type": type_, "param": param, "code": code}})


def encode_stream_error(*, message: str, type_: str, code: str | None) -> bytes:
    """Return an error as the last event of a stream; no `[DONE]` follows it."""
    return b"data: " + encode_error(message=message, type_=type_, code=code) + b"\n\n"


def encode_models(names: list[str]) -> bytes:
    """Return the list of models; `created` is 0 because the proxy cannot know it."""
    return orjson.dumps({"object": "list", "data": [_model_object(name) for name in names]})


def encode_model(name: str) -> bytes:
    """Return one model."""
    return orjson.dumps(_model_object(name))


def _model_object(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "hybridproxy"}
