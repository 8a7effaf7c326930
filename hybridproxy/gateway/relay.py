"""From upstream to caller: one attempt's answer, read as it comes.

All kinds of attempt are sinks of `transport.upstream`: the loop calls them for each received block, no task wakes.
A stream's events pass as the bytes they were; until the first real output they are held, so that another backend may
still take over. An answer that does not stream is held whole. Where upstream and caller speak different dialects, each
event is decoded to OpenAI's chunks, which everything here reasons about, and the caller's voice says them its way.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import orjson

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.dialects.gather import Gatherer
from hybridproxy.dialects.overlap import DiffersError
from hybridproxy.dialects.seam import Said, Seam
from hybridproxy.dialects.sse import EventTooLongError, Splitter, data_of, fields_of, split_events
from hybridproxy.dialects.tap import Event, StreamTap, read_answer, without_usage
from hybridproxy.dialects.translator import Decoder, Reading, UntranslatableError
from hybridproxy.gateway.attempt import MAX_ERROR_BODY, OK, Attempt, Client, Post
from hybridproxy.gateway.outgoing import PLAIN, Spoken
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.plan import Target
from hybridproxy.model.usage import NOTHING_SEEN, Seen, Usage
from hybridproxy.resilience.events import (
    ClientGone,
    FirstOutput,
)
from hybridproxy.tasks import spawn
from hybridproxy.transport.upstream import Headers

MAX_ANSWER: Final = 64 * 1024 * 1024
MAX_HELD: Final = 1024 * 1024
"""Bytes of events without output that are held before a stream counts as broken."""


class AnswerAttempt(Attempt):
    """An attempt of a call that does not stream."""

    usage: Usage | None = None
    text: int = 0
    seen: Seen = NOTHING_SEEN

    def body(self, data: bytes) -> None:
        """Take a part of the body."""
        if not self._over:
            self._collect(data, MAX_ANSWER if self._status == OK else MAX_ERROR_BODY)

    def end(self) -> None:
        """Take the clean end of the body."""
        if self._over:
            return
        body = self._parsed()
        if self._status != OK:
            self._fail(self._error(body))
            return
        translate = TRANSLATORS[self._way.dialect].answer
        form: Any = None
        with suppress(UntranslatableError):
            form = body if translate is None or type(body) is not dict else translate(self._operation, body)
        changed = self._unifier is not None and self._unifier.whole(form)
        answer = read_answer(self._operation, form, self._provider.cost)
        if answer is not None:
            self.usage, self.text, self.seen = self._with_cost(answer.usage), answer.text, answer.seen
        if answer is None:
            self._fail(self._fault(FaultKind.INTEGRITY, "it is not an answer of this kind"))
        elif answer.error is not None:
            self._fail(self._error(answer.error, billed=answer.text > 0))
        elif self._pins and self._provider.is_pinned(body, self._pins) is False:
            self._fail(self._fault(FaultKind.UNPINNED, ""))
        else:
            try:
                self.answer = self._said_to_the_caller(form, changed=changed)
            except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
                self._fail(self._fault(FaultKind.INTEGRITY, "it is nested too deeply to be written again"))
            else:
                self._finish()

    def _with_cost(self, usage: Usage | None) -> Usage | None:
        """Return usage with what the head says that it costs."""
        return usage if usage is None or not self._head_cost else replace(usage, cost=self._head_cost)

    def _said_to_the_caller(self, form: dict[str, Any], *, changed: bool) -> bytes:
        if self._voice is not None:
            return self._voice.answer(self._named(form))
        if self._way.native or (self._way.dialect is Dialect.OPENAI and not changed):
            return b"".join(self._parts)
        return orjson.dumps(self._named(form))

    def _named(self, form: dict[str, Any]) -> dict[str, Any]:
        """Return a translated answer with the names that OpenAI's have and its own dialect may not."""
        names = {"created": int(self._wall()), "model": self._model}
        return {**names, **form} if self._operation is Operation.CHAT else form


_TELLING: Final = (Event.ERROR, Event.GARBLED, Event.DONE, Event.OUTPUT)
"""Of the chunks that one event of another dialect says, the one that tells what it is."""


class StreamAttempt(Attempt):
    """An attempt of a streaming call."""

    def __init__(
        self,
        n: int,
        call: Call,
        target: Target[Any],
        post: Post,
        wall: Callable[[], float],
        way: Spoken = PLAIN,
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
            way: how the target is spoken to, and how the caller hears of it.
            keep: the stream may have to go on elsewhere, so what the caller gets is kept.
            seam: what makes this stream follow an earlier one, None for a call's first.

        """
        super().__init__(n, call, target, post, wall, way)
        translator = TRANSLATORS[way.dialect]
        self._decoder: Decoder | None = None
        if translator.decoder is not None:
            self._decoder = translator.decoder(Reading(call.model, int(wall()), call if way.native else None))
        self._tap = StreamTap(call.choices, keep=keep and seam is None, cost=self._provider.cost)
        self._seam = seam
        # of a dialect that has usage in each event, only a caller of the same would miss it there
        spoken_for = self._decoder is not None and not way.native and way.voice is None
        self._strips = (keep or spoken_for) and self._provider.running_usage
        self._splitter = Splitter(whole=translator.whole_events, limit=translator.max_event)
        # the Responses API repeats the request's instructions and tools, twice before there is output
        self._max_held = MAX_HELD + (4 * call.size if way.native else 0)
        self._events = False
        self._client: Client | None = None
        self._plain = False  # its events pass as they came, to a caller that is there
        self._announced = False
        self._waiting = False

    def head(self, status: int, headers: Headers) -> None:
        """Take the head: only a 200 with an event stream is a stream."""
        super().head(status, headers)
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        self._events = self._status == OK and kind.lower().startswith(b"text/event-stream")

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
        unifier = self._unifier
        if self._plain and len(events) == 1 and not self._pins and (unifier is None or unifier.leaves(events[0])):
            event = events[0]  # as good as always: one event a block, with output, to a caller that has its head
            kind = self._tap.read(event)
            if kind is Event.OUTPUT:
                self._pass(event)
                return
            self._take(events, (kind,))
            return
        if unifier is not None:
            events = [right for event in events for right in unifier.feed(event)]
        if self._decoder is not None:
            self._translate(events, self._decoder)
        elif events:
            self._take(events, map(self._tap.read, events))

    def _translate(self, events: list[bytes], decoder: Decoder) -> None:
        """Read what an upstream says in another dialect; what it says in the caller's passes as it came."""
        if self._way.native:
            if events:
                self._take(events, [self._read_native(decoder.feed(event)) for event in events])
            return
        chunks = [chunk for event in events for chunk in decoder.feed(event)]
        if chunks:
            self._take(chunks, map(self._tap.read, chunks))

    def _read_native(self, chunks: Sequence[bytes]) -> Event:
        """Return what an event is that says these chunks."""
        kinds = {self._tap.read(chunk) for chunk in chunks}
        return next((kind for kind in _TELLING if kind in kinds), Event.QUIET)

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
                    left = self._left(event, kind)
                except DiffersError:
                    fault = self._fault(FaultKind.DIFFERS, "")
                    break
                output = output or (kind is Event.OUTPUT and (self._seam is None or self._seam.caught_up))
                if left is not None:
                    passed.append(left)
            else:
                fault = self._withheld(event, kind)
                if fault is not None:
                    break
                output = output or self.closing is not None  # an answer of one event
        if passed:
            self._pass(passed[0] if len(passed) == 1 else b"".join(passed))
        if output and not self._announced:
            self._announced = True
            if self.exchange is not None:
                self.exchange.first_output()
            self._post(FirstOutput(self.n))
        if fault is not None:
            self._fail(fault)

    def _withheld(self, event: bytes, kind: Event) -> Fault | None:
        """Take an event that is not for the caller, or not yet; return the fault that it is."""
        if kind is Event.ERROR:
            return self._error(self._tap.error, billed=self._tap.events > 0)
        if kind is Event.GARBLED:
            return self._fault(FaultKind.INTEGRITY, "an event of the stream")
        if kind is Event.DONE and self._way.native and self._tap.finished and self.closing is None:
            said = fields_of(event)
            if said is not None and said.data.strip() != b"[DONE]":  # no other dialect has that mark
                self.closing = event  # what says so too early, or once more, is left out
        return None

    def _left(self, event: bytes, kind: Event) -> bytes | None:
        """Return what of an event is for the caller: not the usage that only we asked for, nor what it has already."""
        plain = without_usage(event) if self._strips and kind is not Event.USAGE else event
        return plain if self._seam is None else self._seam.feed(plain)

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
            self._collect(data, self._max_held)
            return
        if self._voice is not None:
            if data.count(b"\n\n") == 1:  # as good as always
                data = self._voice.feed(data)
            else:
                data = b"".join(map(self._voice.feed, split_events(data)))
            if not data:
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
        self._plain = self._decoder is None and self._seam is None and not self._strips
        held, self._parts = self._parts, []
        if held:
            self._pass(b"".join(held))

    @property
    def usage(self) -> Usage | None:
        """Tokens as the upstream reported them last."""
        return self._tap.usage

    @property
    def seen(self) -> Seen:
        """Output that came since."""
        return self._tap.unreported

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


class GatheredAttempt(StreamAttempt):
    """An attempt of a call that does not stream, at a model that only does."""

    def __init__(
        self,
        n: int,
        call: Call,
        target: Target[Any],
        post: Post,
        wall: Callable[[], float],
        way: Spoken = PLAIN,
    ) -> None:
        """Make the sink of attempt `n`, as for a stream."""
        super().__init__(n, call, target, post, wall, way)
        self._wants_usage = True
        self._announced = True  # nobody waits for the first output of a whole answer
        self._gatherer = Gatherer()

    def _pass(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_ANSWER:
            self._fail(self._fault(FaultKind.INTEGRITY, f"the answer is longer than {MAX_ANSWER} bytes"))
            return
        for event in split_events(data):
            self._gatherer.feed(event)

    def _finish(self) -> None:
        whole = self._gatherer.answer()
        try:
            self.answer = orjson.dumps(whole) if self._voice is None else self._voice.answer(whole)
        except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
            self._fail(self._fault(FaultKind.INTEGRITY, "it is nested too deeply to be written again"))
        else:
            super()._finish()
