"""The load: an open-loop client that says of each call what became of it.

Calls go out at their time whether or not others were answered, so a slow server is seen as slow and not as less load.
Each call has exactly one outcome; one that has none within `patience` is `lost`, and what a server says beyond one
answer is counted as `surplus`. Times are seconds from the moment a call was sent.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

import httptools

from tests.acceptance.calls import Ask, Call, Outcome, read_answer, read_stream, request_of
from tests.acceptance.processes import until

MAX_IN_FLIGHT = 8000
"""Calls at a time; the file descriptors of one process are not without end."""


class Connection(asyncio.Protocol):
    """One connection to a replica, with at most one call on it."""

    transport: asyncio.Transport

    def __init__(self, load: "Load", replica: int) -> None:
        self._load = load
        self.replica = replica
        self.call: Call | None = None
        self._parser: Any = None
        self._body: list[bytes] = []

    def send(self, call: Call, data: bytes) -> None:
        """Send a call."""
        self.call = call
        self._body = []
        self._parser = httptools.HttpResponseParser(self)
        call.sent = self._load.now()
        self.transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read what comes."""
        if self.call is None:
            self._load.surplus += 1
            self.transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._load.surplus += self.call is None
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle the call that was on it."""
        self._load.gone(self)
        if self.call is not None:
            self._settle(clean=False)

    # ---- what the parser calls ----

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what says which call it was and how it went."""
        call = self.call
        if call is None:
            return
        name = name.lower()
        if name == b"x-request-id":
            call.id = value.decode()
        elif name == b"x-hybridproxy-backend":
            call.backend = value.decode()
        elif name == b"x-hybridproxy-attempts":
            call.attempts = int(value)
        elif name == b"retry-after":
            call.retry_after = value.decode()

    def on_headers_complete(self) -> None:
        """Keep the status."""
        if self.call is not None:
            self.call.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """Keep the body."""
        call = self.call
        if call is None:
            return
        if call.first is None:
            call.first = self._load.now() - call.sent
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Settle the call and keep the connection."""
        if self.call is None:
            self._load.surplus += 1
            return
        keep = self._parser.should_keep_alive()
        self._settle(clean=True)
        if keep:
            self._load.idle[self.replica].append(self)
        else:
            self.transport.close()

    def _settle(self, *, clean: bool) -> None:
        call, self.call = self.call, None
        if call is None or call.took is not None:
            return
        body = b"".join(self._body)
        if call.status == 200 and call.ask.stream:
            read_stream(call, body, clean=clean)
        elif not clean:
            call.outcome = Outcome.CUT
        else:
            read_answer(call, body)
        self._load.settled(call)


@dataclass(slots=True)
class Load:
    """Calls at a rate, while its context is open; on leaving it waits until each call has its outcome.

    Attributes:
        urls: of the replicas.
        ask: what the n-th call is.
        rate: calls a second; may be changed while it runs.
        expected: the texts of which a whole answer is one, none: any.
        patience: seconds until a call without an outcome is lost.
        calls: all calls sent so far.
        surplus: what came that nobody had asked for.

    """

    urls: Sequence[str]
    ask: Callable[[int], Ask]
    rate: float
    expected: Collection[str] = ()
    patience: float = 30.0
    calls: list[Call] = field(default_factory=list)
    surplus: int = 0
    in_flight: int = 0
    idle: list[list[Connection]] = field(default_factory=list)
    _places: list[tuple[str, int]] = field(default_factory=list)
    _open: set[Connection] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _running: asyncio.Task[None] | None = None
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    @staticmethod
    def now() -> float:
        """Return the time on the loop's clock, but not in whole milliseconds, as uvloop's own is."""
        return time.monotonic()

    async def __aenter__(self) -> Self:
        self._places = [(cast("str", urlsplit(url).hostname), cast("int", urlsplit(url).port)) for url in self.urls]
        self.idle = [[] for _ in self._places]
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Send no more, and wait for what is under way."""
        running, self._running = self._running, None
        if running is None:
            return
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled() and (error := running.exception()):
            raise error
        while self.in_flight and any(call.took is None for call in self.calls[-MAX_IN_FLIGHT:]):
            self._give_up()
            await asyncio.sleep(0.02)
        for connection in list(self._open):
            connection.transport.abort()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def between(self, start: float, end: float) -> list[Call]:
        """Return the calls that were due in a time."""
        return [call for call in self.calls if start <= call.due < end]

    def under_way(self, at: float) -> list[Call]:
        """Return the calls that had been sent at a moment and had no outcome yet."""
        return [call for call in self.calls if call.sent <= at and (call.took is None or at < call.sent + call.took)]

    async def answered(self) -> None:
        """Wait until every call that was sent so far has its outcome."""
        sent = [call for call in self.calls if call.took is None]
        await until(lambda: all(call.took is not None for call in sent), "the end of calls", 2 * self.patience)

    def settled(self, call: Call) -> None:
        """Take the end of a call."""
        call.took = self.now() - call.sent
        call.whole = call.outcome is Outcome.ANSWERED and (not self.expected or call.text in self.expected)
        if call.whole:
            call.text = ""
        self.in_flight -= 1

    def gone(self, connection: Connection) -> None:
        """Take the news that a connection is closed."""
        self._open.discard(connection)
        idle = self.idle[connection.replica]
        if connection in idle:
            idle.remove(connection)

    async def _run(self) -> None:
        due, swept = self.now(), self.now()
        while True:
            now = self.now()
            if due > now:
                await asyncio.sleep(due - now)
            self._send(Call(len(self.calls), self.ask(len(self.calls)), due))
            due += 1 / self.rate
            if now - swept > 0.5:
                swept = now
                self._give_up()

    def _send(self, call: Call) -> None:
        assert self.in_flight < MAX_IN_FLIGHT, "too many calls are under way"
        self.calls.append(call)
        self.in_flight += 1
        call.sent = self.now()
        replica = call.ask.replica
        host, port = self._places[replica]
        data = request_of(call.ask, f"{host}:{port}")
        idle = self.idle[replica]
        if idle:
            idle.pop().send(call, data)
            return
        task = self._loop.create_task(self._connect(call, data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, call: Call, data: bytes) -> None:
        replica = call.ask.replica
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self, replica), *self._places[replica]
            )
        except OSError:
            call.outcome = Outcome.UNREACHABLE
            self.settled(call)
            return
        self._open.add(connection)
        connection.send(call, data)

    def _give_up(self) -> None:
        """Take calls that wait for too long as lost."""
        now = self.now()
        for connection in list(self._open):
            call = connection.call
            if call is not None and now - call.sent > self.patience:
                connection.call = None
                self.settled(call)
                connection.transport.abort()
