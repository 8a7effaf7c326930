"""A whole answer out of a stream, for callers who do not stream and models that only do."""

from typing import Any, Final

import orjson

from hybridproxy.dialects.sse import data_of

_TEXTS: Final = ("content", "reasoning_content", "reasoning", "refusal")
_PIECES: Final = frozenset({"data", "transcript", "arguments"})
"""Fields of an object in a delta that come in pieces: those of a sound, and of the older way to call a function."""
MAX_CALLS: Final = 512
"""Tool calls of one choice; more are no answer to any request."""


class Gatherer:
    """Takes the chunks of one stream, in OpenAI's form; nothing in them makes it raise."""

    __slots__ = ("_choices", "_head", "_usage")

    def __init__(self) -> None:
        """Begin with nothing."""
        self._head: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self._usage: Any = None

    def feed(self, event: bytes) -> None:
        """Take an event as `sse.Splitter.feed` gives it; one that cannot be read is left to who judges the stream."""
        try:
            body = orjson.loads(data_of(event) or b"null")
        except orjson.JSONDecodeError:
            return
        if type(body) is not dict:
            return
        for name, given in body.items():
            if given is not None and name not in {"choices", "usage", "object"}:
                self._head.setdefault(name, given)
        self._usage = body.get("usage") or self._usage
        choices = body.get("choices")
        for choice in choices if type(choices) is list else ():
            index = choice.get("index", 0) if type(choice) is dict else None
            if type(index) is int:
                self._choices.setdefault(index, _Choice()).feed(choice)

    def answer(self) -> dict[str, Any]:
        """Return the completion that the chunks make together."""
        made = [self._choices[index].whole(index) for index in sorted(self._choices)]
        chat = any("message" in choice for choice in made)
        answer = {**self._head, "object": "chat.completion" if chat else "text_completion", "choices": made}
        return answer if self._usage is None else {**answer, "usage": self._usage}


class _Choice:
    """One choice of a stream."""

    __slots__ = ("_calls", "_finish", "_logprobs", "_more", "_objects", "_text", "_texts")

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._text: list[str] | None = None
        self._calls: dict[int, dict[str, Any]] = {}
        self._logprobs: dict[str, list[Any]] = {}
        self._finish: Any = None
        self._more: dict[str, Any] = {}
        self._objects: dict[str, dict[str, Any]] = {}

    def feed(self, choice: dict[str, Any]) -> None:
        self._finish = choice.get("finish_reason") or self._finish
        self._take_logprobs(choice.get("logprobs"))
        text, delta = choice.get("text"), choice.get("delta") or choice.get("message")
        if type(delta) is dict:  # Together says the text of a chat a second time, beside it
            self._take_delta(delta)
        elif type(text) is str and "delta" not in choice:
            self._text = [] if self._text is None else self._text
            self._text.append(text)

    def _take_delta(self, delta: dict[str, Any]) -> None:
        for name, given in delta.items():
            if name in _TEXTS:
                if type(given) is str:
                    self._texts.setdefault(name, []).append(given)
            elif name == "tool_calls":
                for call in given if type(given) is list else ():
                    self._take_call(call)
            elif type(given) is list:
                if type(self._more.get(name)) is not list:
                    self._more[name] = []
                self._more[name] += given
            elif type(given) is dict:
                self._take_object(self._objects.setdefault(name, {}), given)
            elif given is not None:
                self._more[name] = given

    def _take_object(self, made: dict[str, Any], given: dict[str, Any]) -> None:
        for name, found in given.items():
            if name in _PIECES and type(found) is str:
                made.setdefault(name, []).append(found)
            elif name not in _PIECES and found is not None:
                made[name] = found

    def _take_call(self, call: Any) -> None:
        index = call.get("index", 0) if type(call) is dict else None
        if type(index) is not int or (index not in self._calls and len(self._calls) >= MAX_CALLS):
            return
        made = self._calls.setdefault(index, {"id": "", "type": "function", "function": {"name": "", "arguments": []}})
        made["id"] = call.get("id") or made["id"]
        function = call.get("function")
        if type(function) is dict:
            made["function"]["name"] = function.get("name") or made["function"]["name"]
            if type(function.get("arguments")) is str:
                made["function"]["arguments"].append(function["arguments"])

    def _take_logprobs(self, logprobs: Any) -> None:
        for name, given in logprobs.items() if type(logprobs) is dict else ():
            if type(given) is list:
                self._logprobs.setdefault(name, []).extend(given)

    def whole(self, index: int) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "finish_reason": self._finish, "logprobs": self._logprobs or None}
        if self._text is not None:
            return {**choice, "text": "".join(self._text)}
        said = {name: "".join(parts) for name, parts in self._texts.items()}
        objects = {name: _joined(made) for name, made in self._objects.items()}
        message: dict[str, Any] = {"role": "assistant", **self._more, **objects, **said}
        message["content"] = said.get("content") or (None if self._calls or "function_call" in objects else "")
        if self._calls:
            message["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": "".join(call["function"]["arguments"])}}
                for _, call in sorted(self._calls.items())
            ]
        return {**choice, "message": message}


def _joined(made: dict[str, Any]) -> dict[str, Any]:
    """Return an object whose texts came in pieces."""
    return {name: "".join(found) if name in _PIECES else found for name, found in made.items()}
