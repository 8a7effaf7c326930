"""From upstream to caller: one attempt's answer, read as it comes.

Both kinds of attempt are sinks of `transport.upstream`: the loop calls them for each received block, no task wakes.
A stream's events pass as the bytes they were; until the first real output they are held, so that another backend may
still take over. An answer that does not stream is held whole.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import orjson

from hybridproxy.dialects.openai import Event, StreamTap, read_answer, without_usage
from hybridproxy.dialects.overlap import DiffersError
from hybridproxy.dialects.seam import Said, Seam
from hybridproxy.dialects.sse import EventTooLongError, Splitter, data_of
from hybridproxy.model.call import Call
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.plan import Target
from hybridproxy.model.usage import Usage
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.faults import classify
from hybridproxy.resilience.events import (
    ClientGone,
    Failed,
    Finished,
    FirstOutput,
)
from hybridproxy.resilience.events import (
    Event as CallEvent,
)
from hybridproxy.tasks import spawn
from hybridproxy.transport.upstream import Exchange, Headers

MAX_ERROR_BODY: Final = 64 * 1024
MAX_ANSWER: Final = 64 * 1024 * 1024
MAX_HELD: Final = 1024 * 1024
"""Bytes of events without output that are held before a stream counts as broken."""

OK: Final = 200
Post = Callable[[CallEvent], None]


class Client(Protocol):
    """The caller's side of a stream."""

    def open(self, headers: dict[str, str]) -> None:
        """Begin a stream; its head may wait for the first events."""
        ...

    def write(self, data: bytes) -> bool:
        """Send whole events; return whether the caller reads more slowly than we write."""
        ...

    async def drained(self) -> bool:
        """Wait until it is no longer congested; False when it stopped reading for good."""
        ...

    def end(self, data: bytes) -> None:
        """Send the last events, and end the stream cleanly."""
        ...

    def cut(self) -> None:
        """Send what was written, then close without the mark of a clean end."""
        ...


def _nobody_listens(_event: CallEvent) -> None:
    """Stand in for a call that is over."""


class Attempt:
    """What both kinds share: the head, and an error's body."""

    def __init__(self, n: int, call: Call, target: Target[Any], post: Post, wall: Callable[[], float]) -> None:
        """Make the sink of attempt `n`; `post` takes what happens, `wall` tells seconds since the epoch."""
        self.n = n
        self.backend: str = target.backend.id
        self.exchange: Exchange | None = None
        self._provider = PROVIDERS[target.backend.provider]
        self._secret = target.credential.secret
        self._pins: tuple[str, ...] = target.backend.pin if self._provider.answered_by else ()
        self._operation = call.operation  # and not the call: its body need not live as long as the answer
        self._wants_usage = call.wants_usage
        self._post = post
        self._wall = wall
        self._status = 0
        self._retry_after: str | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._over = False

    def head(self, status: int, headers: Headers) -> None:
        """Take the head of the answer."""
        self._status = status
        if status != OK:
            self._retry_after = next((v.decode("latin-1") for name, v in headers if name == b"retry-after"), None)

    def failed(self, fault: Fault) -> None:
        """Take the end of an attempt that broke off. An error whose body broke off is still that error."""
        if self._status not in {0, OK}:
            self._fail(self._error(self._parsed()))
        else:
            self._fail(fault)

    def said(self, usage: Usage | None) -> Said | None:  # noqa: ARG002 - a stream's own
        """Return what the caller has of the answer; of one that does not stream it has nothing."""
        return None

    def release(self) -> None:
        """Let go of the call and of the connection, cancelling what is under way.

        They hold the attempt in turn, and what is free of circles is freed at once: collecting the circles of each
        call as garbage took a sixth of a worker's time.
        """
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.cancel()
        self._post = _nobody_listens

    def _collect(self, data: bytes, limit: int) -> None:
        self._size += len(data)
        if self._size > limit:
            if self._status != OK:
                self._fail(self._error(None))
            else:
                self._fail(self._fault(FaultKind.INTEGRITY, f"the answer is longer than {limit} bytes"))
            return
        self._parts.append(data)

    def _parsed(self) -> Any:
        data = b"".join(self._parts).removeprefix(b"data:")  # DashScope frames the error of a stream like an event
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            return None

    def _error(self, body: Any, *, billed: bool = False) -> Fault:
        return classify(
            self._provider.faults,
            self._status,
            body,
            backend=self.backend,
            secret=self._secret,
            retry_after=self._retry_after,
            wall=self._wall(),
            billed=billed,
        )

    def _fault(self, kind: FaultKind, detail: str) -> Fault:
        return Fault(kind, detail, self.backend, status=None, billed=True)

    def _fail(self, fault: Fault) -> None:
        if not self._over:
            self._over = True
            if self.exchange is not None:
                self.exchange.cancel(fault.kind.name.lower())
            self._post(Failed(self.n, fault, self.said(None) is not None))

    def _finish(self) -> None:
        self._over = True
        self._post(Finished(self.n))


class AnswerAttempt(Attempt):
    """An attempt of a call that does not stream: `answer` is the whole body once it is there and sound."""

    answer: bytes = b""
    usage: Usage | None = None
    text: int = 0

    def body(self, data: bytes) -> None:
        """Take a part of the body."""
        if not self._over:
            self._collect(data, MAX_ANSWER if self._status == OK else MAX_ERROR_BODY)

    def end(self) -> None:
        """Take the clean end of the body."""
        if self._over:
            return
        if self._status != OK:
            self._fail(self._error(self._parsed()))
            return
        self.answer = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        answer = read_answer(self._operation, self.answer)
        if answer is None:
            self._fail(self._fault(FaultKind.INTEGRITY, "it is not an answer of this kind"))
        elif answer.error is not None:
            self._fail(self._error(answer.error, billed=answer.text > 0))
        elif self._pins and self._provider.is_pinned(self._parsed(), self._pins) is False:
            self._fail(self._fault(FaultKind.UNPINNED, ""))
        else:
            self.usage, self.text = answer.usage, answer.text
            self._finish()


class StreamAttempt(Attempt):
    """An attempt of a streaming call."""

    def __init__(
        self,
        n: int,
        call: Call,
        target: Target[Any],
        post: Post,
        wall: Callable[[], float],
        *,
        keep: bool = False,
        seam: Seam | None = None,
    ) -> None:
        """Make the sink of attempt `n`.

        Args:
            n: which attempt of the call.
            call: the call.
            target: where it goes.
            post: takes what happens.
            wall: tells seconds since the epoch.
            keep: the stream may have to go on elsewhere, so what the caller gets is kept.
            seam: what makes this stream follow an earlier one, None for a call's first.

        """
        super().__init__(n, call, target, post, wall)
        self._tap = StreamTap(call.choices, keep=keep and seam is None)
        self._seam = seam
        self._strips = keep and self._provider.running_usage
        self._splitter = Splitter()
        self._events = False
        self._client: Client | None = None
        self._announced = False
        self._waiting = False

    def head(self, status: int, headers: Headers) -> None:
        """Take the head: only a 200 with an event stream is a stream."""
        super().head(status, headers)
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        self._events = status == OK and kind.lower().startswith(b"text/event-stream")

    def body(self, data: bytes) -> None:
        """Take a block: read each event once, and pass on or hold what is meant for the caller."""
        if self._over:
            return
        if not self._events:
            self._collect(data, MAX_ERROR_BODY)
            return
        try:
            events = self._splitter.feed(data)
        except EventTooLongError:
            self._fail(self._fault(FaultKind.INTEGRITY, "an event is too long"))
            return
        if len(events) == 1 and self._client is not None and self._seam is None and not self._strips:
            event = events[0]  # as good as always: one event a block, with output, to a caller that has its head
            kind = self._tap.read(event)
            if kind is Event.OUTPUT:
                self._pass(event)
                return
            self._take(events, (kind,))
        elif events:
            self._take(events, map(self._tap.read, events))

    def _take(self, events: list[bytes], kinds: Iterable[Event]) -> None:
        passed: list[bytes] = []
        output = False
        fault: Fault | None = None
        for event, kind in zip(events, kinds, strict=True):
            if self._pins and self._is_unpinned(event):
                fault = self._fault(FaultKind.UNPINNED, "")
                break
            if kind is Event.OUTPUT or kind is Event.QUIET or (kind is Event.USAGE and self._wants_usage):
                try:
                    plain = without_usage(event) if self._strips and kind is not Event.USAGE else event
                    left = plain if self._seam is None else self._seam.feed(plain)
                except DiffersError:
                    fault = self._fault(FaultKind.DIFFERS, "")
                    break
                output = output or (kind is Event.OUTPUT and (self._seam is None or self._seam.caught_up))
                if left is not None:
                    passed.append(left)
            elif kind is Event.ERROR:
                fault = self._error(self._tap.error, billed=self._tap.text > 0)
                break
            elif kind is Event.GARBLED:
                fault = self._fault(FaultKind.INTEGRITY, "an event of the stream")
                break
        if passed:
            self._pass(passed[0] if len(passed) == 1 else b"".join(passed))
        if output and not self._announced:
            self._announced = True
            if self.exchange is not None:
                self.exchange.first_output()
            self._post(FirstOutput(self.n))
        if fault is not None:
            self._fail(fault)

    def _is_unpinned(self, event: bytes) -> bool:
        """Return whether an event names somebody else than the pinned ones; once one of them is named, no more."""
        try:
            pinned = self._provider.is_pinned(orjson.loads(data_of(event) or b"null"), self._pins)
        except orjson.JSONDecodeError:
            return False
        if pinned:
            self._pins = ()
        return pinned is False

    def _pass(self, data: bytes) -> None:
        client = self._client
        if client is None:
            self._collect(data, MAX_HELD)
            return
        if client.write(data) and not self._waiting and self.exchange is not None:
            self._waiting = True
            self.exchange.pause()
            spawn(self._wait(client), "relay: caller reads slowly")

    async def _wait(self, client: Client) -> None:
        """Let the upstream wait until the caller has read what was written."""
        if not await client.drained():
            self._post(ClientGone(Fault(FaultKind.CLIENT_STALLED, "", self.backend, billed=True)))
        elif self.exchange is not None:
            self._waiting = False
            self.exchange.resume()

    def attach(self, client: Client) -> None:
        """Send what was held; from now on everything goes straight to the caller."""
        self._client = client
        held, self._parts = self._parts, []
        if held:
            self._pass(b"".join(held))

    @property
    def usage(self) -> Usage | None:
        """Tokens as the upstream reported them last."""
        return self._tap.usage

    @property
    def text(self) -> int:
        """Characters of output so far; where this stream follows another, of all that the caller has."""
        return self._tap.text if self._seam is None else len(self._seam.said(None).text)

    def said(self, usage: Usage | None) -> Said | None:
        """Return what the caller has of the answer, given this part's usage; None where nothing can follow it.

        Nothing can when the output was more than text, or when it has come to its finish reason: then there is nothing
        to go on with.
        """
        tap = self._tap
        if tap.finished:
            return None
        if self._seam is not None:
            return self._seam.said(usage)
        if tap.said is None or not tap.plain or tap.head is None:
            return None
        named = {name: tap.head.get(name) for name in ("id", "created", "model")}
        return Said(
            id=named["id"] if type(named["id"]) is str else None,
            created=named["created"] if type(named["created"]) is int else None,
            model=named["model"] if type(named["model"]) is str else None,
            text="".join(tap.said),
            usage=usage,
        )

    def end(self) -> None:
        """Take the clean end of the body: complete only with a finish reason on every choice."""
        if self._over:
            return
        if not self._events:
            self._end_without_events()
            return
        if self._splitter.rest not in {b"", b"data: [DONE]", b"data:[DONE]"}:
            self._fail(self._fault(FaultKind.CUT, "the stream ended inside an event"))
        elif not self._tap.finished:
            self._fail(self._fault(FaultKind.CUT, "the stream ended without a finish reason"))
        elif self._flushed():
            self._finish()

    def _flushed(self) -> bool:
        """Pass on what a seam still held; False when it turns out that the parts do not fit."""
        if self._seam is None:
            return True
        try:
            rest = self._seam.rest()
        except DiffersError:
            self._fail(self._fault(FaultKind.DIFFERS, ""))
            return False
        if rest is not None:
            self._pass(rest)
        return True

    def _end_without_events(self) -> None:
        body = self._parsed()
        if self._status != OK or (isinstance(body, dict) and body.get("error")):
            self._fail(self._error(body))
        else:
            self._fail(self._fault(FaultKind.INTEGRITY, "it is no event stream though one was asked for"))
