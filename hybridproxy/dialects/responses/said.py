"""The output items of a response while they are being said, and the events that say them.

An event is written once, by hand where it comes for every token; a text is joined once, when its item is done.
Source: `openai` 3.54, `types/responses/response_*_event.py`.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from hybridproxy.dialects.responses.object import Item, call_item, message_item, reasoning_item, text_part
from hybridproxy.dialects.responses.seal import sealed
from hybridproxy.model.value import value


class Events:
    """Writes events, each with the next number."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        """Begin at 0."""
        self.count = 0

    def event(self, name: str, fields: Mapping[str, Any]) -> bytes:
        """Return an event."""
        number, self.count = self.count, self.count + 1
        data = orjson.dumps({"type": name, "sequence_number": number, **fields})
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)

    def of_response(self, name: str, response: bytes) -> bytes:
        """Return an event that has the whole `response` object."""
        number, self.count = self.count, self.count + 1
        said = name.encode()
        return b'event: %b\ndata: {"type":"%b","sequence_number":%d,"response":%b}\n\n' % (
            said,
            said,
            number,
            response,
        )

    def delta(self, head: bytes, text: str) -> bytes:
        """Return a delta whose head `head_of` made."""
        number, self.count = self.count, self.count + 1
        return b'%b%b,"sequence_number":%d}\n\n' % (head, orjson.dumps(text), number)


def head_of(name: str, fields: Mapping[str, Any]) -> bytes:
    """Return what all deltas of one part begin with."""
    data = orjson.dumps({"type": name, **fields})[:-1]
    return b'event: %b\ndata: %b,"delta":' % (name.encode(), data)


@value
class Kind:
    """How one kind of text is said.

    Attributes:
        item: the prefix of its item's id, which tells what item it is in.
        part: type of the part.
        text: the field with the text.
        index: the field that numbers the parts.
        added: event that begins the part.
        delta: event with more of it.
        done: event with all of it.
        ended: event that ends the part.
        logprobs: its events have log probabilities.

    """

    item: str
    part: str
    text: str
    index: str
    added: str
    delta: str
    done: str
    ended: str
    logprobs: bool = False


def _kind(item: str, part: str, delta: str, *, text: str = "text", logprobs: bool = False) -> Kind:
    return Kind(
        item, part, text, "content_index",
        "response.content_part.added", f"response.{delta}.delta",
        f"response.{delta}.done", "response.content_part.done",
        logprobs,
    )  # fmt: skip


TEXT: Final = _kind("msg", "output_text", "output_text", logprobs=True)
REFUSAL: Final = _kind("msg", "refusal", "refusal", text="refusal")
THOUGHT: Final = _kind("rs", "reasoning_text", "reasoning_text")
SUMMARY: Final = Kind(
    "rs", "summary_text", "text", "summary_index",
    "response.reasoning_summary_part.added", "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done", "response.reasoning_summary_part.done",
)  # fmt: skip

ADDED: Final = "response.output_item.added"
DONE: Final = "response.output_item.done"


class Speech:
    """A message, or a thought: an item of parts that are texts, of which one is open."""

    __slots__ = ("_at", "_blocks", "_events", "_head", "_id", "_index", "_logprobs", "_parts", "_pieces", "kind")

    def __init__(self, events: Events, kind: Kind, id_: str, index: int) -> None:
        """Prepare an item; `open` says that it begins."""
        self._events = events
        self.kind = kind
        self._id = id_
        self._index = index
        self._parts: list[dict[str, Any]] = []
        self._pieces: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._blocks: list[Any] = []
        self._at: dict[str, Any] = {}
        self._head = b""

    def open(self) -> bytes:
        """Return the events that begin the item; a thought that may stay hidden has no part yet."""
        item = self.item("in_progress")
        return self._events.event(ADDED, {"output_index": self._index, "item": item})

    def say(self, kind: Kind, text: str, logprobs: list[dict[str, Any]]) -> bytes:
        """Return the events for more text of a kind, which belongs to an item like this."""
        begun = b""
        if kind is not self.kind or not self._head:
            begun = self._end() + self._begin(kind)
        self._pieces.append(text)
        if not logprobs:
            return begun + self._events.delta(self._head, text)
        self._logprobs += logprobs
        return begun + self._events.event(kind.delta, {**self._at, "delta": text, "logprobs": logprobs})

    def sign(self, blocks: list[Any]) -> None:
        """Take signed blocks of thought."""
        self._blocks += blocks

    def close(self, status: str) -> bytes:
        """Return the events that end the item."""
        ended = self._end()
        return ended + self._events.event(DONE, {"output_index": self._index, "item": self.item(status)})

    def item(self, status: str) -> Item:
        """Return the item as far as it was said."""
        parts = [*self._parts, self._part("".join(self._pieces))] if self._head else self._parts
        if self.kind.item == TEXT.item:
            return message_item(self._id, status, parts)
        thought = "".join(part["text"] for part in parts)
        seal = sealed(self._blocks, thought) if self._blocks else None
        return reasoning_item(self._id, status, parts, seal)

    def _begin(self, kind: Kind) -> bytes:
        self.kind = kind
        self._at = {"item_id": self._id, "output_index": self._index, kind.index: len(self._parts)}
        more: dict[str, Any] = {"logprobs": []} if kind.logprobs else {}
        self._head = head_of(kind.delta, {**self._at, **more})
        return self._events.event(kind.added, {**self._at, "part": self._part("")})

    def _part(self, text: str) -> dict[str, Any]:
        kind = self.kind
        return text_part(text, self._logprobs) if kind.logprobs else {"type": kind.part, kind.text: text}

    def _end(self) -> bytes:
        """Return the events that end the open part, if there is one."""
        if not self._head:
            return b""
        kind, text = self.kind, "".join(self._pieces)
        part = self._part(text)
        more: dict[str, Any] = {"logprobs": self._logprobs} if kind.logprobs else {}
        said = self._events.event(kind.done, {**self._at, kind.text: text, **more})
        said += self._events.event(kind.ended, {**self._at, "part": part})
        self._parts.append(part)
        self._pieces, self._logprobs, self._head = [], [], b""
        return said


class Calling:
    """A call of a function. It is announced with its name, which some upstreams give later than the first arguments."""

    __slots__ = ("_arguments", "_events", "_head", "_id", "_index", "_name", "given_id")

    def __init__(self, events: Events, id_: str, index: int, call_id: str) -> None:
        """Prepare an item."""
        self._events = events
        self._id = id_
        self._index = index
        self.given_id = call_id
        self._name = ""
        self._arguments: list[str] = []
        self._head = b""

    def say(self, name: str, arguments: str) -> bytes:
        """Return the events for more of it; nothing while it has no name."""
        if arguments:
            self._arguments.append(arguments)
        if self._head:
            return self._events.delta(self._head, arguments) if arguments else b""
        self._name = name
        return self._open() if name else b""

    def close(self, status: str) -> bytes:
        """Return the events that end the item."""
        begun = b"" if self._head else self._open()
        item = self.item(status)
        at = {"item_id": self._id, "output_index": self._index}
        said = {**at, "name": self._name, "arguments": item["arguments"]}
        done = self._events.event("response.function_call_arguments.done", said)
        return begun + done + self._events.event(DONE, {"output_index": self._index, "item": item})

    def item(self, status: str) -> Item:
        """Return the item with the arguments so far."""
        arguments = "".join(self._arguments)
        return call_item(self._id, status, self.given_id, self._name, arguments)

    def _open(self) -> bytes:
        item = call_item(self._id, "in_progress", self.given_id, self._name, "")
        added = self._events.event(ADDED, {"output_index": self._index, "item": item})
        at = {"item_id": self._id, "output_index": self._index}
        self._head = head_of("response.function_call_arguments.delta", at)
        held = "".join(self._arguments)
        return added + self._events.delta(self._head, held) if held else added
