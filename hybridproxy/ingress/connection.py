"""One connection of a caller: aiohttp's parser and protocol, our own loop over its requests.

aiohttp reads: its C parser, its bounds on heads, its flow control, its limit on pipelined requests and its clock for
idle connections are what faces strangers. What it does for an application (a task, a request, a response, a writer for
each call) costs more than our whole data path, so `start`, the loop over a connection's requests, is our own. That uses
names which aiohttp does not promise to keep; the version is therefore pinned exactly, checked at start, and every rule
of this file is a test over real sockets.

`start` was written after `RequestHandler.start` of aiohttp 3.14.5.
"""

import asyncio
import select
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from http import HTTPStatus
from typing import Any, Final, Protocol

from aiohttp import HttpVersion, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDictProxy

from hybridproxy.model.dialect import Dialect
from hybridproxy.model.value import value

AIOHTTP_VERSION: Final = "3.14.5"
"""The only version whose `RequestHandler` this file was written and tested for."""

LINGER: Final = 1.0
"""Seconds the rest of a refused body is read and thrown away, so that the caller gets to read the refusal."""

STALL: Final = 30.0
"""Seconds a caller may leave a full buffer unread before its connection is given up."""

WATCH: Final = 0.25
"""Seconds between two looks at a caller that sent more than is read for now."""

TURN: Final = 32
"""Requests that are answered one right after the other before everybody else has a turn."""


@value
class Seen:
    """A call that was seen before it was parsed.

    Attributes:
        dialect: how its caller speaks.
        keep: the caller goes on with the connection.
        key: the key it shows, where that is told in the usual way.

    """

    dialect: Dialect
    keep: bool
    key: str | None = field(default=None, repr=False)


Handler = Callable[["Request"], Awaitable[None]]
_PHRASES: Final = {**{status.value: status.phrase for status in HTTPStatus}, 529: "Overloaded"}
"""The standard's and Anthropic's own."""

_LINES: Final = {status: f"HTTP/1.1 {status} {phrase}\r\n" for status, phrase in _PHRASES.items()}


class Request:
    """One request of a connection, and the way to answer it: exactly once, by `reply` or by `open` and what follows.

    Attributes:
        method: as it was sent.
        target: the raw request target.
        version: of HTTP.
        headers: all of them, names without case.
        content: the body.
        close: end the connection after the answer.
        begun: an answer was begun, so there can be no other.
        let_in: it was asked already whether there is room for it, and there was.

    """

    __slots__ = (
        "_connection",
        "_head",
        "begun",
        "close",
        "content",
        "headers",
        "let_in",
        "method",
        "target",
        "version",
    )

    def __init__(self, message: RawRequestMessage, content: StreamReader, connection: "Connection") -> None:
        """Take what the parser gave."""
        self.method: str = message.method
        self.target: str = message.path
        self.version: HttpVersion = message.version
        self.headers: CIMultiDictProxy[str] = message.headers
        self.content = content
        self.close: bool = message.should_close
        self.begun = False
        self.let_in = connection.let_in
        self._connection = connection
        self._head = b""

    @property
    def peer(self) -> str | None:
        """The address at the other end; None for a unix socket."""
        name = self._connection.peername
        return name[0] if isinstance(name, tuple) else None

    def reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer. A body that was not read to its end ends the connection."""
        self.begun = True
        self.close = self.close or not self.content.is_eof()
        begin = head(status, headers, self.close) + b"content-length: %d\r\n\r\n" % len(body)
        self._connection.send(begin if self.method == "HEAD" else begin + body)

    def go_on(self) -> None:
        """Tell a caller that waits for it to send its body."""
        self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def open(self, headers: Mapping[str, str]) -> None:
        """Begin a chunked answer; its head goes out with the first chunk."""
        self.begun = True
        self._head = head(200, headers, self.close) + b"transfer-encoding: chunked\r\n\r\n"

    def write(self, data: bytes) -> bool:
        """Send one chunk, not empty; a caller that left gets nothing.

        Returns:
            Whether the caller reads more slowly than we write: wait for `drained` before you write much more.

        """
        connection = self._connection
        transport = connection.transport
        if transport is None or transport.is_closing():
            return False
        if self._head:
            begin, self._head = self._head, b""
            transport.write(b"%b%x\r\n%b\r\n" % (begin, len(data), data))
        else:
            transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return connection._paused  # noqa: SLF001 - aiohttp's property for it is a call for every chunk

    def end(self, data: bytes) -> None:
        """Send the last data, if there is any, and the mark of a clean end, in one piece."""
        last = b"%x\r\n%b\r\n" % (len(data), data) if data else b""  # an empty chunk would be that mark already
        self._connection.send(b"%b%b0\r\n\r\n" % (self._head, last))

    def cut(self) -> None:
        """Send what was written and close without the mark of a clean end, so that nobody takes it for the whole."""
        self.close = True
        self._connection.finish()

    async def drained(self) -> bool:
        """Wait until the buffer has room again; False when the caller has not read for `STALL` seconds, or left."""
        return await self._connection.drained()


class Gate(Protocol):
    """Refuses calls before they are parsed.

    Attributes:
        engaged: there may be calls to refuse; while there are none nothing else is asked.

    """

    @property
    def engaged(self) -> bool:
        """See above."""
        ...

    def seen(self, data: bytes) -> Seen | None:
        """Return the call that these bytes are, with none before or after it; None where that is not beyond doubt."""
        ...

    def answer(self, seen: Seen) -> bytes | None:
        """Return the whole answer to a call that is refused; None: it is let in."""
        ...


class Connection(RequestHandler):
    """aiohttp's protocol of one connection, with our own loop."""

    __slots__ = ("_at_start", "_content", "_gate", "_handler", "_server", "_watched", "let_in")

    def __init__(self, server: "Server", handler: Handler, gate: Gate | None, **kwargs: Any) -> None:
        """Serve a connection's requests one after the other, those that the gate lets in."""
        super().__init__(server, **kwargs)
        self.let_in = False
        self._gate = gate
        self._at_start = True  # the parser is between two requests, for certain
        self._handler = handler
        self._server = server
        self._watched = False
        self._content: StreamReader | None = None

    def send(self, data: bytes) -> None:
        """Write to the socket; nothing once it is closing."""
        transport = self.transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    def finish(self) -> None:
        """Close once everything written is out, at the latest after `STALL` seconds."""
        transport = self.transport
        if transport is not None and not transport.is_closing():
            transport.close()
            self._loop.call_later(STALL, transport.abort)

    async def drained(self) -> bool:
        """Wait until the buffer has room again; False when it had none for `STALL` seconds, or the caller left."""
        try:
            async with asyncio.timeout(STALL):
                await self._drain_helper()
        except (TimeoutError, ConnectionError):
            return False
        return self.transport is not None

    async def start(self) -> None:
        """Answer requests until the connection ends. Runs as its task; the caller's leaving cancels it."""
        taken = 0
        while not self._force_close:
            taken = taken + 1 if self._messages else 0
            if taken == TURN:  # a long pipeline of what is answered at once would hold the loop until its end
                taken = 0
                await asyncio.sleep(0)
            message, content = await self._next()
            if not isinstance(message, RawRequestMessage):
                self._refuse()
                break
            request = Request(message, content, self)
            self.let_in = False
            self._content = content
            self._request_in_progress = True
            try:
                await self._handler(request)
            except Exception:
                self.finish()  # half an answer may be out: there is no other way to say that it went wrong
                raise
            finally:
                self._request_in_progress = False
                if self._handler_waiter is not None and not self._handler_waiter.done():
                    self._handler_waiter.set_result(None)
            if not content.is_eof():
                await self._linger(content)
                break
            if self._is_last(request) or (self.writing_paused and not await self.drained()):
                break  # the latter: answers nobody reads must not pile up
            self._expect_another()
        if not self._force_close:
            self._task_handler = None
            self.finish()

    def data_received(self, data: bytes) -> None:
        """Parse what came. Whoever reads a body is told that its framing broke, and does not wait for its rest."""
        gate = self._gate
        seen = gate.seen(data) if gate is not None and gate.engaged and self._waits() else None
        if seen is not None and self._at_start and self._refused(seen):
            return
        super().data_received(data)
        content = self._content
        if self._messages and content is not None and not content.is_eof():
            last = self._messages[-1][0]
            if not isinstance(last, RawRequestMessage) and content.exception() is None:
                content.set_exception(web.RequestPayloadError("its framing is wrong"))
        # whatever was before: where the parser made one whole request of bytes that are one, they were its last
        if data:  # else it was only told to go on with what it had
            self._at_start = seen is not None and len(self._messages) == 1 and self._messages[0][1].is_eof()

    def _waits(self) -> bool:
        """Return whether nothing of a request is known to be here, so that one may begin."""
        content = self._content
        return not (
            self._messages or self._request_in_progress or self._close or self._force_close or self.writing_paused
        ) and (content is None or content.is_eof())

    def _refused(self, seen: Seen) -> bool:
        """Refuse a call unless it is let in; return whether it was refused."""
        answer = None if self._gate is None else self._gate.answer(seen)
        if answer is None:
            self.let_in = True
            return False
        self.send(answer)
        if seen.keep and not self._server.draining:
            self._expect_another()
        else:
            self.finish()
        return True

    async def _next(self) -> tuple[object, StreamReader]:
        """Wait for a request, or for what could not be parsed as one."""
        messages = self._messages
        if not messages:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message, content = messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        return message, content

    def _is_last(self, request: Request) -> bool:
        return request.close or self._close or self._force_close or self._server.draining

    def _expect_another(self) -> None:
        """Start the clock of an idle connection."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    def end_when_idle(self) -> None:
        """Close the connection now if it waits for a request, else `start` does after the one under way."""
        if self._waiter is not None:
            self.close()

    def force_close(self) -> None:
        """Close now; what was written may still go out, for at most `STALL` seconds."""
        transport = self.transport
        super().force_close()
        if transport is not None and transport.get_write_buffer_size():
            self._loop.call_later(STALL, transport.abort)

    def _pause_transport_reading(self) -> None:
        """Stop reading, and from then on ask the socket whether the caller is still there: its end cannot be read."""
        super()._pause_transport_reading()
        if not self._watched:
            self._watched = True
            self._loop.call_later(WATCH, self._watch)

    def _watch(self) -> None:
        transport = self.transport
        if transport is None or not (self._reading_paused or self._buffer_paused):
            self._watched = False
            return
        watch = select.poll()
        watch.register(transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
        if watch.poll(0):
            self._watched = False
            transport.abort()
        else:
            self._loop.call_later(WATCH, self._watch)

    async def _linger(self, content: StreamReader) -> None:
        """Throw away what still comes of a body nobody wanted, for a moment: a reset could overtake the answer."""
        try:
            async with asyncio.timeout(LINGER):
                while await content.readany():
                    pass
        except (TimeoutError, web.HTTPException, OSError, ValueError, web.RequestPayloadError):
            return

    def _refuse(self) -> None:
        """Answer what is no HTTP: our words and not the parser's, since those quote what was sent."""
        self.send(_NOT_HTTP)


class Server(web.Server):
    """Gives each connection its protocol."""

    def __init__(self, handler: Handler, gate: Gate | None = None, **kwargs: Any) -> None:
        """Serve requests with `handler`; the other arguments are aiohttp's for a connection."""
        super().__init__(_never, handler_cancellation=True, access_log=None, auto_decompress=False)
        self.draining = False
        self._own = handler
        self._gate = gate
        self._kwargs.update(kwargs)

    def drain(self) -> None:
        """Let no connection outlive the request it is busy with."""
        self.draining = True
        for connection in self.connections:
            if isinstance(connection, Connection):
                connection.end_when_idle()

    def __call__(self) -> RequestHandler:
        """Return the protocol of a new connection."""
        return Connection(self, self._own, self._gate, loop=self._loop, **self._kwargs)


async def _never(_request: web.BaseRequest) -> web.StreamResponse:
    """Stand where aiohttp wants a handler; `Connection.start` does not call it."""
    raise AssertionError


def head(status: int, headers: Mapping[str, str], close: bool) -> bytes:  # noqa: FBT001 - as the protocol calls it
    """Return the status line and headers, ready for those that tell the body's framing.

    Raises:
        ValueError: a header's name or value would end its line.

    """
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    text = f"{_LINES[status]}server: hybridproxy\r\ndate: {rfc822_formatted_time()}\r\n{''.join(lines)}"
    if text.count("\n") != len(lines) + 3 or text.count("\r") != len(lines) + 3:
        raise ValueError("a header would break its line")
    return (text + "connection: close\r\n" if close else text).encode("latin-1")


_NOT_HTTP_BODY: Final = (
    b'{"error":{"message":"the request is not valid HTTP","type":"invalid_request_error",'
    b'"param":null,"code":"bad_request"}}'
)
_NOT_HTTP: Final = (
    b"HTTP/1.1 400 Bad Request\r\nserver: hybridproxy\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_NOT_HTTP_BODY), _NOT_HTTP_BODY)
)
