"""A name server on this machine, over UDP and TCP, that says what a test wants; it shares no code with the client."""

import asyncio
import contextlib
import ipaddress
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

A, CNAME, AAAA = 1, 5, 28
Record = tuple[str, int, int, str]
"""Owner, type, TTL, address or name."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Serves one connection."""

Tamper = Callable[[bytes], Sequence[bytes]]
"""From the right answer to the datagrams that are sent."""


def wire_name(name: str) -> bytes:
    """Return a name as it stands in a message."""
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def record(owner: str, kind: int, ttl: int, value: str) -> bytes:
    """Return one resource record."""
    data = wire_name(value) if kind == CNAME else ipaddress.ip_address(value).packed
    return wire_name(owner) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


class NameServer:
    """Answers from a list of records; whoever is asked for is written down.

    Attributes:
        records: what it knows.
        asked: names and types, in the order they were asked for over UDP.
        over_tcp: the same over TCP.
        flags: of its answers; 0x8183 is NXDOMAIN, 0x8182 SERVFAIL, 0x8380 truncated.
        cut: over TCP it breaks off in the middle of its answer.
        tamper: what becomes of an answer before it is sent as a datagram.

    """

    def __init__(self, *records: Record) -> None:
        self.records = list(records)
        self.asked: list[tuple[str, int]] = []
        self.over_tcp: list[tuple[str, int]] = []
        self.flags = 0x8180
        self.tcp_flags = 0x8180
        self.cut = False
        self.tamper: Tamper = lambda message: [message]
        self.port = 0

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def answer(self, question: bytes, flags: int, book: list[tuple[str, int]]) -> bytes:
        """Return the answer to a message."""
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        name, (kind, _) = ".".join(labels), struct.unpack_from("!HH", question, at + 1)
        book.append((name, kind))
        chain = {owner for owner, of, _, _ in self.records if of == CNAME}
        told = [r for r in self.records if r[1] in {CNAME, kind} and (r[0] == name or chain)]
        head = question[:2] + struct.pack("!5H", flags, 1, len(told), 0, 0)
        return head + question[12 : at + 5] + b"".join(record(*one) for one in told)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport) or hasattr(transport, "sendto")
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        for message in self._server.tamper(self._server.answer(data, self._server.flags, self._server.asked)):
            self._transport.sendto(message, addr)


@contextlib.asynccontextmanager
async def name_server(*records: Record) -> AsyncIterator[NameServer]:
    """Run one."""
    server = NameServer(*records)
    served: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served[asyncio.current_task()] = writer
        with contextlib.suppress(EOFError, ConnectionError):
            size = int.from_bytes(await reader.readexactly(2))
            message = server.answer(await reader.readexactly(size), server.tcp_flags, server.over_tcp)
            writer.write((len(message).to_bytes(2) + message)[: 20 if server.cut else None])
            await writer.drain()
        writer.close()

    stream, transport = await _listening(server, serve)
    try:
        yield server
    finally:
        transport.close()
        stream.close()
        for _ in range(5):  # a connection that was just taken
            await asyncio.sleep(0)
        for writer in served.values():
            writer.transport.abort()  # its caller may not have heard the end, or not have sent all of its question
        await asyncio.gather(*(task for task in served if task is not None))


async def _listening(server: NameServer, serve: Serve) -> tuple[asyncio.Server, asyncio.DatagramTransport]:
    """Listen on one port for both; where somebody else has it for datagrams, on another one."""
    while True:
        stream = await asyncio.start_server(serve, "127.0.0.1", 0)
        server.port = stream.sockets[0].getsockname()[1]
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Datagrams(server), local_addr=server.address
            )
        except OSError:
            stream.close()
        else:
            return stream, transport
