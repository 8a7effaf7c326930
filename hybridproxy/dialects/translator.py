"""What a dialect is: a row of functions that turn it into the form between all dialects, and back.

That form is OpenAI's chat completion: the request's body, a whole answer, the chunks of a stream. What other dialects
have beyond it stands in fields of their own names, which providers take or leave.

    caller            request -> `decode` -> `Call.body`                        what comes back -> `Voice` -> caller
    upstream          `Call.body` -> `request` -> upstream                      upstream -> `Decoder`, `answer`
    both alike        `Call.native` -> `repeat` -> upstream                     upstream's bytes -> caller
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from hybridproxy.dialects.sse import MAX_EVENT
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.value import value
from hybridproxy.providers.provider import CONTROL_FIELDS

Body = dict[str, Any]


class UntranslatableError(Exception):
    """An upstream's answer that is none in its own dialect."""


@value
class Asking:
    """What a request says beside its body.

    Attributes:
        operation: what the path asks for.
        variant: which of the dialect's paths for that operation it is.
        events: a header asks for server-sent events.
        headers: the headers that the dialect's row names, as far as they were sent; each name once.

    """

    operation: Operation
    variant: str = ""
    events: bool = False
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@value
class Problem:
    """An error as a caller is told of it, in the words of OpenAI's dialect."""

    status: int
    message: str = field(repr=False)
    type: str
    code: str
    param: str | None = None


@value
class Outgoing:
    """What an upstream is sent.

    Attributes:
        body: the JSON.
        headers: what the request has beside it.
        dropped: fields of the caller's that were left out.
        variant: which of the dialect's paths it goes to; "": its only one.

    """

    body: Body = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    dropped: tuple[str, ...] = ()
    variant: str = ""


class Voice(Protocol):
    """What one caller hears of its call; it lives as long as the call, over all attempts."""

    def answer(self, body: Body) -> bytes:
        """Return a whole answer, given as a chat completion (or embeddings, or a count)."""
        ...

    def feed(self, event: bytes) -> bytes:
        """Return what the caller gets for an event of a stream, in the form of `sse.Splitter.feed`; maybe nothing.

        It is a chunk with choices, a chunk with usage, or an empty comment; it never makes this raise.
        """
        ...

    def end(self) -> bytes:
        """Return the last events of a stream that came to a clean end."""
        ...

    def error(self, problem: Problem) -> bytes:
        """Return the last event of a stream that broke; nothing follows it."""
        ...


@value
class Reading:
    """What a decoder is told of the stream that it reads.

    Attributes:
        model: as the caller calls it.
        created: when it was asked, seconds since the epoch.
        native: the call, where its own words went upstream and the events go back as they come; None: translated.

    """

    model: str
    created: int
    native: Call | None = field(default=None, repr=False)


class Decoder(Protocol):
    """Reads one stream of an upstream that speaks the dialect."""

    def feed(self, event: bytes) -> Sequence[bytes]:
        """Return the chunks that an event says, each as `data: …` and an empty line; `data: [DONE]` for its last.

        An error becomes a chunk with `error`. What cannot be read is given as it came: nobody can read it then.
        """
        ...


@value
class Translator:
    """One dialect.

    Attributes:
        dialect: which.
        paths: path of a request -> what it asks for and in which variant.
        decode: makes a call of a request; raises `RequestError`.
        voice: makes what the caller of a call hears, given the request's id; None: OpenAI's chunks as they are.
        problem: status and body of an error, given the request's id.
        request: turns a call's body, made for one provider, into what an upstream that speaks the dialect is sent;
            the second argument tells whether it shall stream. None: upstreams hear it in callers' own words alone.
        repeat: the same in a caller's own words, given the upstream's name of the model.
        fits: tells whether a caller's own words are good for the upstream's model of that name; None: for any. Where
            they are not they are translated.
        decoder: reads an upstream's stream; None: its events are chunks already.
        answer: turns an upstream's whole answer into a chat completion, whose `model` and `created` may be left out;
            raises `UntranslatableError`.
        whole_events: an event's other lines tell more than its data, and have to be kept.
        max_event: bytes of an upstream's longest event.
        headers: names of the caller's headers that `decode` gets, in lower case.
        longest: where a caller's own words have the most tokens of an answer; (): where OpenAI's have it.

    """

    dialect: Dialect
    paths: Mapping[str, tuple[Operation, str]]
    decode: Callable[[Asking, bytes], Call]
    problem: Callable[[Problem, str], tuple[int, bytes]]
    voice: Callable[[Call, str], Voice] | None = None
    request: Callable[[Body, bool], Outgoing] | None = None
    repeat: Callable[[Call, str], Outgoing] | None = None
    fits: Callable[[Call, str], bool] | None = None
    decoder: Callable[[Reading], Decoder] | None = None
    answer: Callable[[Operation, Body], Body] | None = None
    whole_events: bool = False
    max_event: int = MAX_EVENT
    headers: tuple[str, ...] = ()
    longest: tuple[str, ...] = ()


def repeated(call: Call, model: str) -> Outgoing:
    """Return a call in the caller's own words, without what would steer the upstream."""
    native = call.body if call.native is None else call.native
    body = {name: given for name, given in native.items() if name not in CONTROL_FIELDS}
    body["model"] = model
    return Outgoing(body, call.headers)
