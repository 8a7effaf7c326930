"""A small HTTP/1.1 server that lets its caller place every byte.

A general server repairs what its application breaks: it completes the last chunk, refuses a wrong length, joins small
writes. A simulator of failing upstreams needs the opposite, so this one parses requests and otherwise only writes what
it is told. It never stops reading, since a paused socket hides that the client has left; it bounds instead.
"""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Final, Literal, cast

import httptools

MAX_HEAD: Final = 64 * 1024
"""Bytes of one request's line, headers and trailers."""
MAX_BODY: Final = 64 * 1024 * 1024
"""Bytes of one request's body; DashScope accepts as much, with base64 in it."""
MAX_WAITING: Final = 16
"""Requests a client may send ahead of the answers; beyond that the connection is dropped."""
MAX_RESET_WAIT_S: Final = 1.0
"""How long a reset waits for a client that does not read."""

Ending = Literal["close", "reset"]
Headers = tuple[tuple[str, str], ...]


class BodyError(Exception):
    """The request's body cannot be had whole: too long, or not framed as HTTP says."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the HTTP status that tells the client so."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request, names and values as they were sent (bytes beyond ASCII read as latin-1)."""

    method: str
    target: str
    version: str
    headers: Headers

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever its case, or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


class Exchange:
    """One request, and the means to answer it byte by byte."""

    def __init__(self, connection: "Connection", request: Request, *, expects_continue: bool) -> None:
        """Start with the head only; the body may still be on its way."""
        self.request = request
        self.keep_alive = False
        self.connection = connection
        self._expects_continue = expects_continue
        self._body = bytearray()
        self._failure: BodyError | None = None
        self._body_over = asyncio.get_running_loop().create_future()
        self._chunked = False

    async def body(self) -> bytes:
        """Wait for the whole body.

        Raises:
            BodyError: it is longer than `MAX_BODY`, or broken.
        """
        if self._expects_continue and not self._body_over.done():
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await self._body_over
        if self._failure is not None:
            raise self._failure
        return bytes(self._body)

    def start(self, status: int, headers: Iterable[tuple[str, str]], length: int | None) -> None:
        """Write the head; without a length the body is chunked, or ends with the connection for HTTP/1.0."""
        self._chunked = length is None and self.request.version == "1.1"
        if not self._body_over.done() or (length is None and not self._chunked):
            self.keep_alive = False
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
        if self._chunked:
            lines.append("transfer-encoding: chunked")
        elif length is not None:
            lines.append(f"content-length: {length}")
        if not self.keep_alive:
            lines.append("connection: close")
        self.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def send(self, data: bytes) -> None:
        """Write a part of the body, as one chunk where the body is chunked, in one write."""
        self.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """Write what marks the end of the body, if anything does."""
        if self._chunked:
            self.write(b"0\r\n\r\n")

    def write(self, data: bytes) -> None:
        """Write bytes as they are, outside any framing."""
        self.connection.transport.write(data)

    async def drain(self) -> None:
        """Wait while the client reads more slowly than we write."""
        await self.connection.drain()

    async def break_off(self, how: Ending) -> None:
        """End the connection once what was written has left: with FIN ("close") or RST ("reset")."""
        await self.connection.break_off(how)

    def feed(self, data: bytes) -> None:
        """Take a part of the body from the parser."""
        if len(self._body) + len(data) > MAX_BODY:
            self.fail(BodyError(413, f"The request body is longer than {MAX_BODY} bytes."))
        elif self._failure is None:
            self._body += data

    def finish_body(self, *, keep_alive: bool) -> None:
        """Take the end of the body from the parser."""
        self.keep_alive = keep_alive and self._failure is None
        if not self._body_over.done():
            self._body_over.set_result(None)

    def fail(self, failure: BodyError) -> None:
        """Let `body` raise, and the connection end after the answer."""
        self._failure = self._failure or failure
        self._body.clear()
        self.finish_body(keep_alive=False)


class Connection(asyncio.Protocol):
    """One client connection: requests in order, one at a time, each answered by `handle`."""

    def __init__(
        self,
        handle: Callable[[Exchange], Awaitable[None]],
        opened: "Callable[[Connection], Ending | None]",
        closed: "Callable[[Connection], None]",
    ) -> None:
        """Take the caller's functions; `opened` may ask for the connection to be ended at once."""
        self.transport: asyncio.Transport
        self.for_control = False
        self._handle, self._opened, self._closed = handle, opened, closed
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Exchange] = deque()
        self._reading: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._head_bytes = 0
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._deaf = False

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or end at once where the simulated server refuses connections."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclass of it
        if (how := self._opened(self)) is not None:
            self._deaf = True
            self._end_now(how)

    def data_received(self, data: bytes) -> None:
        """Parse; a request that cannot be parsed ends the connection after the answers under way."""
        if self._deaf:
            return
        if self._reading is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._refuse(400, f"The request is not HTTP/1.1 as this server reads it: {type(error).__name__}.")
        else:
            if self._reading is None and self._head_bytes > MAX_HEAD:
                self._refuse(431, f"The request head is longer than {MAX_HEAD} bytes.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the answer under way: there is nobody left to read it."""
        del exc
        self._deaf = True
        self._closed(self)
        self._waiting.clear()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Hold `drain` back: the client is slow."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let `drain` go on."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # the parser's callbacks

    def on_message_begin(self) -> None:
        """Begin a new head."""
        self._target, self._headers = b"", []

    def on_url(self, url: bytes) -> None:
        """Collect the target, which may come in parts."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; trailers are counted and dropped."""
        if self._reading is None:
            self._headers.append((name.decode("latin-1"), value.decode("latin-1")))
        else:
            self._head_bytes += len(name) + len(value)
            if self._head_bytes > MAX_HEAD:
                self._reading.fail(BodyError(431, f"The trailers are longer than {MAX_HEAD} bytes."))

    def on_headers_complete(self) -> None:
        """Hand the request over before its body: some answers do not wait for it."""
        head = Request(
            self._parser.get_method().decode("latin-1"),
            self._target.decode("latin-1"),
            self._parser.get_http_version(),
            tuple(self._headers),
        )
        size = len(self._target) + sum(len(name) + len(value) for name, value in self._headers)
        self._head_bytes = 0
        expects = (head.header("expect") or "").lower() == "100-continue"
        self._reading = Exchange(self, head, expects_continue=expects)
        if size > MAX_HEAD:
            self._reading.fail(BodyError(431, f"The request head is longer than {MAX_HEAD} bytes."))
        self._waiting.append(self._reading)
        if len(self._waiting) > MAX_WAITING:
            self._deaf = True
            self.transport.abort()
        else:
            self._start_next()

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on."""
        if self._reading is not None:
            self._reading.feed(body)

    def on_message_complete(self) -> None:
        """Pass the end of the body on."""
        if self._reading is not None:
            self._reading.finish_body(keep_alive=self._parser.should_keep_alive())
        self._reading = None

    # answering

    def _start_next(self) -> None:
        if self._task is None and self._waiting:
            exchange = self._waiting.popleft()
            self._task = asyncio.get_running_loop().create_task(self._answer(exchange))

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._handle(exchange)
        except Exception:  # noqa: BLE001 - the simulator's own mistake must be seen, and must not stop the others
            traceback.print_exc(file=sys.stderr)
            self.transport.abort()
        finally:
            self._task = None
        if self.transport.is_closing():
            return
        if exchange.keep_alive and (self._waiting or not self._deaf):
            self._start_next()
        else:
            self._deaf = True
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        if self._reading is not None:
            self._reading.fail(BodyError(status, message))
            self._reading = None
        elif self._task is None:
            text = message.encode()
            head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: text/plain\r\n"
            self.transport.write(f"{head}content-length: {len(text)}\r\nconnection: close\r\n\r\n".encode() + text)
            self.transport.close()
        self._deaf = True

    async def drain(self) -> None:
        """Wait until the transport takes more."""
        if self._writable is not None:
            await self._writable

    async def break_off(self, how: Ending) -> None:
        """End the connection once what was written has left, or is not being read."""
        while self.transport.get_write_buffer_size() and not self.transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # no event tells that the buffer is empty
        if how == "reset":
            await self._arrived()
        self._deaf = True
        self._task = None  # the call under way asked for this, so losing the connection must not cancel it
        self._end_now(how)

    async def _arrived(self) -> None:
        """Wait until the client's kernel has everything: a reset throws away what is still in ours."""
        raw: socket.socket | None = self.transport.get_extra_info("socket")
        deadline = monotonic() + MAX_RESET_WAIT_S
        while raw is not None and monotonic() < deadline and not self.transport.is_closing():
            unacknowledged = fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, b"\0" * 4)
            if unacknowledged == b"\0" * 4:
                return
            await asyncio.sleep(0.001)

    def _end_now(self, how: Ending) -> None:
        if how == "reset":
            raw: socket.socket | None = self.transport.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()

    async def shut_down(self) -> None:
        """Drop the connection and wait for the call under way to notice."""
        task = self._task
        self.transport.abort()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
