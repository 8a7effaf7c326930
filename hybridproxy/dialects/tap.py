"""What an upstream's answer says, in the form between all dialects: events of a stream, and whole answers.

`StreamTap` reads each event of a stream once.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from enum import Enum, auto
from typing import Any, Final

import orjson

from hybridproxy.dialects.sse import data_of
from hybridproxy.model.call import Operation
from hybridproxy.model.usage import NOTHING_SEEN, Seen, Usage, count_in
from hybridproxy.model.value import value

MAX_INDEX: Final = 8192
"""Choices of one stream; more are no answer to any request."""

_BROKEN_FINISH: Final = ("error", "abort", "insufficient_system_resource")
"""Reasons for which an answer ended before its end: OpenRouter's, vLLM's, DeepSeek's."""


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
        events: pieces of output so far.
        called: characters of tools' names and arguments so far.
        wide: bytes that both have in UTF-8 beyond one a character.
        thought: characters of reasoning so far.
        reported: the usage that came last, as it came; some send it with each chunk.
        error: the event that carried an error.
        said: the pieces of text so far, None unless they are kept for whoever may have to go on with the stream.
        plain: the output so far was nothing but that text.
        head: the first chunk, while `said` is kept: its `id`, `created` and `model` name the stream.

    """

    __slots__ = (
        "_choices", "_cost", "_finished", "_open", "_told", "_usage", "called", "error", "events", "head", "plain",
        "reported", "said", "text", "thought", "wide",
    )  # fmt: skip

    def __init__(self, choices: int = 1, *, keep: bool = False, cost: str = "") -> None:
        """Begin a stream.

        Args:
            choices: how many were asked for.
            keep: its text may have to be gone on with.
            cost: the field of its usage that says what it costs.

        """
        self._choices = choices
        self._cost = cost
        self.said: list[str] | None = [] if keep else None
        self.plain = True
        self.head: dict[str, Any] | None = None
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self.text = self.called = self.events = self.wide = self.thought = 0
        self.reported: dict[str, Any] | None = None
        self._usage: Usage | None = None
        self._told = (0, 0, 0, 0)  # as in `Seen`, of which there would be one a chunk
        self.error: Any = None

    @property
    def usage(self) -> Usage | None:
        """Tokens as the upstream reported them last, None while it has not."""
        if self._usage is None:
            self._usage = _with_thoughts(
                Usage.from_openai(self.reported, self._cost), self.thought, self.text + self.called
            )
        return self._usage

    @property
    def unreported(self) -> Seen:
        """What was seen of the output since usage was reported last."""
        events, text, wide, thought = self._told
        return Seen(self.events - events, self.text + self.called - text, self.wide - wide, self.thought - thought)

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
        usage = body.get("usage")
        if type(choices) is list and len(choices) == 1 and (not usage or type(usage) is dict) and "error" not in body:
            choice = choices[0]  # the usual chunk: one choice, some content, nothing else to say
            if type(choice) is dict and choice.get("finish_reason") is None and "error" not in choice:
                delta, index = choice.get("delta"), choice.get("index")
                if type(delta) is dict and type(index) is int and index in self._open and self._is_usual(delta):
                    if usage:
                        self._take_usage(usage)
                    return Event.OUTPUT
        return self._read_body(body)

    def _is_usual(self, delta: dict[str, Any]) -> bool:
        """Count a delta that is a piece of text, of thought or of arguments and nothing else; False for others."""
        text, keys = delta.get("content"), delta.keys()
        if text:
            if type(text) is not str or not keys <= _PLAIN:
                return False
            if self.said is not None:
                self.said.append(text)
            self.text += len(text)
        elif keys <= _THOUGHT:
            text = delta.get("reasoning_content")
            if type(text) is not str or not text:
                return False
            self.plain = False
            self.text += len(text)
            self.thought += len(text)
        else:
            text = _arguments(delta["tool_calls"]) if keys <= _CALLING else None
            if text is None:
                return False
            self.plain = False
            self.called += len(text)
        self.events += 1
        if not text.isascii():
            self.wide += len(text.encode()) - len(text)
        return True

    def _read_body(self, body: dict[str, Any]) -> Event:
        found = self._read_rest(body)
        usage = body.get("usage")
        if type(usage) is dict and usage:
            self._take_usage(usage)
        return found

    def _take_usage(self, usage: dict[str, Any]) -> None:
        """Take a report, unless it says nothing: some servers send one that is all zeros, whatever was made."""
        told = count_in(usage, "prompt_tokens") or count_in(usage, "completion_tokens")
        if not told and not usage.get(self._cost):
            return
        self.reported, self._usage = usage, None
        self._told = (self.events, self.text + self.called, self.wide, self.thought)

    def _read_rest(self, body: dict[str, Any]) -> Event:
        choices = body.get("choices")
        usage = body.get("usage")
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
            self.events += 1
            self.text += size
            called, wide = _beside(choice)
            self.called += called
            self.wide += wide
            self.thought += _thought(choice)
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
_THOUGHT: Final = _PLAIN | {"reasoning_content"}
_CALLING: Final = _PLAIN | {"tool_calls"}


def _arguments(calls: Any) -> str | None:
    """Return the piece of arguments that one call goes on with, None where there is anything else."""
    call = calls[0] if type(calls) is list and len(calls) == 1 else None
    function = call.get("function") if type(call) is dict else None
    if type(function) is not dict or len(function) != 1:
        return None
    arguments = function.get("arguments")
    return arguments if type(arguments) is str else None


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


def _thought(choice: dict[str, Any]) -> int:
    """Return the characters of reasoning in a choice."""
    holder = choice.get("delta") or choice.get("message")
    found = (holder.get("reasoning_content") or holder.get("reasoning")) if type(holder) is dict else None
    return len(found) if type(found) is str else 0


def _beside(choice: dict[str, Any]) -> tuple[int, int]:
    """Return the characters that tools are called with, and the bytes in UTF-8 of all there is beyond one a character.

    What a tool is called with is its name, and what a function's caller writes as its arguments or another's as input.
    """
    holder = choice.get("delta") or choice.get("message")
    if type(holder) is not dict:
        return 0, _wide(choice.get("text"))
    calls = holder.get("tool_calls")
    listed = [call for call in calls if type(call) is dict] if type(calls) is list else []
    called = [holder.get("function_call"), *(call.get("function") or call.get("custom") for call in listed)]
    texts = [text for one in called if type(one) is dict for text in map(one.get, ("name", "arguments", "input"))]
    size = sum(len(text) for text in texts if type(text) is str)
    thought = holder.get("reasoning_content") or holder.get("reasoning")
    return size, sum(map(_wide, (*texts, holder.get("content"), thought, holder.get("refusal"))))


def _with_thoughts(usage: Usage | None, thought: int, text: int) -> Usage | None:
    """Return usage with the tokens of thoughts that were seen and not reported, by their part of the text.

    DashScope does not report them in Anthropic's dialect, and where a model thinks its whole answer may be dearer.
    """
    if not thought or usage is None or usage.reasoning or not usage.completion:
        return usage
    return replace(usage, reasoning=max(1, usage.completion * thought // text))


def _wide(text: Any) -> int:
    """Return the bytes that a text has in UTF-8 beyond one a character."""
    return len(text.encode()) - len(text) if type(text) is str and not text.isascii() else 0


_OTHER_OUTPUT: Final = frozenset({"tool_calls", "function_call", "audio", "reasoning_details"})


@value
class Answer:
    """A whole answer as read.

    Attributes:
        usage: tokens as the upstream reported them, None: it did not.
        text: characters of content, reasoning and refusal.
        error: that it may carry inside a 200.
        seen: the output, where nobody told how many tokens it has.

    """

    usage: Usage | None
    text: int
    error: Any = field(default=None, repr=False)
    seen: Seen = NOTHING_SEEN


def read_answer(operation: Operation, body: Any, cost: str = "") -> Answer | None:
    """Return what an answer with status 200 says, None when it cannot be an answer (no object, no choices).

    Args:
        operation: what was asked for.
        body: the answer.
        cost: the field of its usage that says what it costs.

    """
    if not isinstance(body, dict):
        return None
    usage = Usage.from_openai(body.get("usage"), cost)
    choices = body.get("choices")
    if body.get("error") or (not choices and _is_flat_error(body)):
        return Answer(usage, 0, body)
    if operation is Operation.EMBEDDING:
        return Answer(usage, 0) if isinstance(body.get("data"), list) else None
    if operation is Operation.COUNT:
        return Answer(usage, 0) if type(body.get("input_tokens")) is int else None
    if not isinstance(choices, list) or not choices or not all(type(choice) is dict for choice in choices):
        return None
    text, thought = sum(_output(choice) or 0 for choice in choices), sum(map(_thought, choices))
    broken = next(filter(_is_broken, choices), None)
    error = None if broken is None else _finish_error(broken)
    if usage is not None and (usage.prompt or usage.completion or usage.cost):
        return Answer(_with_thoughts(usage, thought, text), text, error)
    called, wide = map(sum, zip(*map(_beside, choices), strict=True))
    return Answer(usage, text, error, Seen(text=text + called, wide=wide, thought=thought))


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
