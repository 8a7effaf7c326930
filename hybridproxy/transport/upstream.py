"""One request to an upstream and the connection it runs on: HTTP/1.1 without a task woken for a chunk.

`data_received` reads a block with llhttp and calls the sink at once: at most one `head`, one `body` and one `end` a
block. Who opens, keeps and drops connections is `pool`'s business.
"""

import asyncio
import hashlib
import ssl
from dataclasses import field, replace
from typing import Protocol, cast

from hybridproxy.model.backend import Timeouts
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.value import value
from hybridproxy.residency.records import Origin
from hybridproxy.stores.trail import Trail
from hybridproxy.transport.faults import lost_fault
from hybridproxy.transport.response import Headers, ResponseReader
from hybridproxy.transport.sweep import Sweep

__all__ = ["Connection", "Exchange", "Headers", "Pool", "Sink", "UpstreamRequest"]

STALE_AFTER = 1.0
"""Seconds a connection must have been idle for its end to be a stale one's: closed while nobody used it.

One that was in use a moment ago, took a whole request and closed has refused that request, and may charge for it.
"""

RECORD_WITHIN = 2.0
"""Seconds a request waits until the audit log has it."""

ONE_WRITE = 64 * 1024
"""Bytes of a body up to which it is copied behind the head, so that both go out in one system call."""


class Sink(Protocol):
    """Takes what an upstream answers. All calls come from the event loop, `end` or `failed` last and only once."""

    def head(self, status: int, headers: Headers) -> None:
        """Take the final head."""
        ...

    def body(self, data: bytes) -> None:
        """Take what a block held of the body; never empty."""
        ...

    def end(self) -> None:
        """Take the clean end of the answer."""
        ...

    def failed(self, fault: Fault) -> None:
        """Take the end of an exchange that came to nothing, or broke off."""
        ...


@value
class UpstreamRequest:
    """What is sent.

    `path` follows the endpoint's `base_path`, or `root` where the upstream speaks another dialect there; it is asked
    for by one method. `stream` decides which timeouts count. `origin` says whose it is, for the audit log; None: a
    probe of ours.
    """

    path: str
    body: bytes = field(repr=False)
    stream: bool
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    method: str = "POST"
    origin: Origin | None = None
    root: str | None = None


class Pool(Protocol):
    """Where connections come from and go to, as a connection sees it."""

    def keep(self, connection: "Connection") -> None:
        """Take back a connection that may carry another request."""
        ...

    def dropped(self, connection: "Connection") -> None:
        """Take the news that a connection is being closed though the upstream would have kept it, or might have."""
        ...

    def gone(self, connection: "Connection") -> None:
        """Take the news that a connection is closed."""
        ...

    def connect(self, exchange: "Exchange") -> None:
        """Send an exchange over a fresh connection."""
        ...


class Exchange:
    """One request under way.

    Attributes:
        deadline: when the sweep calls `expired`, None while nothing is waited for.
        peer: the address connected to, None before.
        reused: it runs on a connection that has carried others.
        repeatable: it may be sent once more if it was sent whole over a connection that turns out to be stale.
        repeated: it was sent again, and whole over a stale connection before: the upstream may charge for it twice.
        over: it has ended, one way or the other.
        trail: takes what the audit log has to know of it, None: there is no audit log.
        sent_bytes: bytes of the request that were handed to the network.
        received: bytes of the answer so far.
        status: the answer's, 0 before its head.

    """

    __slots__ = (
        "_billed",
        "_connection",
        "_output",
        "_paused",
        "_recording",
        "_task",
        "_time",
        "backend",
        "between",
        "body",
        "deadline",
        "head",
        "over",
        "peer",
        "received",
        "repeatable",
        "repeated",
        "reused",
        "sent_bytes",
        "sink",
        "status",
        "stream",
        "sweep",
        "timeouts",
        "trail",
    )

    def __init__(
        self, sink: Sink, backend: str, head: bytes, request: UpstreamRequest, timeouts: Timeouts, sweep: Sweep
    ) -> None:
        """Make an exchange that is not under way yet; `backend` is the name its faults bear."""
        self.sink = sink
        self.backend = backend
        self.head = head
        self.body = request.body
        self.stream = request.stream
        self.timeouts = timeouts
        self.sweep = sweep
        self.deadline: float | None = None
        self.between: float | None = None
        self.peer: str | None = None
        self.reused = self.repeated = False
        self.repeatable = True
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._time = sweep.time
        self._output = self._paused = self._billed = self._recording = self.over = False
        self.trail: Trail | None = None
        self.sent_bytes = self.received = self.status = 0

    @property
    def billed(self) -> bool:
        """Whether the request went out whole, so that the upstream may charge for it if it did not refuse it."""
        connection = self._connection
        return self._billed or (connection is not None and not connection.unsent)

    def first_output(self) -> None:
        """Say that real output has come: from now on no two bytes may be further apart than `between_bytes`."""
        if not self.over and self.stream and not self._output:
            self._output = True
            self._watch_bytes()

    def pause(self) -> None:
        """Stop reading from the upstream. What has been read already may still come."""
        if not self.over and not self._paused:
            self._paused = True
            self._watch_bytes()
            if self._connection is not None:
                self._connection.read(on=False)

    def resume(self) -> None:
        """Read on."""
        if not self.over and self._paused:
            self._paused = False
            self._watch_bytes()
            if self._connection is not None:
                self._connection.read(on=True)

    def cancel(self, why: str = "cancelled") -> None:
        """End it at once and close its connection; the sink hears no more. Again is no harm."""
        if not self.over:
            connection, task = self._connection, self._task
            self.ended(why)
            if connection is not None:
                connection.drop()
            if task is not None:
                task.cancel()

    # ---- called by the pool, the connection and the sweep ----

    def connecting(self, task: "asyncio.Task[None] | None") -> None:
        """Take the task that connects."""
        self._task = task

    def wait_for_connection(self) -> None:
        """Start the clock of `connect`, which covers name, TCP and TLS."""
        self.reused = False
        self._connection = None
        self.deadline = self._time() + self.timeouts.connect
        self.sweep.register(self)

    def wait_for_record(self) -> None:
        """Start the clock of the audit log: there is a connection, and the intent to use it is being made durable."""
        self._recording = True
        self.deadline = self._time() + RECORD_WITHIN
        self.sweep.register(self)

    def recorded(self) -> None:
        """Take the news that it is."""
        self._recording = False

    def sent(self, connection: "Connection") -> None:
        """Take the news that the request was written to a connection."""
        self._connection = connection
        self._task = None
        self.repeated = self._billed
        self.peer = connection.peer
        self.deadline = self._time() + (self.timeouts.first_token if self.stream else self.timeouts.answer)
        self.sweep.register(self)
        if self._paused:
            connection.read(on=False)

    def went_stale(self, *, billed: bool) -> None:
        """Take the news that a reused connection died before the first byte; it may be sent once more."""
        self._billed = billed
        self._connection = None
        self.leave("stale")

    def leave(self, why: str) -> None:
        """Have recorded what became of it on the connection it is on, or that there was none."""
        if self.trail is not None:
            self.trail.end(sent=self.sent_bytes, received=self.received, status=self.status, fault=why)
            self.sent_bytes = self.received = 0

    def ended(self, why: str = "") -> bool:
        """Let go of everything; return whether reading was paused."""
        self.over = True
        self._billed = self.billed
        self.leave(why)
        self.deadline = self.between = None
        self._connection = None
        self._task = None
        self.sweep.unregister(self)
        return self._paused

    def fail(self, fault: Fault) -> None:
        """End it with a fault, unless it is over."""
        if self.over:
            return
        billed = fault.billed or self._billed
        self.cancel(fault.kind.name.lower())
        self.sink.failed(replace(fault, backend=self.backend, billed=billed))

    def expired(self, now: float) -> None:  # noqa: ARG002 - what an `Expiring` is called with
        """Take the sweep's word that the deadline is over."""
        times = self.timeouts
        if self._recording:
            self.fail(Fault(FaultKind.AUDIT, f"it did not take the record within {RECORD_WITHIN:g} s"))
            return
        if self._connection is None:
            self.fail(Fault(FaultKind.TIMEOUT_CONNECT, f"no connection within {times.connect:g} s"))
            return
        billed = not self._connection.unsent
        if not self.stream:
            fault = Fault(FaultKind.TIMEOUT_ANSWER, f"it was not complete within {times.answer:g} s", billed=billed)
        elif self._output:
            fault = Fault(FaultKind.TIMEOUT_BETWEEN_BYTES, f"nothing came for {times.between_bytes:g} s", billed=billed)
        else:
            fault = Fault(FaultKind.TIMEOUT_FIRST_TOKEN, f"none within {times.first_token:g} s", billed=billed)
        self.fail(fault)

    def _watch_bytes(self) -> None:
        """Let the clock between two bytes run, or not: it does after the first output, unless reading is paused."""
        if self._output:
            self.between = None if self._paused else self.timeouts.between_bytes
            self.deadline = None if self.between is None else self._time() + self.between


class Connection(asyncio.Protocol):
    """One connection to an upstream, with at most one exchange on it.

    Attributes:
        transport: set once connected.
        peer: the address connected to.
        unsent: a part of the request is still in the transport's buffer.
        idle_since: since when the pool has it, on the loop's clock.

    """

    __slots__ = (
        "_certificate",
        "_early",
        "_ended",
        "_exchange",
        "_pool",
        "_reader",
        "_rested",
        "_time",
        "idle_since",
        "peer",
        "transport",
        "unsent",
    )

    transport: asyncio.Transport

    def __init__(self, pool: Pool) -> None:
        """Make the protocol of a connection that belongs to a pool."""
        self._pool = pool
        self._reader = ResponseReader()
        self._exchange: Exchange | None = None
        self._time = asyncio.get_running_loop().time
        self._early = self._ended = False
        self.unsent = False
        self.peer: str | None = None
        self.idle_since = 0.0
        self._rested = 0.0
        self._certificate: str | None = None

    @property
    def exchange(self) -> Exchange | None:
        """The exchange under way, None on an idle connection."""
        return self._exchange

    @property
    def certificate(self) -> str | None:
        """SHA-256, in hex, over the certificate that the upstream showed; None where there is no TLS."""
        if self._certificate is None:
            tls: ssl.SSLObject | None = self.transport.get_extra_info("ssl_object")
            shown = None if tls is None else tls.getpeercert(binary_form=True)
            self._certificate = None if shown is None else hashlib.sha256(shown).hexdigest()
        return self._certificate

    def send(self, exchange: Exchange, *, reused: bool) -> None:
        """Send an exchange's request."""
        self._rested = self._time() - self.idle_since if reused else 0.0
        if reused:
            self._reader.reset()
        exchange.reused = reused
        self._exchange = exchange
        if len(exchange.body) <= ONE_WRITE:
            self.transport.write(exchange.head + exchange.body)
        else:
            self.transport.write(exchange.head)
            self.transport.write(exchange.body)
        exchange.sent_bytes += len(exchange.head) + len(exchange.body)
        exchange.sent(self)

    def read(self, *, on: bool) -> None:
        """Read what the upstream sends, or leave it in the socket."""
        if not self.transport.is_closing():
            if on:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def drop(self) -> None:
        """Close at once; no exchange hears of it."""
        self._exchange = None
        if not self.transport.is_closing():
            self._pool.dropped(self)
            self.transport.abort()

    # ---- called by the transport ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast("asyncio.Transport", transport)
        # As good as no buffer: so pause_writing and resume_writing tell whether a request is out to its last byte.
        self.transport.set_write_buffer_limits(high=1, low=0)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if peer else None

    def pause_writing(self) -> None:
        """Note that not all of the request is out."""
        self.unsent = True

    def resume_writing(self) -> None:
        """Note that all of it is."""
        self.unsent = False

    def data_received(self, data: bytes) -> None:
        """Hand on what a block holds. After each call of the sink the exchange may be over."""
        exchange = self._exchange
        if exchange is None:  # nobody asked for it, and the next request must not get it for an answer
            self.drop()
            return
        if exchange.between is not None:
            exchange.deadline = self._time() + exchange.between
        reader = self._reader
        exchange.received += len(data)
        problem = reader.feed(data)
        if reader.head_due:
            reader.head_due = False
            self._early = self.unsent
            exchange.status = reader.status
            exchange.head = exchange.body = b""  # it cannot be sent again any more, and a stream may last long
            exchange.sink.head(reader.status, reader.headers)
            if exchange.over:
                return
        pieces = reader.pieces
        if pieces:
            block = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            exchange.sink.body(block)
            if exchange.over:
                return
        if reader.complete:
            self._complete(exchange, sound=problem is None)
        elif problem is not None:
            exchange.fail(Fault(FaultKind.PROTOCOL, problem, billed=not self.unsent))

    def eof_received(self) -> None:
        """Note that the upstream ended its side, and whether it was the upstream: anybody on the way can end TCP."""
        tls: ssl.SSLObject | None = self.transport.get_extra_info("ssl_object")
        try:
            self._ended = tls is None or not tls.read(1)  # nothing to read and no error: TLS was ended, too
        except ssl.SSLError:
            self._ended = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the exchange, if there is one, what that means for it."""
        self._pool.gone(self)
        exchange = self._exchange
        if exchange is None:
            return
        self._exchange = None
        reader = self._reader
        stale = self.unsent or (self._rested >= STALE_AFTER and exchange.repeatable)
        if exchange.reused and stale and not reader.began:
            exchange.went_stale(billed=not self.unsent)
            self._pool.connect(exchange)
        elif reader.until_close and self._ended and exc is None:
            exchange.ended()
            exchange.sink.end()
        else:
            exchange.fail(lost_fault(exc, place=reader.place, began=reader.began, billed=not self.unsent))

    def _complete(self, exchange: Exchange, *, sound: bool) -> None:
        """End an exchange; the connection goes back first, so that the sink may start the next one on it."""
        self._exchange = None
        if exchange.ended():
            self.read(on=True)
        if sound and self._reader.keep_alive and not self._early:
            self._pool.keep(self)
        else:
            self.drop()
        exchange.sink.end()
