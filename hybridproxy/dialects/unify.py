"""What providers say in words of their own, in OpenAI's: where a caller finds the thinking, why an answer ended.

An event is looked into only where the bytes of such a word are in it, so that all the others pass as they came. Four
things are put right: the field of the thinking (`reasoning_content`; `reasoning_details` stays what it is), the reasons
why a choice ended, calls of tools that come whole (Gemini: without an `index`, and ending with "stop"), and how
probable tokens were (Together: lists beside each other, or one number for the text of a chunk). An error that a chunk
tells beside its choices (Groq) becomes the error that it is.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from hybridproxy.dialects.sse import data_of
from hybridproxy.providers.provider import Provider

THINKING: Final = "reasoning_content"
"""Where a caller of OpenAI's dialect finds what a model thought."""

_PROBABLE: Final = (
    b'"logprobs":{',
    b'"logprobs":-',
    b'"logprobs":0',
    b'"logprobs": {',
    b'"logprobs": -',
    b'"logprobs": 0',
)
"""The beginnings of probabilities that are there; every other chunk has a null."""


class Unifier:
    """Puts the events of one stream right, or one whole answer. Nothing in them makes it raise."""

    __slots__ = ("_called", "_needles", "_row", "_thoughts")

    def __init__(self, row: Provider) -> None:
        """Begin an answer of a provider."""
        self._row = row
        self._needles = needles(row)
        self._thoughts = _thoughts(row)
        self._called: dict[int, int] = {}  # choice -> the calls of tools it has made

    @property
    def looks(self) -> bool:
        """Whether there is any event that it might have to put right."""
        return bool(self._needles)

    def feed(self, event: bytes) -> Sequence[bytes]:
        """Return an event as the caller's dialect has it."""
        if self.leaves(event):
            return (event,)
        body = _parsed(data_of(event) or b"null")
        if self._told_error(body):
            return (b"data: " + orjson.dumps({"error": {"message": body[self._row.error_in]["error"]}}) + b"\n\n",)
        try:
            return (b"data: " + orjson.dumps(body) + b"\n\n" if self.whole(body) else event,)
        except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
            return (event,)

    def leaves(self, event: bytes) -> bool:
        """Return whether nothing in an event has to be put right, as in nearly all."""
        for needle in self._needles:  # a generator would take longer than all the rest
            if needle in event:
                return False
        return not (self._called and b'"stop"' in event)

    def whole(self, body: Any) -> bool:
        """Put the body of an answer that does not stream right, in place; return whether there was anything to."""
        choices = body.get("choices") if type(body) is dict else None
        if type(choices) is not list:
            return False
        changed = [self._change(choice) for choice in choices if type(choice) is dict]
        return any(changed)

    def _told_error(self, body: Any) -> bool:
        beside = body.get(self._row.error_in) if self._row.error_in and type(body) is dict else None
        return type(beside) is dict and type(beside.get("error")) is str and bool(beside["error"])

    def _change(self, choice: dict[str, Any]) -> bool:
        row = self._row
        holder = choice.get("delta") or choice.get("message")
        changed = type(holder) is dict and self._change_holder(holder, choice.get("index"))
        if row.flat_logprobs and ("delta" in choice or "message" in choice):  # of a plain completion lists are OpenAI's
            entries = _entries(choice.get("logprobs"), holder)
            if entries:
                choice["logprobs"] = {"content": entries, "refusal": None}
                changed = True
        reason = choice.get("finish_reason")
        if type(reason) is str and reason in row.finishes:
            choice["finish_reason"] = row.finishes[reason]
            return True
        index = choice.get("index")
        if reason == "stop" and type(index) is int and index in self._called:
            choice["finish_reason"] = "tool_calls"
            return True
        return changed

    def _change_holder(self, holder: dict[str, Any], index: Any) -> bool:
        changed = False
        if self._thoughts and holder.get(self._thoughts):
            thought = holder.pop(self._thoughts)
            holder[THINKING] = holder.get(THINKING) or thought  # Together sends it twice
            changed = True
        calls = holder.get("tool_calls")
        if self._row.whole_tools and type(calls) is list and type(index) is int:
            for call in calls:
                number = self._called.get(index, 0)
                self._called[index] = number + 1
                if type(call) is dict:
                    call["index"] = number
                    call["id"] = call.get("id") or f"call_{number}"
                    changed = True
        return changed


def unifier_of(row: Provider) -> Unifier | None:
    """Return what puts a provider's answers right, None for one that says all as OpenAI does."""
    made = Unifier(row)
    return made if made.looks else None


def needles(row: Provider) -> tuple[bytes, ...]:
    """Return the bytes of which an event has one where it may have to be put right."""
    words = list(row.finishes)
    if name := _thoughts(row):
        words.append(name)
    if row.whole_tools:
        words.append("tool_calls")
    if row.error_in:
        words.append(row.error_in)
    found = tuple(f'"{word}"'.encode() for word in words)
    return found + _PROBABLE if row.flat_logprobs else found


def _thoughts(row: Provider) -> str:
    """Return the field of an answer in which what a model thought may stand, where it is not the usual one."""
    return row.reasons_too if row.reasoning == THINKING else row.reasoning


def _entries(told: Any, holder: Any) -> list[dict[str, Any]]:
    """Return how probable each token was, as OpenAI does; nothing where it is not told, or told as OpenAI does."""
    tokens: Any
    numbers: Any
    others: Any = None
    if type(told) is float or type(told) is int:
        tokens, numbers = [holder.get("content") if type(holder) is dict else None], [told]
    elif type(told) is dict:
        tokens, numbers, others = told.get("tokens"), told.get("token_logprobs"), told.get("top_logprobs")
    else:
        return []
    if type(tokens) is not list or type(numbers) is not list or not all(type(token) is str for token in tokens):
        return []
    if type(others) is not list or len(others) != len(tokens):
        others = [None] * len(tokens)
    return [
        {**_entry(token, number), "top_logprobs": _others(other)}
        for token, number, other in zip(tokens, numbers, others, strict=False)
    ]


def _entry(token: str, number: Any) -> dict[str, Any]:
    return {"token": token, "logprob": number, "bytes": list(token.encode())}


def _others(given: Any) -> list[dict[str, Any]]:
    """Return the tokens that might have stood there, of an object that has a number for each."""
    return [_entry(token, number) for token, number in given.items()] if type(given) is dict else []


def _parsed(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
