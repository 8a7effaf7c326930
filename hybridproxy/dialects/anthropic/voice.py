"""The chunks of a chat completion -> the events of Anthropic's stream.

    message_start                                     with the first chunk; the tokens of the input are not known then
    content_block_start / _delta / _stop              one block after the other: thinking, text, calls of tools
    ping                                              for each comment
    message_delta                                     stop reason and usage, at the clean end alone
    message_stop

Blocks never interleave there, calls of tools may here. So the first block that is not finished flows, and what belongs
to later ones waits. A block of text or thinking is finished when another begins, a call when its arguments are whole
JSON; whatever is left comes at the end, in the order in which the blocks began.
"""

from collections import deque
from typing import Any, Final

import orjson

from hybridproxy.dialects.anthropic.answer import (
    Body,
    blocks_in,
    calls_in,
    message_head,
    message_id,
    reasoning_in,
    stopped,
    texts_in,
    tool_id,
    usage_of,
    whole_message,
)
from hybridproxy.dialects.anthropic.errors import problem as said_problem
from hybridproxy.dialects.gather import MAX_CALLS
from hybridproxy.dialects.sse import data_of
from hybridproxy.dialects.translator import Problem
from hybridproxy.model.call import Call, Operation

MAX_WAITING: Final = 8 * 1024 * 1024
"""Characters that wait behind a block; with more it is taken for finished."""

MAX_LOOKS: Final = 16
"""How often it is looked whether a call's arguments are whole."""

_STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_TEXT, _THINKING, _SIGNATURE, _ARGUMENTS = "text_delta", "thinking_delta", "signature_delta", "input_json_delta"
_FIELDS: Final = {
    _TEXT: b"text",
    _THINKING: b"thinking",
    _SIGNATURE: b"signature",
    _ARGUMENTS: b"partial_json",
}
_PLAIN: Final = frozenset({"content", "role"})
_THOUGHT: Final = _PLAIN | {"reasoning_content"}
_CALLING: Final = _PLAIN | {"tool_calls"}


def _event(name: str, body: Body) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **body}))


class _Block:
    """One block of the answer.

    Attributes:
        takes: the kind of delta that continues it; "": none does.
        start: what its first event says.
        arguments: those of a call so far, to see whether they are whole.
        waiting: deltas that could not be said yet.
        said: its first event went out.

    """

    __slots__ = ("arguments", "looks", "said", "size", "start", "takes", "waiting")

    def __init__(self, takes: str, start: Body) -> None:
        self.takes = takes
        self.start = start
        self.arguments: list[str] = []
        self.size = 0
        self.waiting: list[tuple[str, str]] = []
        self.looks = 0
        self.said = False

    def keep(self, arguments: str) -> None:
        """Keep a piece of a call's arguments; of very long ones it is never asked whether they are whole."""
        self.size += len(arguments)
        if self.size > MAX_WAITING:
            self.looks = MAX_LOOKS
            self.arguments.clear()
        elif arguments.strip():
            self.arguments.append(arguments)

    def is_finished(self) -> bool:
        """Return whether nothing more belongs to it, now that another block has begun."""
        if self.takes != _ARGUMENTS:
            return True
        if (
            self.looks >= MAX_LOOKS
            or not self.said
            or not self.arguments
            or not self.arguments[-1].rstrip().endswith("}")
        ):
            return False
        self.looks += 1
        try:
            return type(orjson.loads("".join(self.arguments))) is dict  # nothing can be added to an object
        except orjson.JSONDecodeError:
            return False


class AnthropicVoice:
    """What a caller of Anthropic's dialect hears; nothing in a chunk makes it raise."""

    __slots__ = (
        "_blocks", "_calls", "_finish", "_flowing", "_id", "_index", "_model", "_operation", "_request_id", "_stops",
        "_usage", "_waiting",
    )  # fmt: skip

    def __init__(self, call: Call, request_id: str) -> None:
        """Begin with nothing said. Of the call only what answers need is kept: its body may be large."""
        self._operation = call.operation
        self._model = call.model
        self._stops = frozenset[str](call.body.get("stop") or ())
        self._request_id = request_id
        self._id = ""
        self._blocks: deque[_Block] = deque()
        self._calls: dict[int, _Block] = {}
        self._index = -1
        self._flowing = b""
        self._finish: Body = {}
        self._usage: Any = None
        self._waiting = 0

    def answer(self, body: Body) -> bytes:
        """Return a whole answer: a message, or a count of tokens as it is."""
        if self._operation is Operation.COUNT:
            return orjson.dumps(body)
        return whole_message(body, model=self._model, stops=self._stops, request_id=self._request_id)

    def error(self, problem: Problem) -> bytes:
        """Return the event of a stream that broke."""
        return b"event: error\ndata: %b\n\n" % said_problem(problem, self._request_id)[1]

    def feed(self, event: bytes) -> bytes:
        """Return the events that a chunk is."""
        data = data_of(event)
        if data is None:
            return _PING if self._id else b""
        try:
            body = orjson.loads(data)
        except orjson.JSONDecodeError:
            return b""
        if type(body) is not dict:
            return b""
        choices = body.get("choices")
        if usage := body.get("usage"):
            self._usage = usage
        choice = choices[0] if type(choices) is list and choices else None
        if type(choice) is not dict:
            return b""
        delta = choice.get("delta") or choice.get("message")
        if type(delta) is not dict:
            delta = {}  # it may still say why the answer ended
        if self._flowing and choice.get("finish_reason") is None:
            more = self._more(delta)  # as good as always: some more of the one block that is open
            if more:
                return self._flowing + orjson.dumps(more) + b"}}\n\n"
        return self._take(body, choice, delta)

    def _more(self, delta: Body) -> str:
        """Return what a delta adds to the block that flows, where it says nothing else; "" for others."""
        block, keys = self._blocks[0], delta.keys()
        if block.takes == _TEXT:
            text = delta.get("content") if keys <= _PLAIN else None
            return text if type(text) is str else ""
        if delta.get("content"):
            return ""
        if block.takes == _THINKING:
            text = delta.get("reasoning_content") if keys <= _THOUGHT else None
            return text if type(text) is str else ""
        calls = delta.get("tool_calls") if keys <= _CALLING else None
        call = calls[0] if type(calls) is list and len(calls) == 1 else None
        function = call.get("function") if type(call) is dict else None
        if type(call) is not dict or type(function) is not dict:
            return ""
        index, arguments = call.get("index", 0), function.get("arguments")
        if type(index) is not int or self._calls.get(index) is not block or type(arguments) is not str:
            return ""
        block.keep(arguments)
        return arguments

    def _take(self, body: Body, choice: Body, delta: Body) -> bytes:
        out: list[bytes] = []
        if not self._id:
            self._id = message_id(body, self._request_id)
            head = message_head(self._id, body.get("model"), self._model)
            out.append(_event("message_start", {"message": {**head, "usage": usage_of(self._usage)}}))
        if thought := reasoning_in(delta):
            self._say(_THINKING, {"type": "thinking", "thinking": "", "signature": ""}, thought, out)
        for block in blocks_in(delta):
            self._sign(block, out)
        if text := texts_in(delta):
            self._say(_TEXT, {"type": "text", "text": ""}, text, out)
        for call in calls_in(delta):
            self._call(call, out)
        if choice.get("finish_reason"):
            self._finish = {name: given for name, given in choice.items() if name != "delta"}
        first = self._blocks[0] if len(self._blocks) == 1 else None
        flows = first is not None and first.said and first.takes
        self._flowing = self._opening(first.takes) if first is not None and flows else b""
        return b"".join(out)

    def _say(self, kind: str, start: Body, text: str, out: list[bytes]) -> None:
        """Say text or thinking, in the last block if it is one of the kind."""
        last = self._blocks[-1] if self._blocks else None
        if last is None or last.takes != kind:
            last = self._begin(_Block(kind, start), out)
        self._add(last, kind, text, out)

    def _sign(self, signed: Body, out: list[bytes]) -> None:
        """Say the signature of what was thought; where that has not been said, it comes with it."""
        if signed["type"] == "redacted_thinking":
            self._begin(_Block("", signed), out)
            return
        block = self._blocks[-1] if self._blocks else None
        if block is None or block.takes != _THINKING:
            block = self._begin(_Block(_THINKING, {"type": "thinking", "thinking": "", "signature": ""}), out)
            if signed["thinking"]:
                self._add(block, _THINKING, signed["thinking"], out)
        self._add(block, _SIGNATURE, signed["signature"], out)
        block.takes = ""

    def _call(self, call: Body, out: list[bytes]) -> None:
        index, function = call.get("index", 0), call.get("function")
        given: Body = function if type(function) is dict else {}
        block = self._calls.get(index) if type(index) is int else None
        if block is None:
            if type(index) is not int or len(self._calls) >= MAX_CALLS:
                return
            start = {"type": "tool_use", "id": tool_id(call, self._id, len(self._calls)), "name": "", "input": {}}
            block = self._calls[index] = _Block(_ARGUMENTS, start)
            block.start["name"] = _name(given)
            self._begin(block, out)
        elif not block.said:
            block.start["name"] = block.start["name"] or _name(given)
        arguments = given.get("arguments")
        self._add(block, _ARGUMENTS, arguments if type(arguments) is str else "", out)

    def _begin(self, block: _Block, out: list[bytes]) -> _Block:
        self._blocks.append(block)
        self._advance(out)
        return block

    def _add(self, block: _Block, kind: str, text: str, out: list[bytes]) -> None:
        """Say a piece of a block, or let it wait for its turn."""
        if kind not in (block.takes, _SIGNATURE):
            return  # a call whose arguments were whole
        if kind == _ARGUMENTS:
            block.keep(text)
        if text:
            block.waiting.append((kind, text))
            self._waiting += len(text)
        if block is self._blocks[0] or self._waiting > MAX_WAITING:
            self._advance(out)

    def _advance(self, out: list[bytes]) -> None:
        """Say what can be said: the first block, and each that follows a finished one."""
        self._flow(out)
        while len(self._blocks) > 1 and (self._blocks[0].is_finished() or self._waiting > MAX_WAITING):
            self._close(out)
            self._flow(out)

    def _flow(self, out: list[bytes], *, last: bool = False) -> None:
        """Say the first block as far as it is known; a call's name is waited for, but not at the `last`."""
        block = self._blocks[0]
        if not block.said:
            if block.takes == _ARGUMENTS and not block.start["name"] and not last and self._waiting <= MAX_WAITING:
                return
            block.said = True
            self._index += 1
            out.append(_event("content_block_start", {"index": self._index, "content_block": block.start}))
        for kind, text in block.waiting:
            self._waiting -= len(text)
            out.append(self._delta(kind, text))
        block.waiting.clear()

    def _close(self, out: list[bytes]) -> None:
        self._blocks.popleft().takes = ""
        out.append(_event("content_block_stop", {"index": self._index}))

    def _opening(self, kind: str) -> bytes:
        return (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
            % (self._index, kind.encode(), _FIELDS[kind])
        )

    def _delta(self, kind: str, text: str) -> bytes:
        return b"%b%b}}\n\n" % (self._opening(kind), orjson.dumps(text))

    def end(self) -> bytes:
        """Return the last events: what still waited, why the answer ended and what it used.

        Where the caller heard the upstream itself, which has told all that, it is the very last alone.
        """
        if not self._id:
            return _STOP
        out: list[bytes] = []
        while self._blocks:
            self._flow(out, last=True)
            self._close(out)
        reason, sequence = stopped(self._finish, self._stops, called=bool(self._calls))
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        out.append(_event("message_delta", {"delta": delta, "usage": usage_of(self._usage)}))
        out.append(_STOP)
        return b"".join(out)


def _name(function: Body) -> str:
    found = function.get("name")
    return found if type(found) is str else ""
