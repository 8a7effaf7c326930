"""A server that plays exact bytes at exact moments, by a script that each connection runs from its start."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, cast

Script = Callable[["Peer"], Awaitable[None]]


class Peer(asyncio.Protocol):
    """The server's end of one connection; `number` counts them from 0."""

    def __init__(self, server: "RawServer") -> None:
        self._server = server
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.transport: asyncio.Transport
        self.number = -1
        self.received = bytearray()
        self.ended = False
        self.closed = asyncio.Event()

    async def request(self) -> bytes:
        """Take one whole request off what was received; head and body as they came."""
        await self._until(lambda: b"\r\n\r\n" in self.received)
        size = self.received.index(b"\r\n\r\n") + 4
        for line in bytes(self.received[:size]).lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                size += int(line.partition(b":")[2])
        await self._until(lambda: len(self.received) >= size)
        taken = bytes(self.received[:size])
        del self.received[:size]
        return taken

    async def begun(self) -> None:
        """Wait for the first bytes of a request and read no more of it."""
        await self._until(lambda: bool(self.received))
        self.transport.pause_reading()

    async def send(self, *pieces: bytes) -> None:
        """Send pieces, each on its own."""
        for piece in pieces:
            self.transport.write(piece)
            for _ in range(3):  # the client's end is on the same loop: let it read this before the next
                await asyncio.sleep(0)

    def half_close(self) -> None:
        """Send the end of our side and go on reading."""
        self.transport.write_eof()

    def close(self) -> None:
        """Close properly, under TLS with its goodbye."""
        self.transport.close()

    def cut_off(self) -> None:
        """End TCP without a reset and, under TLS, without its goodbye."""
        self.transport.abort()

    def reset(self) -> None:
        """Break the connection off with a TCP reset."""
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()

    async def gone(self) -> None:
        """Wait until the client has left."""
        await self._until(lambda: self.ended or self.closed.is_set())

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self.closed.is_set():
                raise ConnectionError(f"connection {self.number}: closed while the script waited for more")
            self._changed.clear()
            await self._changed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the script."""
        self.transport = cast("asyncio.Transport", transport)
        self.number = len(self._server.peers)
        self._server.peers.append(self)
        self._task = asyncio.create_task(self._run(), name=f"raw server {self.number}")

    async def _run(self) -> None:
        try:
            await self._server.script(self)
        except Exception as error:  # noqa: BLE001 - raised again when the server ends
            self._server.errors.append(error)
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Keep it for the script."""
        self.received += data
        self._changed.set()

    def eof_received(self) -> bool:
        """Leave it to the script to close."""
        self.ended = True
        self._changed.set()
        return self._server.tls is None  # TLS knows no half-closed connections

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits."""
        self.closed.set()
        self._changed.set()

    async def finish(self) -> None:
        """End the script if it still runs, and the connection."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.transport.abort()
        await self.closed.wait()


class RawServer:
    """Listens on 127.0.0.1 while its context is open; leaving it raises what a script raised."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.script = script
        self.tls = tls
        self.host = host
        self.peers: list[Peer] = []
        self.errors: list[Exception] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Peer(self), self.host, 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def close_listening(self) -> None:
        """Take no connection any more; those that are open stay."""
        assert self._server is not None
        self._server.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for peer in self.peers:
            await peer.finish()
        await self._server.wait_closed()
        if self.errors and error is None:
            raise self.errors[0]


def answer(body: bytes = b'{"ok":true}', *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a sound response with a length."""
    lines = [b"HTTP/1.1 " + status, b"content-type: application/json", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body; the empty one is the last."""
    return b"%x\r\n%b\r\n" % (len(data), data)
