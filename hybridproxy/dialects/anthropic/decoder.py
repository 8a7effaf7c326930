"""What an upstream of Anthropic's dialect answers -> a chat completion, whole or in chunks.

Events: platform.claude.com/docs/en/build-with-claude/streaming, and the SDK's types (2.12). New kinds of events and
blocks may come at any time and are passed over; so are the blocks of tools that run on Anthropic's servers, which only
those can ask for who hear the upstream's own events. OpenRouter writes `data: [DONE]` after the last event.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import orjson

from hybridproxy.dialects.anthropic.answer import OWN_REASONS, Body
from hybridproxy.dialects.openai import DONE
from hybridproxy.dialects.sse import fields_of
from hybridproxy.dialects.translator import Reading, UntranslatableError
from hybridproxy.model.call import Operation
from hybridproxy.model.usage import cost_in, count_in

MAX_THOUGHT: Final = 8 * 1024 * 1024
"""Characters of one block of thinking that are kept for its signature."""


_COMMENT: Final = b":\n\n"
_DELTAS: Final = {"text_delta": ("text", b"content"), "thinking_delta": ("thinking", b"reasoning_content")}


def answer(operation: Operation, body: Body) -> Body:
    """Return a whole answer as a chat completion, a count of tokens as it is, an error as it came.

    Raises:
        UntranslatableError: it is none of these.

    """
    if operation is Operation.COUNT or body.get("type") == "error" or body.get("error"):
        return body
    blocks = body.get("content")
    if body.get("type") != "message" or type(blocks) is not list:
        raise UntranslatableError
    texts: list[str] = []
    thoughts: list[str] = []
    signed: list[Body] = []
    calls: list[Body] = []
    for block in blocks:
        kind = block.get("type") if type(block) is dict else None
        if kind == "text":
            texts.append(_text(block, "text"))
        elif kind == "thinking":
            thoughts.append(_text(block, "thinking"))
            if _text(block, "signature"):
                signed.append({name: _text(block, name) for name in ("type", "thinking", "signature")})
        elif kind == "redacted_thinking":
            signed.append({"type": kind, "data": _text(block, "data")})
        elif kind == "tool_use":
            calls.append(_call(block))
    message: Body = {"role": "assistant", "content": "".join(texts) or (None if calls else "")}
    if thought := "".join(thoughts):
        message["reasoning_content"] = thought
    if signed:
        message["thinking_blocks"] = signed
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "logprobs": None, **_finish(body)}
    names = {name: body[name] for name in ("id", "model") if type(body.get(name)) is str}
    return {**names, "object": "chat.completion", "choices": [choice], "usage": usage_of(body.get("usage"))}


def _text(holder: Body, name: str) -> str:
    found = holder.get(name)
    return found if type(found) is str else ""


def _call(block: Body) -> Body:
    given = block.get("input")
    try:
        arguments = orjson.dumps({} if given is None else given).decode()
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        arguments = ""
    function = {"name": _text(block, "name"), "arguments": arguments}
    return {"id": _text(block, "id"), "type": "function", "function": function}


def _error(body: Body) -> bytes:
    """Return a chunk with an error; one that names none is it itself, in whichever form."""
    told = body.get("error") or body or {"message": ""}
    try:
        return b"data: " + orjson.dumps({"error": told}) + b"\n\n"
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        return b'data: {"error":{"message":""}}\n\n'


def _finish(holder: Body) -> Body:
    """Return the fields of a choice that say why the answer ended, in OpenAI's words and in Anthropic's own."""
    own = holder.get("stop_reason")
    if type(own) is not str:
        return {"finish_reason": None}
    made: Body = {"finish_reason": OWN_REASONS.get(own, "stop"), "native_finish_reason": own}
    if type(holder.get("stop_sequence")) is str:
        made["stop_reason"] = holder["stop_sequence"]  # where vLLM says it
    return made


def usage_of(given: Any) -> Body:
    """Return usage in OpenAI's words: what was read from a cache and written to one is part of the prompt."""
    usage: Body = given if type(given) is dict else {}
    read, written = count_in(usage, "cache_read_input_tokens"), count_in(usage, "cache_creation_input_tokens")
    prompt, made = count_in(usage, "input_tokens") + read + written, count_in(usage, "output_tokens")
    details = usage.get("output_tokens_details")
    thought = count_in(details, "thinking_tokens")
    return {
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": thought},
        **cost_in(usage),
    }


class AnthropicDecoder:
    """Reads one stream of events; nothing in them makes it raise."""

    __slots__ = ("_block", "_calls", "_head", "_left", "_opening", "_said", "_signature", "_thought", "_usage")

    def __init__(self, reading: Reading) -> None:
        """Begin a stream; its chunks have the upstream's id and model once it has told them."""
        self._head: Body = {
            "id": "",
            "object": "chat.completion.chunk",
            "created": reading.created,
            "model": reading.model,
        }
        self._opening = orjson.dumps(self._head)[:-1]
        self._block = ""
        self._calls = -1
        self._said = False
        self._thought: list[str] = []
        self._left = MAX_THOUGHT
        self._signature = ""
        self._usage: Body = {}

    def feed(self, event: bytes) -> Sequence[bytes]:
        """Return the chunks that an event says."""
        fields = fields_of(event)
        if fields is None:
            return (_COMMENT,)
        if fields.data.strip() == b"[DONE]":
            return (DONE,)
        try:
            body = orjson.loads(fields.data)
        except orjson.JSONDecodeError:
            body = None
        if type(body) is not dict:
            return (b"data: " + fields.data.replace(b"\n", b"\ndata: ") + b"\n\n",)
        kind = body.get("type")
        if kind == "error" or fields.name == b"error" or body.get("error"):  # the SDK goes by the name
            return (_error(body),)
        read = self._EVENTS.get(kind if type(kind) is str else fields.name.decode("utf-8", "replace"))
        return () if read is None else read(self, body)

    def _start(self, body: Body) -> Sequence[bytes]:
        message = body.get("message")
        if type(message) is dict:
            self._head["id"] = _text(message, "id")
            self._head["model"] = _text(message, "model") or self._head["model"]
            self._count(message.get("usage"))
        self._opening = orjson.dumps(self._head)[:-1]
        return (self._chunk({"role": "assistant", "content": ""}),)

    def _count(self, usage: Any) -> None:
        """Take counts; those of a later event are totals, and stand in for the earlier ones."""
        if type(usage) is dict:
            self._usage |= {name: given for name, given in usage.items() if given is not None}

    def _begin(self, body: Body) -> Sequence[bytes]:
        block = body.get("content_block")
        if type(block) is not dict:
            return ()
        self._block = _text(block, "type")
        self._thought, self._signature = [], ""
        self._left = MAX_THOUGHT
        if self._block == "tool_use":
            self._calls += 1
            self._said = bool(block.get("input"))
            call = _call(block)
            if not self._said:
                call["function"]["arguments"] = ""
            return (self._chunk({"tool_calls": [{"index": self._calls, **call}]}),)
        if self._block == "redacted_thinking":
            signed = {"type": self._block, "data": _text(block, "data")}
            return (self._chunk({"thinking_blocks": [signed]}),)
        if self._block in ("text", "thinking") and _text(block, self._block):
            return self._delta({"delta": {"type": f"{self._block}_delta", self._block: block[self._block]}})
        return ()

    def _delta(self, body: Body) -> Sequence[bytes]:
        delta = body.get("delta")
        kind = delta.get("type") if type(delta) is dict else None
        if type(delta) is not dict or type(kind) is not str:
            return ()
        if kind in _DELTAS:
            name, said = _DELTAS[kind]
            if kind == "thinking_delta":
                self._think(_text(delta, name))
            said_so = (self._opening, said, orjson.dumps(_text(delta, name)))
            return (b'data: %b,"choices":[{"index":0,"delta":{"%b":%b},"finish_reason":null}]}\n\n' % said_so,)
        if kind == "input_json_delta" and self._block == "tool_use" and _text(delta, "partial_json"):
            self._said = True
            function = {"arguments": delta["partial_json"]}
            return (self._chunk({"tool_calls": [{"index": self._calls, "function": function}]}),)
        if kind == "signature_delta":
            self._signature = _text(delta, "signature")  # it comes whole
        return ()

    def _think(self, thought: str) -> None:
        """Keep a piece of what was thought, until it is signed; of more than any model thinks nothing."""
        self._left -= len(thought)
        if self._left > 0:
            self._thought.append(thought)
        else:
            self._thought.clear()

    def _stop(self, _body: Body) -> Sequence[bytes]:
        block, self._block = self._block, ""
        if block == "tool_use" and not self._said:
            return (self._chunk({"tool_calls": [{"index": self._calls, "function": {"arguments": "{}"}}]}),)
        if block == "thinking" and self._signature and self._left > 0:
            signed = {"type": "thinking", "thinking": "".join(self._thought), "signature": self._signature}
            return (self._chunk({"thinking_blocks": [signed]}),)
        return ()

    def _end(self, body: Body) -> Sequence[bytes]:
        delta = body.get("delta")
        self._count(body.get("usage"))
        usage = orjson.dumps({**self._head, "choices": [], "usage": usage_of(self._usage)})
        finish = _finish(delta if type(delta) is dict else {})
        made = (self._chunk({}, finish),) if finish["finish_reason"] else ()
        return (*made, b"data: " + usage + b"\n\n")

    def _last(self, _body: Body) -> Sequence[bytes]:
        return (DONE,)

    def _ping(self, _body: Body) -> Sequence[bytes]:
        return (_COMMENT,)

    def _chunk(self, delta: Body, finish: Body | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, **(finish or {"finish_reason": None})}
        return b"data: " + orjson.dumps({**self._head, "choices": [choice]}) + b"\n\n"

    _EVENTS: ClassVar[dict[str, Callable[[Any, Body], Sequence[bytes]]]] = {
        "message_start": _start,
        "content_block_start": _begin,
        "content_block_delta": _delta,
        "content_block_stop": _stop,
        "message_delta": _end,
        "message_stop": _last,
        "ping": _ping,
    }
