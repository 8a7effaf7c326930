"""What a caller of the Responses API hears: a chat completion's chunks -> the events of a response.

Items are said one after the other, except calls of functions: their deltas may come in any order, so they stay open to
the end. `response.completed` is said at the clean end alone. There is no `[DONE]`.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from hybridproxy.dialects.gather import MAX_CALLS
from hybridproxy.dialects.responses.answer import output_of
from hybridproxy.dialects.responses.object import Frame, Names, logprobs_of, status_of
from hybridproxy.dialects.responses.said import REFUSAL, SUMMARY, TEXT, THOUGHT, Calling, Events, Kind, Speech
from hybridproxy.dialects.sse import data_of
from hybridproxy.dialects.translator import Body, Problem
from hybridproxy.model.call import Call

_TOO_MANY_REQUESTS: Final = 429


class ResponsesVoice:
    """Says one call's answer; nothing in a chunk makes it raise."""

    __slots__ = (
        "_called_so_far", "_calls", "_events", "_finish", "_frame", "_items", "_model", "_names", "_request_id",
        "_speech", "_usage",
    )  # fmt: skip

    def __init__(self, call: Call, request_id: str) -> None:
        """Begin with nothing said."""
        self._frame = Frame(call)
        self._model = call.model
        self._request_id = request_id
        self._events = Events()
        self._names: Names | None = None
        self._items: list[Speech | Calling] = []
        self._speech: Speech | None = None
        self._calls: dict[int, Calling] = {}
        self._called_so_far = 0
        self._finish: Any = None
        self._usage: Any = None

    def answer(self, body: Body) -> bytes:
        """Return a whole answer, given as a chat completion."""
        names = self._named(body)
        choices = body.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        status, reason = status_of(choice.get("finish_reason"))
        output = output_of(choice, names, summarises=self._frame.summarises)
        return self._frame.response(names, status, output, usage=body.get("usage"), incomplete=reason)

    def feed(self, event: bytes) -> bytes:
        """Return the events that a chunk is to the caller."""
        data = data_of(event)
        if data is None:
            return event  # a comment, which keeps the connection alive
        try:
            body = orjson.loads(data)
        except orjson.JSONDecodeError:
            return b""
        if type(body) is not dict:
            return b""
        begun = b"" if self._names is not None else self._begin(body)
        usage = body.get("usage")
        if usage:
            self._usage = usage
        choices = body.get("choices")
        if type(choices) is not list or not choices or type(choices[0]) is not dict:
            return begun
        choice = choices[0]
        self._finish = choice.get("finish_reason") or self._finish
        delta = choice.get("delta") or choice.get("message")
        return begun + self._take(delta, choice) if type(delta) is dict else begun

    def end(self) -> bytes:
        """Return what ends a response: what is open, then the whole of it."""
        said = [] if self._names is not None else [self._begin({})]
        status, reason = status_of(self._finish)
        if not self._items:
            said.append(self._spoken(TEXT, "", []))
        if self._speech is not None:
            said.append(self._speech.close(status))
        said += [call.close(status) for call in self._open_calls()]
        return b"".join([*said, self._whole(f"response.{status}", status, incomplete=reason)])

    def error(self, problem: Problem) -> bytes:
        """Return the events of a response that broke: the error, and that it failed, if it began here.

        The SDK raises at a field `error`; the documented event has what is in it beside its type. Both are given. The
        codes that a failed response may have are few.
        """
        told = {"code": problem.code, "message": problem.message, "param": problem.param}
        said = self._events.event("error", {**told, "error": {"type": problem.type, **told}})
        if self._names is None:
            return said
        throttled = problem.status == _TOO_MANY_REQUESTS
        error = {"code": "rate_limit_exceeded" if throttled else "server_error", "message": problem.message}
        return said + self._whole("response.failed", "failed", error=error)

    def _named(self, body: Mapping[str, Any]) -> Names:
        return Names(body, model=self._model, request_id=self._request_id)

    def _begin(self, body: Mapping[str, Any]) -> bytes:
        names = self._names = self._named(body)
        response = self._frame.response(names, "in_progress", [])
        created = self._events.of_response("response.created", response)
        return created + self._events.of_response("response.in_progress", response)

    def _whole(self, event: str, status: str, **more: Any) -> bytes:
        names = self._names
        assert names is not None  # noqa: S101 - it was begun
        part = "incomplete" if status != "completed" else status
        open_ = {id(self._speech), *map(id, self._open_calls())}
        output = [item.item(part if id(item) in open_ else "completed") for item in self._items]
        return self._events.of_response(event, self._frame.response(names, status, output, usage=self._usage, **more))

    def _take(self, delta: dict[str, Any], choice: dict[str, Any]) -> bytes:
        said = b""
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if type(thought) is str and thought:
            said = self._spoken(SUMMARY if self._frame.summarises else THOUGHT, thought, [])
        blocks = delta.get("thinking_blocks")
        if type(blocks) is list and blocks:
            said += self._signed(blocks)
        text, logprobs = delta.get("content"), choice.get("logprobs")
        if logprobs or (type(text) is str and text):
            probable = logprobs_of(choice) if logprobs else []
            text = text if type(text) is str else ""
            if text or probable:
                said += self._spoken(TEXT, text, probable)
        refusal = delta.get("refusal")
        if type(refusal) is str and refusal:
            said += self._spoken(REFUSAL, refusal, [])
        calls = delta.get("tool_calls")
        if type(calls) is list and calls:
            said += b"".join([self._called(call) for call in calls if type(call) is dict])
        return said

    def _spoken(self, kind: Kind, text: str, logprobs: list[dict[str, Any]]) -> bytes:
        """Return the events for a piece of text, in the open item or in a new one."""
        speech = self._speech
        if speech is not None and speech.kind.item == kind.item:
            return speech.say(kind, text, logprobs)
        said = self._open(kind)
        assert self._speech is not None  # noqa: S101 - it is open now
        return said + self._speech.say(kind, text, logprobs)

    def _open(self, kind: Kind) -> bytes:
        said = self._silence()
        speech = self._speech = Speech(self._events, kind, self._id(kind.item), len(self._items))
        self._items.append(speech)
        return said + speech.open()

    def _silence(self) -> bytes:
        """Return the events that end the open text."""
        speech, self._speech = self._speech, None
        return b"" if speech is None else speech.close("completed")

    def _signed(self, blocks: list[Any]) -> bytes:
        speech, said = self._speech, b""
        if speech is None or speech.kind.item != THOUGHT.item:
            said = self._open(SUMMARY if self._frame.summarises else THOUGHT)
            speech = self._speech
        assert speech is not None  # noqa: S101 - it is open now
        speech.sign(blocks)
        return said

    def _called(self, given: dict[str, Any]) -> bytes:
        index, function = given.get("index", 0), given.get("function")
        function = function if type(function) is dict else {}
        id_, name, arguments = _text(given.get("id")), _text(function.get("name")), _text(function.get("arguments"))
        call = self._calls.get(index) if type(index) is int else None
        # a second call under the index of the first: Gemini's layer numbers none of them
        if call is not None and not (id_ and name and id_ != call.given_id):
            return call.say(name, arguments)
        if type(index) is not int or self._called_so_far >= MAX_CALLS:
            return b""
        self._called_so_far += 1
        said = self._silence()
        call = Calling(self._events, self._id("fc"), len(self._items), id_ or self._id("call"))
        self._calls[index] = call
        self._items.append(call)
        return said + call.say(name, arguments)

    def _open_calls(self) -> list[Calling]:
        return [item for item in self._items if type(item) is Calling]

    def _id(self, prefix: str) -> str:
        names = self._names
        assert names is not None  # noqa: S101 - it was begun
        return names.item(prefix, len(self._items))


def _text(given: Any) -> str:
    return given if type(given) is str else ""
