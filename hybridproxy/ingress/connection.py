"""One connection of a caller: aiohttp's parser and protocol, our own loop over its requests.

aiohttp reads: its C parser, its bounds on heads, its flow control, its limit on pipelined requests and its clock for
idle connections are what faces strangers. What it does for an application (a task, a request, a response, a writer for
each call) costs more than our whole data path, so `start`, the loop over a connection's requests, is our own. That uses
names which aiohttp does not promise to keep; the version is therefore pinned exactly, checked at start, and every rule
of this file is a test over real sockets.

`start` was written after `RequestHandler.start` of aiohttp 3.14.5.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from aiohttp import HttpVersion, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDictProxy

AIOHTTP_VERSION: Final = "3.14.5"
"""The only version whose `RequestHandler` this file was written and tested for."""

LINGER: Final = 1.0
"""Seconds the rest of a refused body is read and thrown away, so that the caller gets to read the refusal."""

STALL: Final = 30.0
"""Seconds a caller may leave a full buffer unread before its connection is given up."""

Handler = Callable[["Request"], Awaitable[None]]
_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Request:
    """One request of a connection, and the way to answer it: exactly once, by `reply` or by `open` and what follows.

    Attributes:
        method: as it was sent.
        target: the raw request target.
        version: of HTTP.
        headers: all of them, names without case.
        content: the body.
        close: end the connection after the answer.

    """

    __slots__ = ("_connection", "_head", "close", "content", "headers", "method", "target", "version")

    def __init__(self, message: RawRequestMessage, content: StreamReader, connection: "Connection") -> None:
        """Take what the parser gave."""
        self.method: str = message.method
        self.target: str = message.path
        self.version: HttpVersion = message.version
        self.headers: CIMultiDictProxy[str] = message.headers
        self.content = content
        self.close: bool = message.should_close
        self._connection = connection
        self._head = b""

    @property
    def peer(self) -> str | None:
        """The address at the other end; None for a unix socket."""
        name = self._connection.peername
        return name[0] if isinstance(name, tuple) else None

    def reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer."""
        head = _head(status, headers, self.close) + b"content-length: %d\r\n\r\n" % len(body)
        self._connection.send(head if self.method == "HEAD" else head + body)

    def go_on(self) -> None:
        """Tell a caller that waits for it to send its body."""
        self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def open(self, headers: Mapping[str, str]) -> None:
        """Begin a chunked answer; its head goes out with the first chunk."""
        self._head = _head(200, headers, self.close) + b"transfer-encoding: chunked\r\n\r\n"

    def write(self, data: bytes) -> None:
        """Send one chunk, not empty. What does not go out at once is buffered; a caller that left gets nothing."""
        if self._head:
            head, self._head = self._head, b""
            self._connection.send(b"%b%x\r\n%b\r\n" % (head, len(data), data))
        else:
            self._connection.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self, data: bytes) -> None:
        """Send the last data and the mark of a clean end, in one piece."""
        self._connection.send(b"%b%x\r\n%b\r\n0\r\n\r\n" % (self._head, len(data), data))

    def cut(self) -> None:
        """Send what was written and close without the mark of a clean end, so that nobody takes it for the whole."""
        self.close = True
        self._connection.finish()

    @property
    def congested(self) -> bool:
        """Whether the buffer is above its high-water mark: the caller reads more slowly than we write."""
        return self._connection.writing_paused

    async def drained(self) -> bool:
        """Wait until the buffer has room again; False when the caller has not read for `STALL` seconds, or left."""
        return await self._connection.drained()


class Connection(RequestHandler):
    """aiohttp's protocol of one connection, with our own loop."""

    __slots__ = ("_handler",)

    def __init__(self, manager: web.Server, handler: Handler, **kwargs: Any) -> None:
        """Serve a connection's requests one after the other; `handler` must not raise."""
        super().__init__(manager, **kwargs)
        self._handler = handler

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
        """Answer requests until the connection ends. Runs as the connection's task; the caller's leaving cancels it."""
        loop = self._loop
        messages = self._messages
        while not self._force_close:
            if not messages:
                self._waiter = loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            message, content = messages.popleft()
            if self._parser is not None:
                self._parser.message_consumed()
            if self._buffer_paused and len(messages) <= self._msg_queue_resume_size:
                self._resume_reading_if_drained()
            if not isinstance(message, RawRequestMessage):
                self._refuse()
                break
            request = Request(message, content, self)
            self._request_in_progress = True
            try:
                await self._handler(request)
            finally:
                self._request_in_progress = False
                if self._handler_waiter is not None and not self._handler_waiter.done():
                    self._handler_waiter.set_result(None)
            if not content.is_eof():
                await self._linger(content)
                break
            if request.close or self._close or self._force_close:
                break
            self._next_keepalive_close_time = loop.time() + self._keepalive_timeout
            if self._keepalive_handle is None:
                self._keepalive_handle = loop.call_at(self._next_keepalive_close_time, self._process_keepalive)
        if not self._force_close:
            self._task_handler = None
            self.finish()

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

    def __init__(self, handler: Handler, **kwargs: Any) -> None:
        """Serve requests with `handler`; the other arguments are aiohttp's for a connection."""
        super().__init__(_never, handler_cancellation=True, access_log=None, auto_decompress=False)
        self._own = handler
        self._kwargs.update(kwargs)

    def __call__(self) -> RequestHandler:
        """Return the protocol of a new connection."""
        return Connection(self, self._own, loop=self._loop, **self._kwargs)


async def _never(_request: web.BaseRequest) -> web.StreamResponse:
    """Stand where aiohttp wants a handler; `Connection.start` does not call it."""
    raise AssertionError


def _head(status: int, headers: Mapping[str, str], close: bool) -> bytes:  # noqa: FBT001 - as the protocol calls it
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
