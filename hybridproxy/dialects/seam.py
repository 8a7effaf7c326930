"""The seam of a stream that broke and goes on: each event of the next part is made to follow what the caller has.

A `Continuation` is the stream of a backend that was sent what the caller has, to write on from there. A `Repetition` is
the stream of one that was asked anew: it is held back until it has reproduced what the caller has. Both put the first
part's `id`, `created` and `model` into each event and sum the usage. What of the text is new is decided in `overlap`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

import orjson

from hybridproxy.dialects.overlap import DiffersError, Joint, Known
from hybridproxy.dialects.sse import data_of
from hybridproxy.model.usage import Usage
from hybridproxy.model.value import value

_THOUGHT: Final = ("reasoning_content", "reasoning")
_NOT_TEXT: Final = ("tool_calls", "function_call", "audio")


@value
class Said:
    """What the caller has of a stream that broke.

    Attributes:
        id: of the events that went out; None where they had none, then the next part's stays.
        created: the same.
        model: the same.
        text: content that went out.
        usage: of the parts so far, reported or estimated; None: nothing is added.
        role_sent: the caller was told the role.
        reasoning: reasoning that went out; a repetition has to reproduce it too.

    """

    id: str | None
    created: int | None
    model: str | None
    text: str = field(repr=False)
    usage: Usage | None = None
    role_sent: bool = True
    reasoning: str = field(default="", repr=False)


def prefix(said: Said) -> str:
    """Return what a backend is sent to write on from: the text without whitespace at its end, which may leave none."""
    return said.text.rstrip()


def summed(first: Usage | None, second: Usage | None) -> Usage | None:
    """Return the usage of two parts together; of one alone where the other's is not known."""
    if first is None or second is None:
        return first or second
    return first.plus(second)


class Seam(ABC):
    """What both ways share: each event is read, and written anew with the first part's names.

    Nothing in an event makes it raise anything but `DiffersError`, after which it is not to be fed any more.
    """

    __slots__ = ("_parts", "_role", "_role_sent", "_said", "_thoughts")

    def __init__(self, said: Said) -> None:
        """Begin the next part after what was said."""
        self._said = said
        self._role: Any = None
        self._role_sent = said.role_sent
        self._parts = [said.text]
        self._thoughts = [said.reasoning]

    @property
    def caught_up(self) -> bool:
        """Whether the next part has come to the end of what the caller has, so that it flows from now on."""
        return True

    def feed(self, event: bytes) -> bytes | None:
        """Return what is left for the caller of an event as `dialects.sse.Splitter` gave it, None if nothing is.

        Comments and errors pass as they came. The terminal marker does not pass.

        Raises:
            DiffersError: the next part does not follow what the caller has.

        """
        data = data_of(event)
        if data is None:
            return event
        if data.strip() == b"[DONE]":
            return None
        try:
            body = orjson.loads(data)
        except orjson.JSONDecodeError:
            body = None
        if type(body) is not dict:
            return event if self.caught_up else None
        if body.get("error"):
            return event
        left = self._read_choices(body.get("choices"))
        usage = body.get("usage")
        if type(usage) is dict and usage:
            left = True
            if self._said.usage is not None:
                body["usage"] = _added(usage, self._said.usage)
        return self._written(body) if left and self.caught_up else None

    @abstractmethod
    def rest(self) -> bytes | None:
        """Return what is still held, as an event, at the clean end of the next part; None if nothing is.

        Raises:
            DiffersError: the next part ended before it said what the caller has.

        """
        ...

    def said(self, usage: Usage | None) -> Said:
        """Return what the caller has by now, given the usage of this part: where yet another part would begin."""
        first = self._said
        return Said(
            id=first.id,
            created=first.created,
            model=first.model,
            text="".join(self._parts),
            usage=summed(first.usage, usage),
            role_sent=self._role_sent,
            reasoning="".join(self._thoughts),
        )

    @abstractmethod
    def _read(self, choice: dict[str, Any]) -> bool:
        """Cut a choice to what the caller lacks; return whether anything is left."""
        ...

    def _read_choices(self, choices: Any) -> bool:
        if type(choices) is not list or not choices:
            return True  # no chunk of the answer; what it is instead is for the caller to know
        left = False
        for choice in choices:
            if type(choice) is not dict or self._read(choice):
                left = True
        return left

    def _take_role(self, choice: dict[str, Any]) -> None:
        """Take the role out. If the caller has none it waits for the first delta that passes."""
        delta = choice.get("delta")
        role = delta.pop("role", None) if type(delta) is dict else None
        if role and not self._role_sent:
            self._role = role

    def _give_role(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta")
        if self._role is not None and type(delta) is dict:
            delta["role"], self._role = self._role, None
            self._role_sent = True

    def _written(self, body: dict[str, Any]) -> bytes:
        said = self._said
        names = {"id": said.id, "created": said.created, "model": said.model}
        body.update((name, own) for name, own in names.items() if own is not None)
        try:
            return b"data: " + orjson.dumps(body) + b"\n\n"
        except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
            raise DiffersError("an event is nested too deeply to be written again") from None


class Continuation(Seam):
    """The stream of a backend that writes on, of a chat: no character at the seam is lost or comes twice."""

    __slots__ = ("_joint",)

    def __init__(self, said: Said) -> None:
        """Begin after what was said; the backend was sent `prefix(said)`."""
        super().__init__(said)
        self._joint = Joint(said.text)

    def rest(self) -> bytes | None:
        """Return what is still held, as an event, at the clean end of the continuation; None if nothing is."""
        text = self._joint.next("", last=True)
        if not text:
            return None
        self._parts.append(text)
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        self._give_role(choice)
        return self._written({"object": "chat.completion.chunk", "choices": [choice]})

    def _read(self, choice: dict[str, Any]) -> bool:
        self._take_role(choice)
        delta = choice.get("delta")
        fields: dict[str, Any] = delta if type(delta) is dict else {}
        _refuse_more_than_text(fields)
        content = fields.get("content")
        given = content if type(content) is str else ""
        text = self._joint.next(given, last=_is_finish(choice))
        if text != given:
            fields["content"] = text
            choice["delta"] = fields
        if text:
            self._parts.append(text)
        if not _carries(choice):
            return False
        self._give_role(choice)
        return True


class Repetition(Seam):
    """The stream of a backend that was asked anew, of a chat or a completion: only what goes beyond passes."""

    __slots__ = ("_text", "_thought")

    def __init__(self, said: Said) -> None:
        """Begin to compare with what was said."""
        super().__init__(said)
        self._text = Known(said.text)
        self._thought = Known(said.reasoning)

    @property
    def caught_up(self) -> bool:
        """Whether all that the caller has was reproduced."""
        return self._text.reached and self._thought.reached

    def rest(self) -> bytes | None:
        """Return nothing, for nothing is held.

        Raises:
            DiffersError: it ended before it said what the caller has.

        """
        if not self.caught_up:
            raise DiffersError("the repetition ended before it said what the caller has")
        return None

    def _read(self, choice: dict[str, Any]) -> bool:
        self._take_role(choice)
        delta = choice.get("delta")
        fields, name = (delta, "content") if isinstance(delta, dict) else (choice, "text")
        if not self.caught_up:
            self._compare(fields, name)
            if not self.caught_up:
                if _is_finish(choice):
                    self.rest()
                return False
        text, thought = fields.get(name), _thought(fields)
        if type(text) is str:
            self._parts.append(text)
        if type(thought) is str:
            self._thoughts.append(thought)
        if not _carries(choice):
            return False
        self._give_role(choice)
        return True

    def _compare(self, fields: dict[str, Any], name: str) -> None:
        """Take out what the caller has."""
        text, thought = fields.get(name) or "", _thought(fields) or ""
        if type(text) is not str or type(thought) is not str or any(map(fields.get, (*_NOT_TEXT, "refusal"))):
            raise DiffersError("the repetition says something that is not text")
        new_thought, new_text = self._thought.beyond(thought), self._text.beyond(text)
        if (new_thought or new_text) and not self.caught_up:
            raise DiffersError("the repetition says in another order what the caller has")
        if text:
            fields[name] = new_text
        if thought:
            fields.pop("reasoning_details", None)  # the same once more, in pieces that cannot be cut
            fields.update([(key, new_thought) for key in _THOUGHT if fields.get(key) == thought])


def _thought(fields: Mapping[str, Any]) -> Any:
    return fields.get("reasoning_content") or fields.get("reasoning")  # some send it under both names


def _refuse_more_than_text(fields: dict[str, Any]) -> None:
    """Let only text go on. A backend that thinks first, or whose parser takes the text for thought, does not continue.

    vLLM with Qwen3's template may do so: github.com/vllm-project/vllm issue 28089. A thought of nothing but whitespace
    is what such templates leave when thinking is off.
    """
    for name in _THOUGHT:
        thought = fields.get(name)
        if type(thought) is str and not thought.strip():
            del fields[name]
        elif thought:
            raise DiffersError("the continuation thinks")
    if any(map(fields.get, (*_NOT_TEXT, "reasoning_details"))):
        raise DiffersError("the continuation says something that is not text")


def _is_finish(choice: Mapping[str, Any]) -> bool:
    return choice.get("finish_reason") not in (None, "", "null")  # DashScope's own protocol has the word for the value


def _carries(choice: Mapping[str, Any]) -> bool:
    """Return whether a choice says anything."""
    delta = choice.get("delta")
    if any(delta.values()) if type(delta) is dict else delta:
        return True
    return any(found for name, found in choice.items() if name not in {"index", "delta"})


def _added(usage: Mapping[str, Any], before: Usage) -> dict[str, Any]:
    """Return a usage object with what the parts before used. Other fields, such as a cost, are of this part alone."""
    total = summed(before, Usage.from_openai(usage)) or before
    out = {
        **usage,
        "prompt_tokens": total.prompt,
        "completion_tokens": total.completion,
        "total_tokens": total.prompt + total.completion,
    }
    for name, part, tokens in (
        ("prompt_tokens_details", "cached_tokens", total.cached),
        ("prompt_tokens_details", "cache_write_tokens", total.written),
        ("completion_tokens_details", "reasoning_tokens", total.reasoning),
    ):
        if tokens:
            details = out.get(name)
            out[name] = {**(details if type(details) is dict else {}), part: tokens}
    return out
